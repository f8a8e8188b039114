package engine

import (
	"flag"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

var update = flag.Bool("update", false, "write the golden files")

// fakeTimer is a Timer that the test fires. Heaps may call it from any goroutine.
type fakeTimer struct {
	f      func()
	armed  atomic.Bool
	resets atomic.Int64
}

func (t *fakeTimer) Reset(time.Duration) bool { t.resets.Add(1); return t.armed.Swap(true) }
func (t *fakeTimer) Stop() bool               { return t.armed.Swap(false) }

// fire fires the timer, and reports whether it was set.
func (t *fakeTimer) fire() bool {
	if !t.armed.Swap(false) {
		return false
	}
	t.f()
	return true
}

// newHeap returns a heap whose timer the test fires. It reports misuse as errors of the test,
// unless c has OnMisuse, and is checked and closed when the test ends.
func newHeap(t testing.TB, c Config) (*Heap, *fakeTimer) {
	t.Helper()
	timer := new(fakeTimer)
	c.Timer = func(f func()) Timer { timer.f = f; return timer }
	if c.OnMisuse == nil {
		c.OnMisuse = func(m Misuse) { t.Error(m.Error()) }
	}
	h := New(c)
	t.Cleanup(func() {
		wantCheck(t, h)
		h.Close()
	})
	return h, timer
}

func wantCheck(t testing.TB, h *Heap) {
	t.Helper()
	for h.softCall.running.Load() { // it may still be returning memory
		runtime.Gosched()
	}
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}

func readStats(h *Heap) *Stats {
	s := new(Stats)
	h.ReadStats(s)
	return s
}

// A testBlock is a block and the seed of the cookie in it.
type testBlock struct {
	p           unsafe.Pointer
	size, align uintptr
	seed        int
}

func (b testBlock) bytes() []byte { return unsafe.Slice((*byte)(b.p), b.size) }

// cookie returns byte i of the cookie with the seed. It is never 0.
func cookie(i uintptr, seed int) byte { return byte(1 + (int(i*7+i>>8)+seed*31)%255) }

// cookies calls f for the bytes of a block of n bytes that hold the cookie: all of a small block,
// both ends of a large one, and some of each of its pages.
func cookies(n uintptr, f func(i uintptr)) {
	for i := uintptr(0); i < n; {
		f(i)
		switch {
		case i < 256, i >= n-64:
			i++
		case i&(pages.PageSize-1) < 4:
			i++
		default:
			i = min((i|(pages.PageSize-1))+1, n-64)
		}
	}
}

func (b testBlock) stamp() {
	to := b.bytes()
	cookies(b.size, func(i uintptr) { to[i] = cookie(i, b.seed) })
}

// wantStamp checks the first n bytes that stamp wrote to a block of b.size bytes. The block at b.p
// may be shorter now.
func (b testBlock) wantStamp(t testing.TB, n uintptr) {
	t.Helper()
	from := unsafe.Slice((*byte)(b.p), n)
	cookies(b.size, func(i uintptr) {
		if i < n && from[i] != cookie(i, b.seed) {
			t.Fatalf("block of %d bytes at %p: byte %d is %#x, want %#x", b.size, b.p, i, from[i], cookie(i, b.seed))
		}
	})
}

func wantZero(t testing.TB, p unsafe.Pointer, n uintptr) {
	t.Helper()
	b := unsafe.Slice((*byte)(p), n)
	for len(b) >= 64 && *(*[64]byte)(b) == ([64]byte{}) {
		b = b[64:]
	}
	for i, v := range b {
		if v != 0 {
			i += int(n) - len(b)
			t.Fatalf("byte %d of %d at %p is %#x, want 0", i, n, p, v)
		}
	}
}

// A shadow uses a heap, and records its live blocks. It checks the cookie of each block whenever it
// uses the block, and so finds blocks that overlap.
type shadow struct {
	t     testing.TB
	h     *Heap
	live  []testBlock
	seeds int
}

// alloc allocates a block, and reports whether the heap had memory.
func (d *shadow) alloc(size, align uintptr, zeroed bool) bool {
	d.t.Helper()
	var p unsafe.Pointer
	if zeroed {
		p = d.h.AllocZeroed(size, align)
	} else {
		p = d.h.Alloc(size, align)
	}
	if p == nil {
		return false
	}
	if zeroed {
		wantZero(d.t, p, size)
	}
	d.seeds++
	b := testBlock{p, size, align, d.seeds}
	d.want(b)
	b.stamp()
	d.live = append(d.live, b)
	return true
}

// want checks the address and the size of b.
func (d *shadow) want(b testBlock) {
	d.t.Helper()
	if uintptr(b.p)&(b.align-1) != 0 {
		d.t.Fatalf("block of %d bytes aligned to %d is at %p", b.size, b.align, b.p)
	}
	if got, want := d.h.SizeOf(b.p), pages.UsableSize(b.size, b.align); got != want || got < b.size {
		d.t.Fatalf("block of %d bytes aligned to %d: SizeOf == %d, UsableSize == %d", b.size, b.align, got, want)
	}
}

// remove removes block i from the list and returns it.
func (d *shadow) remove(i int) testBlock {
	b := d.live[i]
	last := len(d.live) - 1
	d.live[i] = d.live[last]
	d.live = d.live[:last]
	return b
}

func (d *shadow) free(i int, unsized bool) {
	d.t.Helper()
	b := d.remove(i)
	b.wantStamp(d.t, b.size)
	if unsized {
		d.h.FreeUnsized(b.p)
	} else {
		d.h.Free(b.p, b.size, b.align)
	}
}

// realloc resizes block i, and reports whether the heap had memory.
func (d *shadow) realloc(i int, size uintptr) bool {
	d.t.Helper()
	b := &d.live[i]
	p := d.h.Realloc(b.p, b.size, b.align, size)
	if p == nil {
		b.wantStamp(d.t, b.size)
		return false
	}
	d.resized(b, p, size)
	return true
}

// resize resizes block i in place, and reports whether it could.
func (d *shadow) resize(i int, size uintptr) bool {
	d.t.Helper()
	b := &d.live[i]
	if !d.h.Resize(b.p, b.size, b.align, size) {
		b.wantStamp(d.t, b.size)
		return false
	}
	d.resized(b, b.p, size)
	return true
}

func (d *shadow) resized(b *testBlock, p unsafe.Pointer, size uintptr) {
	d.t.Helper()
	b.p = p
	b.wantStamp(d.t, min(b.size, size))
	b.size = size
	d.want(*b)
	b.stamp()
}

func (d *shadow) verify() {
	d.t.Helper()
	for _, b := range d.live {
		b.wantStamp(d.t, b.size)
	}
}

func (d *shadow) freeAll() {
	d.t.Helper()
	for len(d.live) > 0 {
		d.free(len(d.live)-1, len(d.live)%2 == 0)
	}
}

// size returns a size from 1 to 1 MiB, small ones more often.
func size(r *rand.Rand) uintptr {
	n := uintptr(1) << r.IntN(20)
	return n + uintptr(r.IntN(int(n)))
}

// Random blocks are allocated and freed, in heaps of every configuration. In the end the heap is
// empty.
func TestRandom(t *testing.T) {
	for _, c := range []struct {
		name string
		Config
	}{
		{"default", Config{}},
		{"lazy", Config{Lazy: true}},
		{"huge", Config{Huge: true}},
		{"checked", Config{Checked: true}},
		{"no decay", Config{Decay: -1}},
		{"small extents", Config{First: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, timer := newHeap(t, c.Config)
			d := &shadow{t: t, h: h}
			r := rand.New(rand.NewPCG(1, 2))
			bytes := uintptr(0)
			for i := range 20000 {
				switch k := r.IntN(100); {
				case len(d.live) > 0 && (k < 45 || bytes > 32<<20):
					j := r.IntN(len(d.live))
					bytes -= d.live[j].size
					d.free(j, k%8 == 0)
				case len(d.live) > 0 && k < 50:
					j := r.IntN(len(d.live))
					was, now := d.live[j].size, size(r)
					if !d.realloc(j, now) {
						t.Fatal("no memory")
					}
					bytes += now - was
				default:
					n := size(r)
					if !d.alloc(n, 1<<r.IntN(14), k%4 == 0) {
						t.Fatal("no memory")
					}
					bytes += n
				}
				if i%1000 == 0 {
					timer.fire()
				}
				if i%5000 == 0 {
					wantCheck(t, h)
				}
			}
			d.verify()
			wantLive(t, d)
			d.freeAll()
			wantLive(t, d)
			h.Trim()
			wantCheck(t, h)
			s := readStats(h)
			if s.InUse != 0 || s.Held != 0 || !c.Huge && s.Dirty != 0 {
				t.Fatalf("after Trim: InUse %d, Held %d, Dirty %d", s.InUse, s.Held, s.Dirty)
			}
		})
	}
}

// wantLive checks that the heap counts the live blocks.
func wantLive(t testing.TB, d *shadow) {
	t.Helper()
	bytes := uintptr(0)
	for _, b := range d.live {
		bytes += pages.UsableSize(b.size, b.align)
	}
	if s := readStats(d.h); s.Live != bytes || s.LiveBlocks != uint64(len(d.live)) {
		t.Fatalf("Live == %d, LiveBlocks == %d, but %d bytes in %d blocks are allocated", s.Live, s.LiveBlocks, bytes,
			len(d.live))
	}
}

// withoutSpares releases the extents of closed heaps, now and when the test ends, so that heaps
// must reserve.
func withoutSpares(t testing.TB) {
	t.Helper()
	releaseSpares()
	t.Cleanup(releaseSpares)
}

func releaseSpares() {
	if err := pages.ReleaseSpares(); err != nil {
		panic(err)
	}
}

// golden compares got with a file in testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = "testdata/" + name
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is out of date; see what changes with -update", name)
	}
}

// inject makes system calls fail as f says, until restore is called or the test ends.
func inject(t testing.TB, f func(op vm.Op, n uintptr) error) (restore func()) {
	t.Helper()
	undo := vm.Inject(f)
	done := false
	restore = func() {
		if !done {
			done = true
			undo()
		}
	}
	t.Cleanup(restore)
	return restore
}
