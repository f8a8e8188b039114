package heapprof_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
	"github.com/galloc-go/galloc/internal/percpu"
)

func layout(size, align uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, align)) }

func TestProfilerKeepsTheContract(t *testing.T) {
	seldom := heapprof.New(heap.Default(), heapprof.Options{})
	alloctest.Run(t, func() galloc.Allocator { return seldom }, alloctest.GoGarbage)
	always := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	alloctest.Run(t, func() galloc.Allocator { return always }, alloctest.GoGarbage, alloctest.Slow)
	alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return always }, alloctest.GoGarbage, alloctest.Slow)
	for _, p := range []*heapprof.Profiler{seldom, always} {
		for _, s := range p.Leaks(0).Sites {
			f := s.Place()
			t.Errorf("one sample in %d bytes: %d bytes of %s:%d are left", p.Rate(), s.InUseBytes, f.File, f.Line)
		}
	}
	off := heapprof.New(heap.Default(), heapprof.Options{Rate: -1})
	alloctest.Run(t, func() galloc.Allocator { return off })
	if sites := off.Profile().Sites; len(sites) != 0 {
		t.Errorf("a Profiler that is off has %d sites", len(sites))
	}
}

// The wrapped allocator's abilities are passed on.
func TestProfilerPassesAbilitiesOn(t *testing.T) {
	arena := heapprof.New(bump.New(nil), heapprof.Options{Rate: 1})
	for range 10 {
		galloc.Must(galloc.MakeSlice[int64](arena, 100))
	}
	if n := objects(arena.Leaks(0)); n != 10 {
		t.Errorf("%d blocks are in use, and 10 were allocated", n)
	}
	if err := galloc.Reset(arena); err != nil {
		t.Fatal(err)
	}
	if n := objects(arena.Leaks(0)); n != 0 {
		t.Errorf("%d blocks are in use after a reset", n)
	}
	alloctest.Run(t, func() galloc.Allocator {
		return heapprof.New(galloc.GoHeap, heapprof.Options{Rate: 1})
	}, alloctest.GoGarbage, alloctest.Slow)
}

func objects(p *heapprof.Profile) (n int64) {
	for _, s := range p.Sites {
		n += s.InUseObjects
	}
	return n
}

// in returns the sum of the sites whose Place is in a function with that suffix.
func in(p *heapprof.Profile, function string) (sum heapprof.Site) {
	for _, s := range p.Sites {
		if strings.HasSuffix(s.Place().Function, function) {
			sum.Samples += s.Samples
			sum.AllocObjects += s.AllocObjects
			sum.AllocBytes += s.AllocBytes
			sum.InUseObjects += s.InUseObjects
			sum.InUseBytes += s.InUseBytes
		}
	}
	return sum
}

// exact is the exact counts of a site.
type exact struct {
	function string
	heapprof.Site
	kept []block
}

type block struct {
	p unsafe.Pointer
	l galloc.Layout
}

// note counts a block that was allocated, and frees it unless it is kept.
func (e *exact) note(a galloc.Allocator, p unsafe.Pointer, l galloc.Layout, bytes int, keep bool) {
	e.AllocObjects++
	e.AllocBytes += int64(bytes)
	if keep {
		e.InUseObjects++
		e.InUseBytes += int64(bytes)
		e.kept = append(e.kept, block{p, l})
		return
	}
	a.Deallocate(p, l)
}

//go:noinline
func allocateSmall(a galloc.Allocator, l galloc.Layout) []byte { return galloc.Must(a.Allocate(l)) }

//go:noinline
func allocateMixed(a galloc.Allocator, l galloc.Layout) []byte { return galloc.Must(a.Allocate(l)) }

//go:noinline
func allocateLarge(a galloc.Allocator, l galloc.Layout) []byte { return galloc.Must(a.Allocate(l)) }

