// A program in Rust whose global allocator is the library counting, written in Go. The program
// counts its calls, and compares with the counts of the library.
use std::alloc::{GlobalAlloc, Layout};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::{cell::RefCell, panic, ptr, thread};

use galloc::Galloc;

#[repr(C)]
#[derive(Default, Debug, PartialEq, Clone, Copy)]
struct Counts {
    allocs: u64,
    zeroed: u64,
    reallocs: u64,
    deallocs: u64,
    refused: u64,
    live_bytes: u64,
}

extern "C" {
    fn counting_read(to: *mut Counts);
    fn counting_gc();
}

struct Counted {
    allocs: AtomicU64,
    zeroed: AtomicU64,
    reallocs: AtomicU64,
    deallocs: AtomicU64,
    refused: AtomicU64,
    live_bytes: AtomicI64,
}

impl Counted {
    fn count(&self, n: &AtomicU64, p: *mut u8, bytes: i64) -> *mut u8 {
        if p.is_null() {
            self.refused.fetch_add(1, SeqCst);
        } else {
            n.fetch_add(1, SeqCst);
            self.live_bytes.fetch_add(bytes, SeqCst);
        }
        p
    }

    fn read(&self) -> Counts {
        Counts {
            allocs: self.allocs.load(SeqCst),
            zeroed: self.zeroed.load(SeqCst),
            reallocs: self.reallocs.load(SeqCst),
            deallocs: self.deallocs.load(SeqCst),
            refused: self.refused.load(SeqCst),
            live_bytes: self.live_bytes.load(SeqCst) as u64,
        }
    }
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, l: Layout) -> *mut u8 {
        assert_ne!(l.size(), 0);
        self.count(&self.allocs, Galloc.alloc(l), l.size() as i64)
    }
    unsafe fn alloc_zeroed(&self, l: Layout) -> *mut u8 {
        self.count(&self.zeroed, Galloc.alloc_zeroed(l), l.size() as i64)
    }
    unsafe fn realloc(&self, p: *mut u8, l: Layout, new_size: usize) -> *mut u8 {
        self.count(&self.reallocs, Galloc.realloc(p, l, new_size), new_size as i64 - l.size() as i64)
    }
    unsafe fn dealloc(&self, p: *mut u8, l: Layout) {
        self.count(&self.deallocs, p, -(l.size() as i64));
        Galloc.dealloc(p, l)
    }
}

#[global_allocator]
static GLOBAL: Counted = Counted {
    allocs: AtomicU64::new(0),
    zeroed: AtomicU64::new(0),
    reallocs: AtomicU64::new(0),
    deallocs: AtomicU64::new(0),
    refused: AtomicU64::new(0),
    live_bytes: AtomicI64::new(0),
};

// balance compares both sides, where no other thread is at work.
fn balance(what: &str) -> Counts {
    let mut go = Counts::default();
    unsafe { counting_read(&mut go) };
    let rust = GLOBAL.read();
    assert_eq!(rust, go, "after {what}");
    rust
}

fn collections() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for i in 0..10_000u64 {
        map.insert(format!("key {i}"), vec![i; (i % 50) as usize]);
        tree.insert(i * 7919 % 10_007, Box::new([i; 9]));
    }
    let mut queue: VecDeque<String> = map.keys().cloned().collect();
    while let Some(key) = queue.pop_front() {
        let v = map.remove(&key).unwrap();
        assert_eq!(format!("key {}", v.first().copied().unwrap_or(0) % 10_000).len() >= 5, true);
        assert!(v.iter().all(|&i| key == format!("key {i}")));
    }
    let mut last = None;
    for (k, v) in &tree {
        assert!(last < Some(*k) && v.iter().all(|&i| i * 7919 % 10_007 == *k));
        last = Some(*k);
    }
    let zeroes = vec![0u32; 1_000_000]; // by alloc_zeroed
    assert!(zeroes.iter().all(|&z| z == 0));
    let mut bytes = Vec::new(); // by realloc
    for i in 0..1_000_000u32 {
        bytes.push(i as u8);
    }
    bytes.shrink_to(10);
    assert!(bytes.iter().enumerate().all(|(i, &b)| b == i as u8));
    assert_eq!(vec![(); 1000].len(), 1000); // nothing
}

fn alignments() {
    #[repr(align(4096))]
    struct Page([u8; 5000]);
    #[repr(align(64))]
    struct Line(u8);
    let pages: Vec<_> = (0..20).map(|i| Box::new(Page([i; 5000]))).collect();
    let lines: Vec<_> = (0..100).map(|i| Box::new(Line(i))).collect();
    for (i, p) in pages.iter().enumerate() {
        assert!(ptr::addr_of!(**p) as usize % 4096 == 0 && p.0.iter().all(|&b| b as usize == i));
    }
    for (i, l) in lines.iter().enumerate() {
        assert!(ptr::addr_of!(**l) as usize % 64 == 0 && l.0 as usize == i);
    }
}

// Thread-locals whose destructors free the blocks of the thread, and allocate themselves.
struct Local(Vec<String>);

