package wrap_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

func TestStatsCountEachCall(t *testing.T) {
	a := wrap.Stats(galloc.System) // which has no UsableSize
	l := layout(100, 8)
	check := func(what string, want wrap.Snapshot) {
		t.Helper()
		got := a.Snapshot()
		got.Sizes = [64]wrap.SizeCount{}
		if got != want {
			t.Errorf("after %s: %v, want %v", what, got, want)
		}
	}
	p := a.Alloc(l)
	check("Alloc", wrap.Snapshot{Allocs: 1, AllocatedBytes: 100, PeakBytes: 100})
	b, _ := a.AllocateZeroed(layout(50, 8))
	check("AllocateZeroed", wrap.Snapshot{Allocs: 2, AllocatedBytes: 150, PeakBytes: 150})
	p = a.Realloc(p, l, 300)
	check("Realloc", wrap.Snapshot{Allocs: 2, Reallocs: 1, AllocatedBytes: 350, PeakBytes: 350})
	g, _ := a.Shrink(p, layout(300, 8), layout(20, 8))
	check("Shrink", wrap.Snapshot{Allocs: 2, Reallocs: 2, AllocatedBytes: 350, FreedBytes: 280, PeakBytes: 350})
	a.Deallocate(unsafe.Pointer(&b[0]), layout(50, 8))
	a.Dealloc(unsafe.Pointer(&g[0]), layout(20, 8))
	check("Deallocate", wrap.Snapshot{
		Allocs: 2, Frees: 2, Reallocs: 2, AllocatedBytes: 350, FreedBytes: 350,
		PeakBytes: 350,
	})

	want := a.Snapshot()
	for _, zero := range []func(){
		func() { a.Alloc(galloc.Layout{}) },
		func() { a.AllocZeroed(galloc.Layout{}) },
		func() { a.Dealloc(nil, galloc.Layout{}) },
		func() { a.Allocate(galloc.Layout{}) },
		func() { a.AllocateZeroed(galloc.Layout{}) },
		func() { a.Deallocate(nil, galloc.Layout{}) },
		func() { a.Realloc(nil, galloc.Layout{}, 0) },
		func() { a.Grow(nil, galloc.Layout{}, galloc.Layout{}) },
		func() { a.Resize(nil, galloc.Layout{}, 0) },
	} {
		zero()
	}
	if got := a.Snapshot(); got != want {
		t.Errorf("size 0 is counted: %v, want %v", got, want)
	}
	grown, _ := a.Grow(nil, galloc.Layout{}, l)
	q := a.Realloc(unsafe.Pointer(&grown[0]), l, 0)
	if got := a.Snapshot().Sub(want); got.Allocs != 1 || got.Frees != 1 || got.Reallocs != 0 || q == nil {
		t.Errorf("growing from 0 and shrinking to 0: %v", got)
	}
	if s := a.Snapshot(); s.Sizes[7].Allocs != 2 || s.Sizes[6].Allocs != 1 || s.Sizes[9].ReallocsIn != 1 ||
		s.Sizes[5].Live() != 0 {
		t.Errorf("sizes %v", s.Sizes[:12])
	}
}

func TestReadStats(t *testing.T) {
	l := layout(100, 8)
	for _, in := range []galloc.Allocator{galloc.System, newHeap(t)} {
		a := wrap.Stats(wrap.Lock(in))
		p := a.Alloc(l)
		s := a.ReadStats()
		if s.LiveBlocks != 1 || s.Live < 100 || (s.Footprint > 0) != (in != galloc.System) {
			t.Errorf("on %v: %+v", in, s)
		}
		a.Dealloc(p, l)
		if s := a.ReadStats(); s.LiveBlocks != 0 || s.Live != 0 {
			t.Errorf("on %v, after the free: %+v", in, s)
		}
	}
}

