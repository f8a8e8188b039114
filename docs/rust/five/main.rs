use std::alloc::{GlobalAlloc, Layout};

#[link(name = "my_allocator")]
extern "C" {
    fn __rust_allocate(size: usize, align: usize) -> *mut u8;
    fn __rust_deallocate(ptr: *mut u8, old_size: usize, align: usize);
    fn __rust_reallocate(ptr: *mut u8, old_size: usize, size: usize, align: usize) -> *mut u8;
    fn __rust_reallocate_inplace(ptr: *mut u8, old_size: usize, size: usize, align: usize)
        -> usize;
    fn __rust_usable_size(size: usize, align: usize) -> usize;
}

// In 2015 the compiler called the five functions. Now the attribute makes it call this type.
struct MyAllocator;

unsafe impl GlobalAlloc for MyAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        __rust_allocate(layout.size(), layout.align())
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        __rust_deallocate(ptr, layout.size(), layout.align())
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        __rust_reallocate(ptr, layout.size(), new_size, layout.align())
    }
}

#[global_allocator]
static GLOBAL: MyAllocator = MyAllocator;

fn main() {
    let a = Box::new(8); // from the library
    println!("{}", a);

    let mut v = vec![1u32; 100];
    v.reserve_exact(900);
    println!("{} of {}", v.iter().sum::<u32>(), v.capacity());

    unsafe {
        let p = __rust_allocate(100, 8);
        let n = __rust_usable_size(100, 8);
        let grown = __rust_reallocate_inplace(p, 100, 1 << 20, 8);
        println!("{} of 100 usable, and {} after growing in place", n, grown);
        __rust_deallocate(p, 100, 8);
    }
}
