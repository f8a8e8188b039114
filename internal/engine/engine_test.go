package engine

import (
	"flag"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

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

// fire does what the clock does when the time has come, and reports whether the timer was armed.
func (t *fakeTimer) fire() bool {
	if !t.armed.Swap(false) {
		return false
	}
	t.f()
	return true
}

// newHeap returns a heap that ticks when the test says so, reports misuse as errors of the test unless the test has taken that
// upon itself, and is checked and closed when the test ends.
func newHeap(t testing.TB, c Config) (*Heap, *fakeTimer) {
	t.Helper()
	timer := new(fakeTimer)
	c.Timer = func(f func()) Timer { timer.f = f; return timer }
	if c.OnMisuse == nil {
		c.OnMisuse = func(m Misuse) { t.Error(m.Error()) }
	}
	h := New(c)
	h.stashFrom = 0 // heaps of tests are small
	t.Cleanup(func() {
		wantCheck(t, h)
		h.Close()
	})
	return h, timer
}

func wantCheck(t testing.TB, h *Heap) {
	t.Helper()
	if err := h.Check(); err != nil {
		t.Fatal(err)
	}
}

func readStats(h *Heap) *Stats {
	s := new(Stats)
	h.ReadStats(s)
	return s
}

// A block is what a test has got from a heap, and the cookie in it.
type block struct {
	p           unsafe.Pointer
	size, align uintptr
	seed        int
}

func (b block) bytes() []byte { return unsafe.Slice((*byte)(b.p), b.size) }

// cookie returns byte i of the contents that are called seed: never 0.
func cookie(i uintptr, seed int) byte { return byte(1 + (int(i*7+i>>8)+seed*31)%255) }

// cookies calls f for the bytes that bear the cookie in a block of n bytes: all of a small block; of a large one those at both
// ends, and some of each page.
func cookies(n uintptr, f func(i uintptr)) {
	for i := uintptr(0); i < n; {
		f(i)
		switch {
		case i < 256, i >= n-64:
			i++
		case i&(pageSize-1) < 4:
			i++
		default:
			i = min((i|(pageSize-1))+1, n-64)
		}
	}
}

func (b block) stamp() {
	to := b.bytes()
	cookies(b.size, func(i uintptr) { to[i] = cookie(i, b.seed) })
}

// wantStamp checks the first n bytes of what stamp has written for a block of b.size bytes. The block at b.p may be shorter now.
func (b block) wantStamp(t testing.TB, n uintptr) {
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

// A shadow drives a heap, and knows what must be in it. Each block bears a cookie that is checked whenever the block is dealt
// with, so blocks that overlap are found out.
type shadow struct {
	t     testing.TB
	h     *Heap
	live  []block
	seeds int
}

// alloc allocates, and reports whether the heap had something.
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
	b := block{p, size, align, d.seeds}
	d.want(b)
	b.stamp()
	d.live = append(d.live, b)
	return true
}

// want checks the address of b, and its size.
func (d *shadow) want(b block) {
	d.t.Helper()
	if uintptr(b.p)&(b.align-1) != 0 {
		d.t.Fatalf("block of %d bytes aligned to %d is at %p", b.size, b.align, b.p)
	}
	if got, want := d.h.SizeOf(b.p), UsableSize(b.size, b.align); got != want || got < b.size {
		d.t.Fatalf("block of %d bytes aligned to %d: SizeOf == %d, UsableSize == %d", b.size, b.align, got, want)
	}
}

// remove takes block i out of the list, and returns it.
func (d *shadow) remove(i int) block {
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

// realloc reports whether the heap had something.
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

// resize reports whether the block is of the new size.
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

func (d *shadow) resized(b *block, p unsafe.Pointer, size uintptr) {
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

// size returns a size between 1 and 1 MiB, small ones more often.
func size(r *rand.Rand) uintptr {
	n := uintptr(1) << r.IntN(20)
	return n + uintptr(r.IntN(int(n)))
}

// Blocks of all sizes come and go at random, in heaps of every configuration. In the end the heap is empty.
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

// wantLive checks that the heap counts as handed out what it has handed out.
func wantLive(t testing.TB, d *shadow) {
	t.Helper()
	bytes := uintptr(0)
	for _, b := range d.live {
		bytes += UsableSize(b.size, b.align)
	}
	if s := readStats(d.h); s.Live != bytes || s.LiveBlocks != uint64(len(d.live)) {
		t.Fatalf("Live == %d, LiveBlocks == %d, but %d bytes in %d blocks are handed out", s.Live, s.LiveBlocks, bytes, len(d.live))
	}
}

// withoutSpares hides the extents that closed heaps have left, so that heaps must ask the system, and releases those that are
// left by the heaps of the test.
func withoutSpares(t testing.TB) {
	t.Helper()
	spareExtents.mu.Lock()
	kept := spareExtents.extents
	spareExtents.extents = nil
	spareExtents.mu.Unlock()
	t.Cleanup(func() {
		releaseSpares()
		spareExtents.mu.Lock()
		spareExtents.extents = append(kept, spareExtents.extents...)
		spareExtents.mu.Unlock()
	})
}

func releaseSpares() {
	spareExtents.mu.Lock()
	defer spareExtents.mu.Unlock()
	for _, x := range spareExtents.extents {
		if err := x.release(); err != nil {
			panic(err)
		}
	}
	spareExtents.extents = nil
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

// inject makes the system refuse what f says, until restore is called or the test ends.
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
