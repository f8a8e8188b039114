use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct MyAllocatorStats {
    total_allocations: AtomicUsize,
    total_deallocations: AtomicUsize,
}

unsafe impl GlobalAlloc for MyAllocatorStats {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.total_allocations.fetch_add(1, Ordering::SeqCst);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        self.total_deallocations.fetch_add(1, Ordering::SeqCst);
        System.dealloc(ptr, layout)
    }
}

#[global_allocator]
static GLOBAL: MyAllocatorStats = MyAllocatorStats {
    total_allocations: AtomicUsize::new(0),
    total_deallocations: AtomicUsize::new(0),
};

fn counts() -> (usize, usize) {
    let allocations = GLOBAL.total_allocations.load(Ordering::SeqCst);
    (
        allocations,
        GLOBAL.total_deallocations.load(Ordering::SeqCst),
    )
}

fn main() {
    let (a, d) = counts();
    let b = Box::new(8);
    let mut v = Vec::new();
    for i in 0..5 {
        v.push(i * *b); // the fifth grows it: one more of each
    }
    let (sum, capacity) = (v.iter().sum::<i32>(), v.capacity());
    let (a1, d1) = counts();
    drop(v);
    drop(b);
    let (a2, d2) = counts();
    println!("sum {}, room for {}", sum, capacity); // takes a buffer itself
    println!("alive: {} allocations, {} deallocations", a1 - a, d1 - d);
    println!("after: {} allocations, {} deallocations", a2 - a, d2 - d);
}
