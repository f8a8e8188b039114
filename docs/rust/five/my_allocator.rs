// An allocator crate of 2015: five functions by name, on libc's malloc. It is built as a C library,
// since today's compiler does not know the attribute `allocator`.
use std::os::raw::c_void;

extern "C" {
    fn malloc(size: usize) -> *mut c_void;
    fn realloc(ptr: *mut c_void, size: usize) -> *mut c_void;
    fn free(ptr: *mut c_void);
}

#[no_mangle]
pub extern "C" fn __rust_allocate(size: usize, _align: usize) -> *mut u8 {
    unsafe { malloc(size) as *mut u8 }
}

/// # Safety
/// ptr is a block of these functions.
#[no_mangle]
pub unsafe extern "C" fn __rust_deallocate(ptr: *mut u8, _old_size: usize, _align: usize) {
    free(ptr as *mut c_void)
}

/// # Safety
/// ptr is a block of these functions.
#[no_mangle]
pub unsafe extern "C" fn __rust_reallocate(
    ptr: *mut u8,
    _old_size: usize,
    size: usize,
    _align: usize,
) -> *mut u8 {
    realloc(ptr as *mut c_void, size) as *mut u8
}

#[no_mangle]
pub extern "C" fn __rust_reallocate_inplace(
    _ptr: *mut u8,
    old_size: usize,
    _size: usize,
    _align: usize,
) -> usize {
    old_size // libc cannot
}

#[no_mangle]
pub extern "C" fn __rust_usable_size(size: usize, _align: usize) -> usize {
    size
}