// Each site has some 10,000 samples, and so a standard deviation of about 1 %. The sizes are from a
// hundredth of the rate to three times the rate.
func TestEstimatesAreWithinFivePercent(t *testing.T) {
	if percpu.Race {
		t.Skip("it is long, and has one goroutine")
	}
	const rate, samples = 4096, 10_000
	h, err := heap.New(heap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	p := heapprof.New(h, heapprof.Options{Rate: rate, Seed: 1})
	random := rand.New(rand.NewPCG(1, 2))
	sites := [...]struct {
		exact
		allocate func(galloc.Allocator, galloc.Layout) []byte
		size     func() uintptr
	}{
		{exact{function: "allocateSmall"}, allocateSmall, func() uintptr { return 40 }},
		{exact{function: "allocateMixed"}, allocateMixed, func() uintptr { return 8 << random.UintN(9) }},
		{exact{function: "allocateLarge"}, allocateLarge, func() uintptr { return 3 * rate }},
	}
	for done := 0; done < len(sites); {
		done = 0
		for i := range sites {
			s := &sites[i]
			// A block that is larger than the rate hides the marks after the first in it.
			if s.AllocBytes > rate*samples*5/4 && (i < 2 || s.AllocObjects > samples*11/10) {
				done++
				continue
			}
			l := layout(s.size(), 8)
			b := s.allocate(p, l)
			s.note(p, unsafe.Pointer(&b[0]), l, len(b), s.AllocObjects%64 == 0)
		}
	}
	profile := p.Profile()
	for i := range sites {
		s := &sites[i]
		got := in(profile, s.function)
		if got.Samples < samples {
			t.Errorf("%s: %d samples are too few for this test", s.function, got.Samples)
		}
		for _, f := range []struct {
			name       string
			got, exact int64
		}{{"allocated objects", got.AllocObjects, s.AllocObjects}, {"allocated bytes", got.AllocBytes, s.AllocBytes}} {
			if off := math.Abs(float64(f.got)/float64(f.exact) - 1); off > 0.05 {
				t.Errorf("%s: %d %s, and %d is exact: %.1f %% off", s.function, f.got, f.name, f.exact, 100*off)
			}
		}
		// A 64th of the samples: a standard deviation of 8 %.
		if off := math.Abs(float64(got.InUseBytes)/float64(s.InUseBytes) - 1); off > 0.4 {
			t.Errorf("%s: %d bytes in use, and %d is exact", s.function, got.InUseBytes, s.InUseBytes)
		}
		for _, b := range s.kept {
			p.Deallocate(b.p, b.l)
		}
	}
	if left := p.Leaks(0).Sites; len(left) != 0 {
		t.Errorf("all blocks are freed, and %d sites have some", len(left))
	}
}

// With rate 1 every figure is exact.
func TestRateOneIsExact(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	l := layout(100, 8)
	size := int64(galloc.UsableSize(p, l))
	q := alloc(p, l)
	q = p.Realloc(q, l, 50)
	half := layout(50, 8)
	want := heapprof.Site{Samples: 1, AllocObjects: 1, AllocBytes: size}
	if s := in(p.Profile(), "heapprof_test.alloc"); same(s, want) != "" {
		t.Error(same(s, want))
	}
	halfSize := int64(galloc.UsableSize(p, half))
	want = heapprof.Site{Samples: 1, AllocObjects: 1, AllocBytes: halfSize, InUseObjects: 1, InUseBytes: halfSize}
	if s := in(p.Profile(), "TestRateOneIsExact"); same(s, want) != "" {
		t.Error(same(s, want))
	}
	p.SetRate(-1)
	p.Dealloc(alloc(p, l), l)
	p.Dealloc(q, half)
	p.SetRate(1)
	want.InUseObjects, want.InUseBytes = 0, 0
	if s := in(p.Profile(), "TestRateOneIsExact"); same(s, want) != "" {
		t.Error(same(s, want))
	}
}

//go:noinline
func alloc(p galloc.GlobalAlloc, l galloc.Layout) unsafe.Pointer {
	q := p.Alloc(l)
	return q
}

// same describes the difference of two sites, or returns "".
func same(got, want heapprof.Site) string {
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		return "the site is " + g + ", not " + w
	}
	return ""
}

// A call that fails changes nothing: the block is still in use.
func TestFailedCallsKeepBlocks(t *testing.T) {
	faulty := alloctest.Fail(heap.Default(), alloctest.After(1))
	p := heapprof.New(faulty, heapprof.Options{Rate: 1})
	l, large := layout(64, 8), layout(1<<20, 8)
	b := galloc.Must(p.Allocate(l))
	q := unsafe.Pointer(&b[0])
	if p.Realloc(q, l, 1<<20) != nil || p.Alloc(l) != nil {
		t.Error("the calls have not failed")
	}
	if _, err := p.Grow(q, l, large); err == nil {
		t.Error("Grow has not failed")
	}
	if _, err := p.Allocate(l); err == nil {
		t.Error("Allocate has not failed")
	}
	if n := objects(p.Profile()); n != 1 {
		t.Errorf("%d blocks are in use, not 1", n)
	}
	p.Deallocate(q, l)
	if n := objects(p.Profile()); n != 0 {
		t.Errorf("%d blocks are in use after the free", n)
	}
}

