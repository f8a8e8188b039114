use std::alloc::{alloc, alloc_zeroed, dealloc, handle_alloc_error, realloc, Layout};

fn main() {
    let header = Layout::new::<u32>();
    let items = Layout::array::<u16>(5).unwrap();
    let (both, offset) = header.extend(items).unwrap();
    println!(
        "{} + {} = {} bytes, items at {}",
        header.size(),
        items.size(),
        both.size(),
        offset
    );
    println!(
        "padded: {} bytes, aligned to {}",
        both.pad_to_align().size(),
        both.align()
    );
    println!(
        "aligned to 24: error {}",
        Layout::from_size_align(100, 24).is_err()
    );

    unsafe {
        let layout = Layout::from_size_align(100, 64).unwrap();
        let p = alloc(layout);
        if p.is_null() {
            handle_alloc_error(layout);
        }
        println!(
            "{} bytes at a multiple of 64: {}",
            layout.size(),
            p as usize % 64 == 0
        );
        p.write_bytes(7, layout.size());

        let p = realloc(p, layout, 200); // by now it is a block of another layout
        let layout = Layout::from_size_align(200, layout.align()).unwrap();
        if p.is_null() {
            handle_alloc_error(layout);
        }
        println!("{} bytes, still {} and {}", layout.size(), *p, *p.add(99));
        dealloc(p, layout);

        let p = alloc_zeroed(both);
        if p.is_null() {
            handle_alloc_error(both);
        }
        println!("zeroed: {}", (0..both.size()).all(|i| *p.add(i) == 0));
        dealloc(p, both);
    }
}
