// The same as pair.c from Rust, compared with System; and a HashMap of strings on the global
// allocator, which is either of the two.
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use galloc::Galloc;

const ROUNDS: usize = 101;
const PAIRS: usize = 20_000;
const LIVE: usize = 32;

fn pairs<A: GlobalAlloc>(a: &A, size: usize) -> f64 {
    let l = Layout::from_size_align(size, 8).unwrap();
    unsafe {
        let mut live = [(); LIVE].map(|_| a.alloc(l));
        let start = Instant::now();
        for i in 0..PAIRS {
            a.dealloc(live[i % LIVE], l);
            let p = a.alloc(l);
            p.write_volatile(1);
            live[i % LIVE] = p;
        }
        let t = start.elapsed().as_nanos() as f64 / PAIRS as f64;
        live.iter().for_each(|&p| a.dealloc(p, l));
        t
    }
}

// A round frees all its blocks, so the allocator can be changed between rounds. Blocks that live
// longer are System's.
struct Switch(AtomicBool);

unsafe impl GlobalAlloc for Switch {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        if self.0.load(Relaxed) { Galloc.alloc(l) } else { System.alloc(l) }
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        if self.0.load(Relaxed) { Galloc.dealloc(p, l) } else { System.dealloc(p, l) }
    }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, n: usize) -> *mut u8 {
        if self.0.load(Relaxed) { Galloc.realloc(p, l, n) } else { System.realloc(p, l, n) }
    }
}

#[global_allocator]
static GLOBAL: Switch = Switch(AtomicBool::new(false));

fn map(ours: bool) -> f64 {
    GLOBAL.0.store(ours, Relaxed);
    let start = Instant::now();
    let mut m = HashMap::new();
    for i in 0..1000u32 {
        m.insert(i.to_string(), vec![i; 20]);
    }
    assert_eq!(m.values().map(|v| v[19] as u64).sum::<u64>(), 499_500);
    drop(m);
    let t = start.elapsed().as_nanos() as f64 / 1000.0;
    GLOBAL.0.store(false, Relaxed);
    t
}

fn row(what: &str, mut ours: impl FnMut() -> f64, mut libc: impl FnMut() -> f64) {
    let mut t: Vec<(f64, f64)> = (0..ROUNDS).map(|_| (ours(), libc())).collect();
    t.sort_by(|a, b| a.0.total_cmp(&b.0));
    let a = t[ROUNDS / 2].0;
    t.sort_by(|a, b| a.1.total_cmp(&b.1));
    let b = t[ROUNDS / 2].1;
    println!("Rust  {what:31}  galloc {a:7.1} ns  libc {b:7.1} ns");
}

fn main() {
    map(true); // allocates now what is allocated once
    map(false);
    for size in [24, 1000, 100_000] {
        row(&format!("{:22} {size:6} B", "pair"), || pairs(&Galloc, size), || pairs(&System, size));
    }
    row("one entry of a HashMap", || map(true), || map(false));
}