// A Snapshot survives a trip through JSON.
func TestSnapshotIsJSON(t *testing.T) {
	a := wrap.Stats(galloc.System)
	a.Alloc(layout(100, 8))
	s := a.Snapshot()
	text, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(text), `"PeakBytes":100`) {
		t.Errorf("%s, %v", text, err)
	}
	var got wrap.Snapshot
	if err := json.Unmarshal(text, &got); err != nil || got != s {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSizesAreUpToPowersOfTwo(t *testing.T) {
	a := wrap.Stats(galloc.System)
	for _, c := range []struct {
		size uintptr
		want int
	}{{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {64, 6}, {65, 7}, {1 << 20, 20}} {
		d := a.During(func() {
			b, _ := a.Allocate(layout(c.size, 1))
			a.Deallocate(unsafe.Pointer(&b[0]), layout(c.size, 1))
		})
		if d.Sizes[c.want].Allocs != 1 || d.Sizes[c.want].Frees != 1 {
			t.Errorf("size %d is not counted in %d", c.size, c.want)
		}
	}
}

func TestStatsKnowFailures(t *testing.T) {
	inner := alloctest.Fail(galloc.System, alloctest.After(1))
	a := wrap.Stats(inner)
	l := layout(100, 8)
	p := a.Alloc(l)
	for _, call := range []func() bool{
		func() bool { return a.Alloc(l) == nil },
		func() bool { return a.AllocZeroed(l) == nil },
		func() bool { return a.Realloc(p, l, 200) == nil },
		func() bool { return a.Realloc(p, l, math.MaxInt) == nil }, // not a layout
		func() bool { _, err := a.Allocate(l); return isOutOfMemory(err) },
		func() bool { _, err := a.AllocateZeroed(l); return isOutOfMemory(err) },
		func() bool { _, err := a.Grow(p, l, layout(200, 8)); return isOutOfMemory(err) },
		func() bool { _, err := a.GrowZeroed(p, l, layout(200, 8)); return isOutOfMemory(err) },
		func() bool { _, err := a.Shrink(p, l, layout(20, 8)); return isOutOfMemory(err) },
	} {
		d := a.During(func() {
			if !call() {
				t.Error("a call did not fail")
			}
		})
		if d.Failures != 1 || d.Allocs != 0 || d.Frees != 0 || d.Reallocs != 0 || d.LiveBytes() != 0 {
			t.Errorf("a failure is counted as %v", d)
		}
	}
	a.Dealloc(p, l)
	typed := wrap.Stats(galloc.GoHeap)
	for _, n := range []int{-1, math.MaxInt} {
		if _, err := typed.AllocateTyped(reflect.TypeFor[string](), n); err == nil {
			t.Errorf("%d strings", n)
		}
	}
	if s := typed.Snapshot(); s.Failures != 2 || s.Allocs != 0 {
		t.Errorf("typed memory: %v", s)
	}
	// The order of wrappers matters: a Counter inside does not see refusals.
	in := wrap.Stats(galloc.System)
	alloctest.Fail(in, alloctest.After(0)).Alloc(l)
	if s := in.Snapshot(); s.Failures != 0 {
		t.Errorf("inside, %v", s)
	}
}

// Bytes are the bytes that blocks occupy, the same for every layout that fits.
func TestStatsCountWhatBlocksOccupy(t *testing.T) {
	h := newHeap(t)
	a := wrap.Stats(h)
	b, _ := a.Allocate(layout(100, 8))
	a.Shrink(unsafe.Pointer(&b[0]), layout(100, 8), layout(0, 8))
	a.Realloc(a.Alloc(layout(100, 8)), layout(100, 8), 0)
	if s := a.Snapshot(); s.Live() != 0 || s.LiveBytes() != 0 || s.Frees != 2 {
		t.Errorf("shrunk to 0: %v", s)
	}
	for size := uintptr(1); size < 9000; size += 1 + size/50 {
		for _, align := range []uintptr{1, 8, 64} {
			l := layout(size, align)
			b, _ := a.Allocate(l)
			if s := a.Snapshot(); s.LiveBytes() != int64(h.UsableSize(l)) || s.LiveBytes() != int64(len(b)) {
				t.Fatalf("%v: %d bytes live, the block has %d of %d", l, s.LiveBytes(), len(b), h.UsableSize(l))
			}
			a.Deallocate(unsafe.Pointer(&b[0]), layout(size+rand.N(uintptr(len(b))-size+1), align))
			if s := a.Snapshot(); s.LiveBytes() != 0 {
				t.Fatalf("%v: %d bytes live after the free", l, s.LiveBytes())
			}
		}
	}
}

// 64 goroutines allocate, resize and free, also the blocks of each other, and in the end the counts
// balance. No snapshot has more frees than allocations, or a count that is less than before.
func TestStatsAddUp(t *testing.T) {
	a := wrap.Stats(newHeap(t))
	const each = 2000
	blocks := make(chan []byte, 1000)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		var last wrap.Snapshot
		for {
			s := a.Snapshot()
			if s.Live() < 0 || s.LiveBytes() < 0 || s.Allocs < last.Allocs || s.Frees < last.Frees ||
				s.PeakBytes < last.PeakBytes || int64(s.PeakBytes) < s.LiveBytes() {
				t.Errorf("inconsistent: %v, before %v", s, last)
				return
			}
			for i, n := range s.Sizes {
				if n.Frees > n.Allocs+n.ReallocsIn {
					t.Errorf("size %d: %+v", i, n)
				}
			}
			last = s
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	use(a, each, blocks)
	close(stop)
	reading.Wait()
	s := a.Snapshot()
	if s.Allocs != 64*each || s.Frees != 64*each || s.Live() != 0 || s.LiveBytes() != 0 {
		t.Errorf("in the end %v", s)
	}
	for i, n := range s.Sizes {
		if n.Live() != 0 {
			t.Errorf("size %d: %+v", i, n)
		}
	}
}

// use allocates and frees n blocks on each of 64 goroutines. Some blocks grow, and some are freed
// by another goroutine.
func use(a galloc.Allocator, n int, blocks chan []byte) {
	var made sync.WaitGroup
	for g := range uint64(64) {
		made.Go(func() {
			r := rand.New(rand.NewPCG(g, 1))
			for range n {
				l := layout(1+uintptr(r.UintN(900)), 8)
				var b []byte
				var err error
				for b, err = a.Allocate(l); err != nil; b, err = a.Allocate(l) {
					runtime.Gosched()
				}
				if m := layout(l.Size()*2, 8); r.IntN(4) == 0 {
					if c, err := galloc.Grow(a, unsafe.Pointer(&b[0]), l, m); err == nil {
						b = c
					}
				}
				if r.IntN(2) == 0 {
					select {
					case blocks <- b:
						continue
					default:
					}
				} else {
					select {
					case other := <-blocks:
						a.Deallocate(unsafe.Pointer(&other[0]), layout(uintptr(len(other)), 8))
					default:
					}
				}
				a.Deallocate(unsafe.Pointer(&b[0]), layout(uintptr(len(b)), 8))
			}
		})
	}
	made.Wait()
	close(blocks)
	for b := range blocks {
		a.Deallocate(unsafe.Pointer(&b[0]), layout(uintptr(len(b)), 8))
	}
}

func TestPeak(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // exact on one P
	a := wrap.Stats(galloc.System)
	var live, peak int64
	var sizes []uintptr
	var blocks []unsafe.Pointer
	r := rand.New(rand.NewPCG(2, 3))
	for range 20_000 {
		if n := len(blocks); n > 0 && r.IntN(100) < 49 {
			a.Dealloc(blocks[n-1], layout(sizes[n-1], 8))
			live -= int64(sizes[n-1])
			blocks, sizes = blocks[:n-1], sizes[:n-1]
			continue
		}
		size := 1 + r.UintN(5000)
		blocks, sizes = append(blocks, a.Alloc(layout(uintptr(size), 8))), append(sizes, uintptr(size))
		live += int64(size)
		peak = max(peak, live)
	}
	s := a.Snapshot()
	if s.LiveBytes() != live || int64(s.PeakBytes) != peak {
		t.Errorf("%v, want %d bytes live, peak %d", s, live, peak)
	}
	for i, p := range blocks {
		a.Dealloc(p, layout(sizes[i], 8))
	}
	if s := a.Snapshot(); int64(s.PeakBytes) != peak {
		t.Errorf("%v, want peak %d", s, peak)
	}
}

// On many Ps, the peak is near the true one.
func TestPeakOfMany(t *testing.T) {
	h, _ := heap.New(heap.Options{})
	defer h.Close()
	a := wrap.Stats(h)
	const goroutines, each, size = 8, 1000, 1024
	var wg, all sync.WaitGroup
	all.Add(goroutines)
	for range goroutines {
		wg.Go(func() {
			var blocks []unsafe.Pointer
			for range each {
				blocks = append(blocks, a.Alloc(layout(size, 8)))
			}
			all.Done()
			all.Wait() // all blocks are live now
			for _, p := range blocks {
				a.Dealloc(p, layout(size, 8))
			}
		})
	}
	wg.Wait()
	const want = goroutines * each * size
	if s := a.Snapshot(); s.PeakBytes < want-uint64(runtime.GOMAXPROCS(0))*(64<<10) ||
		s.PeakBytes > want+uint64(runtime.GOMAXPROCS(0))*(64<<10) {
		t.Errorf("peak %d, want about %d", s.PeakBytes, want)
	}
}

// one returns the same block each time, and takes no time.
type one []byte

func (o one) Allocate(galloc.Layout) ([]byte, error) { return o, nil }
func (one) Deallocate(unsafe.Pointer, galloc.Layout) {}

// A snapshot while blocks are allocated and freed does not count blocks as live at once that never
// were: the peak never falls, so the error would stay.
func TestSnapshotsDoNotRaiseThePeak(t *testing.T) {
	const size = 1 << 20
	a := wrap.Stats(make(one, size))
	l := layout(size, 8)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				for range 1000 {
					a.Dealloc(a.Alloc(l), l) // one at a time
				}
				runtime.Gosched()
			}
		}
	})
	for range 2000 {
		if s := a.Snapshot(); s.PeakBytes > size || s.LiveBytes() > size || s.LiveBytes() < 0 {
			t.Fatalf("%v, with one block of %d bytes live at most", s, size)
		}
		runtime.Gosched()
	}
	close(stop)
	wg.Wait()
}