func TestViews(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	l := layout(4096, 8)
	var blocks []unsafe.Pointer
	for range 10 {
		blocks = append(blocks, alloc(p, l))
	}
	for _, q := range blocks {
		p.Dealloc(q, l)
	}
	mark, before := p.Mark(), p.Profile()
	blocks = blocks[:0]
	for range 5 {
		blocks = append(blocks, alloc(p, l))
	}
	p.Dealloc(blocks[4], l)
	if s := in(p.Peak(), ".alloc"); s.InUseObjects != 10 || s.InUseBytes != 10*4096 {
		t.Errorf("at the peak %d blocks of %d bytes were in use, not 10", s.InUseObjects, s.InUseBytes)
	}
	want := heapprof.Site{Samples: 4, AllocObjects: 4, AllocBytes: 4 * 4096, InUseObjects: 4, InUseBytes: 4 * 4096}
	if s := in(p.Leaks(mark), ".alloc"); same(s, want) != "" {
		t.Errorf("leaks: %s", same(s, want))
	}
	want.Samples, want.AllocObjects, want.AllocBytes = 5, 5, 5*4096
	growth := p.Profile().Sub(before)
	if s := in(growth, ".alloc"); same(s, want) != "" {
		t.Errorf("growth: %s", same(s, want))
	}
	if n := len(before.Sub(before).Sites); n != 0 {
		t.Errorf("a profile less itself has %d sites", n)
	}
	if s := in(before.Sub(p.Profile()), ".alloc"); s.InUseObjects != -4 {
		t.Errorf("the growth back is %d blocks, not -4", s.InUseObjects)
	}
	// Each of the first blocks saw the later ones, and then no more: 9, 8, ... 0. The last of all
	// was freed at once.
	for n, want := range map[uint64]int64{0: 0, 1: 2, 2: 3, 4: 5, 8: 9, 16: 11} {
		if s := in(p.Temporary(n), ".alloc"); s.AllocObjects != want || s.InUseBytes != 0 {
			t.Errorf("%d blocks were freed before %d others were allocated, not %d", s.AllocObjects, n, want)
		}
	}
	for _, q := range blocks[:4] {
		p.Dealloc(q, l)
	}
}

// The peak is right also of a site that has changed since, and of one that has not.
func TestPeakOfSites(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	l := layout(1024, 8)
	a, b := alloc(p, l), allocateSmall(p, l)
	p.Dealloc(a, l) // the peak was before
	c := allocateLarge(p, layout(512, 8))
	peak := p.Peak()
	for function, want := range map[string]int64{".alloc": 1024, "allocateSmall": 1024, "allocateLarge": 0} {
		if s := in(peak, function); s.InUseBytes != want {
			t.Errorf("%s: %d bytes at the peak, not %d", function, s.InUseBytes, want)
		}
	}
	p.Deallocate(unsafe.Pointer(&b[0]), l)
	p.Deallocate(unsafe.Pointer(&c[0]), layout(512, 8))
	again := alloc(p, layout(8192, 8))
	if s := in(p.Peak(), "allocateSmall"); s.InUseBytes != 0 {
		t.Errorf("%d bytes at the new peak, not 0", s.InUseBytes)
	}
	p.Dealloc(again, layout(8192, 8))
}

// Goroutines free each other's blocks while profiles are taken.
func TestConcurrentUse(t *testing.T) {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 512})
	const goroutines, n = 4, 3000
	pass := make(chan block, 100)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for i := range n {
				l := layout(uintptr(16+i%200*8), 8)
				pass <- block{alloc(p, l), l}
				b := <-pass
				p.Dealloc(b.p, b.l)
			}
		})
	}
	wg.Go(func() {
		for i := range 20 {
			_ = p.Profile().Sub(p.Peak()).String()
			p.Leaks(p.Mark())
			p.Temporary(uint64(i))
			p.SetRate(256 << (i % 3))
		}
	})
	wg.Wait()
	if left := p.Leaks(0); len(left.Sites) != 0 {
		t.Errorf("all blocks are freed, and these are left:\n%v", left)
	}
	if s := p.Profile().Sites; len(s) == 0 {
		t.Error("nothing was sampled")
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.HasPrefix(text, "galloc/heapprof: Options.Depth") {
			t.Errorf("the panic is %q", text)
		}
	}()
	heapprof.New(nil, heapprof.Options{Depth: 65})
}
