//! A global allocator that is written in Go.
//!
//! ```ignore
//! #[global_allocator]
//! static GLOBAL: galloc::Galloc = galloc::Galloc;
//! ```
//!
//! The linked library decides which allocator it is: `libgalloc` is galloc's heap, and a custom
//! library is the allocator that its Go side registers; [`name`] returns its name. `galloc.h` is
//! the contract. Three things differ from other allocators: a pair of calls costs about 20 times as
//! much as a pair of malloc's; after a `fork` without `exec`, as in the closure of
//! `CommandExt::pre_exec`, blocks come from an arena and are not reused; and a double free, which
//! only unsafe code can do, may end the process.
//!
//! Without cargo:
//!
//! ```text
//! rustc --edition 2021 --crate-type rlib --crate-name galloc src/lib.rs
//! rustc --edition 2021 --extern galloc=libgalloc.rlib -L native=PREFIX/lib -l static=galloc main.rs
//! ```

#![no_std]

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

extern "C" {
    fn galloc_alloc(size: usize, align: usize) -> *mut c_void;
    fn galloc_alloc_zeroed(size: usize, align: usize) -> *mut c_void;
    fn galloc_dealloc(ptr: *mut c_void, size: usize, align: usize);
    fn galloc_realloc(ptr: *mut c_void, old_size: usize, align: usize, new_size: usize) -> *mut c_void;
    fn galloc_reallocate_inplace(ptr: *mut c_void, old_size: usize, size: usize, align: usize) -> usize;
    fn galloc_usable_size(size: usize, align: usize) -> usize;
    fn galloc_name() -> *const u8;
}

/// The allocator that the linked library has registered. All values are the same allocator.
#[derive(Clone, Copy, Debug, Default)]
pub struct Galloc;

// SAFETY: the functions keep the contract of the trait. They do not unwind, and do not call back
// into Rust: their own memory comes from Go's heap and from the system.
unsafe impl GlobalAlloc for Galloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        galloc_alloc(layout.size(), layout.align()).cast()
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        galloc_dealloc(ptr.cast(), layout.size(), layout.align())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        galloc_alloc_zeroed(layout.size(), layout.align()).cast()
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        galloc_realloc(ptr.cast(), layout.size(), layout.align(), new_size).cast()
    }
}

impl Galloc {
    /// Returns the number of bytes reserved for a block of that layout, at least `layout.size()`.
    pub fn usable_size(&self, layout: Layout) -> usize {
        // SAFETY: it takes any arguments.
        unsafe { galloc_usable_size(layout.size(), layout.align()) }
    }

    /// Changes the size of the block at `ptr` to `new_size` bytes without moving it, and reports
    /// whether it could. If so, the layout of the block has that size; otherwise nothing has
    /// changed.
    ///
    /// # Safety
    ///
    /// `ptr` is currently allocated by this allocator with `layout`.
    pub unsafe fn resize_in_place(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> bool {
        galloc_reallocate_inplace(ptr.cast(), layout.size(), new_size, layout.align()) == new_size
    }
}

/// Returns the name of the allocator and how it was chosen.
pub fn name() -> &'static str {
    // SAFETY: the bytes end with 0, and are never freed or changed.
    unsafe {
        let start = galloc_name();
        let mut n = 0;
        while *start.add(n) != 0 {
            n += 1;
        }
        core::str::from_utf8(core::slice::from_raw_parts(start, n)).unwrap_or("an allocator whose name is not UTF-8")
    }
}
