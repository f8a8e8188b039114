use std::alloc::{GlobalAlloc, Layout, System};

struct AtMost(usize); // bytes in one block

unsafe impl GlobalAlloc for AtMost {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > self.0 {
            return std::ptr::null_mut();
        }
        System.alloc(layout)
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        System.dealloc(ptr, layout)
    }
}

#[global_allocator]
static GLOBAL: AtMost = AtMost(1 << 20);

fn main() {
    let mut v: Vec<u8> = Vec::new();
    println!(
        "half of it: error {}",
        v.try_reserve_exact(1 << 19).is_err()
    );
    println!("too much: error {}", v.try_reserve_exact(1 << 21).is_err());
    println!("still there: {}", v.capacity());
    v.reserve_exact(1 << 21); // ends here
    println!("never reached: {}", v.capacity());
}
