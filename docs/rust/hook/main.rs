#![feature(alloc_error_hook)]

use std::alloc::{handle_alloc_error, set_alloc_error_hook, take_alloc_error_hook, Layout};

fn hook(layout: Layout) {
    println!(
        "no memory for {} bytes, aligned to {}",
        layout.size(),
        layout.align()
    );
    std::process::exit(3)
}

fn main() {
    set_alloc_error_hook(hook);
    let hook = take_alloc_error_hook(); // now it is the default one again
    set_alloc_error_hook(hook);
    handle_alloc_error(Layout::new::<[u32; 1000]>())
}