impl Drop for Local {
    fn drop(&mut self) {
        let all = self.0.concat();
        LEFT.fetch_add(all.len() as u64, SeqCst);
    }
}

static LEFT: AtomicU64 = AtomicU64::new(0);

thread_local!(static LOCAL: RefCell<Local> = const { RefCell::new(Local(Vec::new())) });

fn threads() {
    let shared = Arc::new(Mutex::new(Vec::new()));
    let (send, receive) = mpsc::channel::<Vec<u8>>();
    let all: Vec<_> = (0..32u8)
        .map(|i| {
            let (shared, send) = (shared.clone(), send.clone());
            thread::spawn(move || {
                for n in 0..200 {
                    LOCAL.with(|l| l.borrow_mut().0.push("x".repeat(n)));
                    send.send(vec![i; n]).unwrap(); // is dropped by another thread
                    shared.lock().unwrap().push(n.to_string());
                }
            })
        })
        .collect();
    drop(send);
    let mut received = 0;
    for v in receive {
        assert!(v.windows(2).all(|w| w[0] == w[1]));
        received += v.len();
    }
    for t in all {
        t.join().unwrap();
    }
    assert_eq!(received, 32 * 199 * 100);
    assert_eq!(shared.lock().unwrap().len(), 32 * 200);
    assert_eq!(LEFT.swap(0, SeqCst), 32 * 199 * 100);
}

fn panics() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    for i in 0..100 {
        let result = panic::catch_unwind(|| {
            let v = vec![String::from("dropped by unwinding"); 10];
            if v.len() == 10 {
                panic!("number {i}");
            }
        });
        assert_eq!(*result.unwrap_err().downcast::<String>().unwrap(), format!("number {i}"));
    }
    panic::set_hook(hook);
    assert!(thread::Builder::new().spawn(|| { panic::resume_unwind(Box::new(7)) }).unwrap().join().is_err());
}

// Processes are started while threads allocate: once without Rust code in the child, and once with
// a closure that allocates there.
fn processes() {
    let stop = Arc::new(AtomicU64::new(0));
    let busy: Vec<_> = (0..3)
        .map(|_| {
            let stop = stop.clone();
            thread::spawn(move || {
                while stop.load(SeqCst) == 0 {
                    drop(vec![1u8; 1000]);
                }
            })
        })
        .collect();
    for i in 0..20 {
        let out = Command::new("/bin/sh").args(["-c", &format!("echo {i}")]).output().unwrap();
        assert_eq!(String::from_utf8(out.stdout).unwrap(), format!("{i}\n"));
        let mut c = Command::new("/bin/sh");
        c.args(["-c", "exit 7"]);
        unsafe {
            c.pre_exec(|| {
                let v: Vec<String> = (0..1000).map(|i| format!("in the child {i}")).collect();
                assert!(v[999] == "in the child 999" && galloc::name().contains("arena"));
                Ok(())
            });
        }
        assert_eq!(c.status().unwrap().code(), Some(7));
    }
    stop.store(1, SeqCst);
    for b in busy {
        b.join().unwrap(); // a scope would not wait for the thread's destructors
    }
}

fn in_place() {
    unsafe {
        let l = Layout::from_size_align(10, 8).unwrap();
        let p = Galloc.alloc(l);
        assert!(Galloc.usable_size(l) >= 10);
        assert!(!Galloc.resize_in_place(p, l, 1 << 20));
        GLOBAL.count(&GLOBAL.allocs, p, 10); // this call bypassed the counter
        GLOBAL.dealloc(p, l);
    }
}

// A failed allocation is an error, and the program goes on.
fn refused() {
    let mut v: Vec<u8> = vec![1; 10];
    assert!(v.try_reserve_exact(isize::MAX as usize / 2).is_err());
    assert_eq!(v, [1; 10]);
}

fn main() {
    assert!(galloc::name().starts_with("counting heap, registered at "));
    balance("the start");
    let parts: [(&str, fn()); 7] = [
        ("collections", collections),
        ("alignments", alignments),
        ("threads", threads),
        ("panics", panics),
        ("processes", processes),
        ("in place", in_place),
        ("refused", refused),
    ];
    for (what, part) in parts {
        // Each part runs in a separate thread, since channels and others keep some memory for each
        // thread that ever had to wait.
        // The first time, the standard library keeps some memory.
        thread::spawn(part).join().unwrap();
        let before = balance(what);
        thread::spawn(part).join().unwrap();
        unsafe { counting_gc() };
        let after = balance(what);
        assert!(after.allocs + after.zeroed > before.allocs + before.zeroed);
        let live = |c: &Counts| c.allocs + c.zeroed - c.deallocs;
        assert_eq!(live(&after), live(&before), "{what} has left blocks");
        assert_eq!(after.live_bytes, before.live_bytes, "{what} has left bytes");
    }
    let c = balance("all");
    assert!(c.allocs > 100_000 && c.zeroed > 0 && c.reallocs > 100 && c.refused > 0, "{c:?}");
    println!("ok");
}