// Blocks that one P allocates and another P frees do not stay live.
func TestPeakOfProducerAndConsumer(t *testing.T) {
	a := wrap.Stats(newHeap(t))
	l := layout(1024, 8)
	blocks := make(chan unsafe.Pointer, 64)
	go func() {
		for range 100_000 {
			blocks <- a.Alloc(l)
		}
		close(blocks)
	}()
	for p := range blocks {
		a.Dealloc(p, l)
	}
	if s := a.Snapshot(); s.Live() != 0 || s.PeakBytes > 66<<10+2*64<<10*uint64(runtime.GOMAXPROCS(0)) {
		t.Errorf("%v, with 66 blocks live at most", s)
	}
}

func TestResetCountsAsFree(t *testing.T) {
	in := newAble(t)
	for _, a := range []*wrap.Counter{wrap.Stats(in), wrap.Tag(in, newTag())} {
		for range 10 {
			a.Alloc(layout(100_000, 8))
		}
		before := a.Snapshot()
		reset(t, a)
		s := a.Snapshot()
		if s.Live() != 0 || s.LiveBytes() != 0 || s.Frees != 10 || s.PeakBytes != before.PeakBytes ||
			before.Live() != 10 {
			t.Errorf("before %v, after %v", before, s)
		}
		a.Alloc(layout(100_000, 8))
		if s := a.Snapshot(); s.Live() != 1 || s.PeakBytes != before.PeakBytes {
			t.Errorf("after one more: %v", s)
		}
		reset(t, a)
	}
	a := wrap.Stats(in)
	a.Alloc(layout(1000, 8))
	reset(t, a)
	if s := a.Snapshot(); s.PeakBytes < 1000 || s.Live() != 0 { // though this is the first
		t.Errorf("%v", s)
	}
}

