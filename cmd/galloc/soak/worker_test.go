package soak

import (
	"math"
	"math/bits"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
)

// spoiler allocates on the Go heap, where nothing that it does wrong can crash the test, with one
// fault that shows from time to time.
type spoiler struct {
	fault string
	mu    sync.Mutex
	calls int
	last  []byte // handed out, and of more than a few bytes
}

// due reports whether to show the fault f now.
func (s *spoiler) due(f string) bool {
	s.calls++
	return s.fault == f && s.calls%500 == 0
}

func (s *spoiler) Allocate(l galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == "hangs" {
		select {}
	}
	if s.due("fails") {
		return nil, galloc.ErrOutOfMemory
	}
	all, err := galloc.GoHeap.Allocate(galloc.Must(galloc.NewLayout(l.Size()+l.Align(), l.Align())))
	if err != nil {
		return nil, err
	}
	b := all[:l.Size():l.Size()]
	switch {
	case s.due("is not aligned") && l.Align() > 1:
		return all[1:][:l.Size()], nil
	case s.due("is short"):
		return b[:l.Size()-1], nil
	case s.due("overlaps") && len(s.last) >= len(b) && l.Align() == 1:
		return s.last[:len(b)], nil
	case s.due("writes") && s.last != nil:
		s.last[0]++
	}
	if len(b) > 100 {
		s.last = b
	}
	return b, nil
}

func (s *spoiler) Deallocate(unsafe.Pointer, galloc.Layout) {}

func (s *spoiler) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	b, err := s.Allocate(l)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		clear(b)
		if s.due("is not zero") {
			b[len(b)-1] = 1
		}
	}
	return b, err
}

func (s *spoiler) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	kept := old.Size()
	if s.fault == "grows badly" && new.Size() > 1000 {
		kept--
	}
	return s.move(p, new, kept)
}

func (s *spoiler) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return s.Grow(p, old, new) // nobody calls it
}

func (s *spoiler) Shrink(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	kept := new.Size()
	if s.fault == "shrinks badly" && kept > 0 {
		kept--
	}
	return s.move(p, new, kept)
}

func (s *spoiler) move(p unsafe.Pointer, l galloc.Layout, n uintptr) ([]byte, error) {
	b, err := s.Allocate(l)
	if err == nil {
		copy(b, unsafe.Slice((*byte)(p), n))
	}
	return b, err
}

func (s *spoiler) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	if newSize <= l.Size() && s.fault == "resizes badly" {
		*(*byte)(p)++
	}
	return newSize <= l.Size()
}

// soakHere soaks in this process.
func soakHere(a galloc.Allocator, goroutines int, d, hang time.Duration) (*soak, result) {
	s := newSoak(options{Time: d, Goroutines: goroutines, Live: 3_000_000, Seed: 1}, a)
	s.hang = hang
	return s, s.run(d, nil, func(status) {})
}

func TestSoakFindsEveryFault(t *testing.T) {
	clitest.NeedProcesses(t) // where there are none, goroutines are not preempted either
	for fault, want := range map[string]string{
		"fails":          "ing a block of ...: galloc: ",
		"is short":       "a block of ... has ... bytes",
		"is not aligned": "a block of ... is at 0x...not aligned",
		"overlaps":       "before ...was written there",
		"writes":         "before ...was written there",
		"is not zero":    " of a zeroed block of ... is 0x01",
		"grows badly":    "after growing, ...was written there",
		"shrinks badly":  "after shrinking, ...was written there",
		"resizes badly":  "resizing in place, ...was written there",
		"hangs":          "goroutines have not returned from the allocator within 50ms",
	} {
		t.Run(fault, func(t *testing.T) {
			d, hang := time.Minute, hangTime
			if fault == "hangs" {
				d, hang = minSoak, 50*time.Millisecond
			}
			goroutines := 2
			if raceEnabled && (fault == "overlaps" || fault == "writes") {
				// Two would race, as they should, and the detector would fail the test.
				goroutines = 1
			}
			_, r := soakHere(&spoiler{fault: fault}, goroutines, d, hang)
			clitest.WantText(t, "the error", r.Error, want)
			if newReport(options{}, r).OK {
				t.Error("it is called ok")
			}
		})
	}
	s, r := soakHere(&spoiler{}, 2, 100*time.Millisecond, hangTime)
	if r.Error != "" {
		t.Errorf("without a fault: %s", r.Error)
	}
	if live, _ := s.current(); live != 0 {
		t.Errorf("%d bytes are left", live)
	}
}

