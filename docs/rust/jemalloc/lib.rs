use std::alloc::{GlobalAlloc, Layout};
use std::os::raw::{c_int, c_void};

// As in the crate jemallocator, but without its own copy of jemalloc.
struct Jemalloc;

#[link(name = "jemalloc")]
extern "C" {
    fn mallocx(size: usize, flags: c_int) -> *mut c_void;
    fn sdallocx(ptr: *mut c_void, size: usize, flags: c_int);
}

// The C macro MALLOCX_LG_ALIGN returns its argument.
fn flags(layout: Layout) -> c_int {
    layout.align().trailing_zeros() as c_int
}

unsafe impl GlobalAlloc for Jemalloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        mallocx(layout.size(), flags(layout)) as *mut u8
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        sdallocx(ptr as *mut c_void, layout.size(), flags(layout))
    }
}

#[global_allocator]
static ALLOC: Jemalloc = Jemalloc;

#[no_mangle]
pub extern "C" fn foo() {
    let a = Box::new(4); // from jemalloc
    println!("{}", a);
}
