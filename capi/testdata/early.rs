// A program in Rust that allocates in .init_array, before Go has started: with the archive. What it
// allocates there is used and freed in main.

#[global_allocator]
static GLOBAL: galloc::Galloc = galloc::Galloc;

static EARLY: std::sync::Mutex<(Vec<u64>, Option<Box<[u8]>>, String)> = std::sync::Mutex::new((Vec::new(), None, String::new()));

extern "C" fn allocate() {
    let mut e = EARLY.lock().unwrap();
    for i in 0..1000 {
        e.0.push(i);
    }
    e.1 = Some(vec![7; 100_000].into_boxed_slice());
    e.2 = galloc::name().to_string();
}

#[used]
#[link_section = ".init_array"]
static INIT: extern "C" fn() = allocate;

fn main() {
    let mut e = EARLY.lock().unwrap();
    for i in 1000..2000 {
        e.0.push(i);
    }
    assert!(e.0.iter().copied().eq(0..2000));
    e.0 = Vec::new();
    assert!(e.1.take().unwrap().iter().all(|b| *b == 7));
    println!("{}\n{}", e.2, galloc::name());
}
