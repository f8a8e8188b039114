use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct MyAllocator {
    bytes: AtomicUsize, // requested so far
}

unsafe impl GlobalAlloc for MyAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.bytes.fetch_add(layout.size(), Ordering::SeqCst);
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        System.dealloc(ptr, layout)
    }
}

#[global_allocator]
static GLOBAL: MyAllocator = MyAllocator {
    bytes: AtomicUsize::new(0),
};

fn main() {
    let before = GLOBAL.bytes.load(Ordering::SeqCst);
    let mut v: Vec<i32> = Vec::new();
    v.push(1);
    let bytes = GLOBAL.bytes.load(Ordering::SeqCst) - before;
    println!(
        "{:?} took {} bytes through GLOBAL, for {}",
        v,
        bytes,
        v.capacity()
    );
}