// newTag returns a tag that is not in use.
func newTag() string { return fmt.Sprint("new ", tags.Add(1)) }

var tags atomic.Int64

func TestTags(t *testing.T) {
	h := newHeap(t)
	a, b := wrap.Tag(h, "shared"), wrap.Tag(galloc.System, "shared")
	other := wrap.Tag(h, "other")
	l := layout(64, 8)
	p, q, r := a.Alloc(l), b.Alloc(l), other.Alloc(l)
	if a.Snapshot() != b.Snapshot() || a.Snapshot().Live() != 2 || other.Snapshot().Live() != 1 || a.Tag() != "shared" {
		t.Errorf("%v, %v, %v", a.Snapshot(), b.Snapshot(), other.Snapshot())
	}
	got := map[string]int64{}
	last := ""
	for name, s := range wrap.Tags() {
		if name <= last {
			t.Errorf("%q comes after %q", name, last)
		}
		got[name], last = s.Live(), name
	}
	if got["shared"] != 2 || got["other"] != 1 {
		t.Errorf("Tags: %v", got)
	}
	a.Dealloc(p, l)
	b.Dealloc(q, l)
	other.Dealloc(r, l)
}

// A Reset frees the blocks of one allocator, not of all allocators with the same tag.
func TestResetOfOneOfATag(t *testing.T) {
	name := newTag()
	a, b := wrap.Tag(newAble(t), name), wrap.Tag(galloc.System, name)
	l := layout(64, 8)
	a.Alloc(l)
	p := b.Alloc(l)
	reset(t, a)
	if s := b.Snapshot(); s.Live() != 1 || s.Allocs != 2 || s.Frees != 1 {
		t.Errorf("%v", s)
	}
	b.Dealloc(p, l)
}

// The counts of an allocator that can be reset stay with its tag after the allocator is collected.
func TestTagsOutliveTheirAllocators(t *testing.T) {
	in, gone := newAble(t), newTag()
	func() {
		a := wrap.Tag(in, gone)
		a.Dealloc(a.Alloc(layout(64, 8)), layout(64, 8))
	}()
	kept := wrap.Tag(in, gone)
	for range 20 {
		runtime.GC()
		if s := kept.Snapshot(); s.Allocs != 1 || s.Frees != 1 {
			t.Fatalf("%v", s)
		}
	}
}