func TestTheWorkersMakeNoGarbage(t *testing.T) {
	s := newSoak(options{Goroutines: 1, Live: 8_000_000, Seed: 1}, galloc.System)
	if n := testing.AllocsPerRun(1, func() { _, _ = galloc.System.Allocate(galloc.LayoutOf[int]()) }); n != 0 {
		t.Skip("System itself is on the Go heap here")
	}
	s.setGoals(0.25)
	w := s.workers[0]
	w.goal = s.share
	var err error
	if n := testing.AllocsPerRun(10, func() {
		for range 1000 {
			if err == nil {
				err = w.step()
			}
		}
	}); n > 1 || err != nil {
		t.Errorf("%v allocations in 1000 steps, %v", n, err)
	}
	s.stop.Store(true)
	w.run() // frees all
	var r result
	s.finish(&r)
	if live, _ := s.current(); w.live != 0 || r.Freed != r.Allocated+r.Zeroed || live != 0 {
		t.Errorf("%d bytes are left; %+v", w.live, r)
	}
}

func TestSizesAndAlignments(t *testing.T) {
	s := newSoak(options{Goroutines: 1, Live: 1 << 30, Seed: 1}, galloc.GoHeap)
	if s.maxSmall != 1<<20 || s.maxBig != 16<<20 {
		t.Fatalf("the largest are %d and %d", s.maxSmall, s.maxBig)
	}
	w := s.workers[0]
	var octaves [64]int
	var aligns [64]int
	little := math.MaxInt
	for range 100_000 {
		n := w.smallSize()
		little = min(little, n)
		if n > s.maxSmall {
			t.Fatalf("a small size of %d", n)
		}
		octaves[bits.Len(uint(n))]++
		aligns[bits.Len(uint(w.align()))-1]++
		if n := w.bigSize(); n <= s.maxSmall || n > s.maxBig {
			t.Fatalf("a big size of %d", n)
		}
	}
	if little != 1 || octaves[20] == 0 || octaves[3] < 100*octaves[19] {
		t.Errorf("sizes by bits: %v", octaves)
	}
	if aligns[0] < 40_000 || aligns[12] == 0 || aligns[13] != 0 {
		t.Errorf("alignments by their logarithms: %v", aligns)
	}
}

// A change of any byte of a block is found, also when the block has shrunk.
func TestEveryWrittenByteIsCompared(t *testing.T) {
	for _, size := range []int{1, 7, 8, 9, 100, wholeSize, wholeSize + 1, 3*pageSize + 72, 3*pageSize + 73, 100_003} {
		b := block{mem: make([]byte, size), layout: galloc.Must(galloc.NewLayout(uintptr(size), 1)), seed: 12345}
		b.fill()
		pages := make([]bool, (size+pageSize-1)/pageSize)
		for _, kept := range []int{1, size / 2, size - 1, size} {
			n, err := b.compare(b.mem[:kept])
			if err != nil || kept <= wholeSize && size <= wholeSize && n != kept {
				t.Fatalf("%d of %d bytes: %d compared, %v", kept, size, n, err)
			}
			found := 0
			for i := range kept {
				b.mem[i] ^= 0x80
				if _, err := b.compare(b.mem[:kept]); err != nil {
					found++
					pages[i/pageSize] = true
				}
				b.mem[i] ^= 0x80
			}
			if found != n {
				t.Errorf("%d of %d bytes: %d compared, but %d found", kept, size, n, found)
			}
		}
		for i, seen := range pages {
			if !seen {
				t.Errorf("nothing is written in page %d of a block of %d", i, size)
			}
		}
		if other := b; size >= 8 {
			other.seed++
			if _, err := other.compare(b.mem); err == nil {
				t.Errorf("a block of %d is taken for another", size)
			}
		}
	}
}

func TestFirstNonzero(t *testing.T) {
	b := make([]byte, 21)
	for n := range b {
		if i := firstNonzero(b[:n]); i != -1 {
			t.Errorf("%d zeros: %d", n, i)
		}
		b[n] = 1
		if i := firstNonzero(b); i != n {
			t.Errorf("byte %d: %d", n, i)
		}
		b[n] = 0
	}
}

func TestWaves(t *testing.T) {
	for d, want := range map[time.Duration]int{minSoak: 3, 10 * time.Second: 3, time.Minute: 18, 24 * time.Hour: maxWaves} {
		if n := wavesIn(d); n != want {
			t.Errorf("%v: %d waves, want %d", d, n, want)
		}
	}
	before, top := low, 0.0
	for x := 0.0; x <= 1; x += 0.01 {
		y := wave(x)
		if y < low-1e-9 || y > 1+1e-9 || math.Abs(y-before) > 0.1 {
			t.Errorf("load %v at %v, %v before", y, x, before)
		}
		before, top = y, max(top, y)
	}
	if top != 1 || wave(quietFrom) != low || wave(1) != low {
		t.Errorf("the top is %v, the trough %v", top, wave(1))
	}
}
