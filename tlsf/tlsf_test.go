package tlsf

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/internal/misuse"
)

// checked is a Region that checks its invariants after each call.
type checked struct{ *Region }

func (c checked) must() {
	if err := c.check(); err != nil {
		panic(err)
	}
}

func (c checked) Allocate(l galloc.Layout) ([]byte, error) {
	defer c.must()
	return c.Region.Allocate(l)
}

func (c checked) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	defer c.must()
	c.Region.Deallocate(p, l)
}

func (c checked) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	defer c.must()
	return c.Region.Resize(p, l, newSize)
}

func open(t testing.TB, upstream galloc.Allocator, size uintptr, o Options) *Region {
	t.Helper()
	a, err := New(upstream, size, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func layout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return l
}

func address(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		size uintptr
		o    Options
	}{
		"Default":  {64 << 20, Options{}},
		"Fine":     {64<<20 + 5, Options{Granule: 8}},
		"Coarse":   {64 << 20, Options{Granule: 256, Touch: true}},
		"OnSystem": {64 << 20, Options{Granule: 64}},
	} {
		t.Run(name, func(t *testing.T) {
			var upstream galloc.Allocator
			if name == "OnSystem" {
				upstream = galloc.System
			}
			a := open(t, upstream, c.size, c.o)
			before := a.Stats()
			alloctest.Run(t, func() galloc.Allocator { return a }, alloctest.SingleGoroutine)
			if s := a.Stats(); s != before {
				t.Errorf("after everything was freed:\n%+v\nbefore:\n%+v", s, before)
			}
		})
	}
}

// After random allocations and frees, the region is whole again.
func TestRegionIsWholeWhenEverythingIsFreed(t *testing.T) {
	const size = 1<<18 + 5*16
	a := checked{open(t, nil, size, Options{})}
	first := a.Stats()
	if first.Free != size || first.LargestFree != 1<<18 {
		t.Fatalf("before: %+v", first)
	}
	r := rand.New(rand.NewPCG(1, 2))
	type block struct {
		b []byte
		l galloc.Layout
	}
	var live []block
	var used uintptr
	for range 2000 {
		if len(live) > 0 && r.IntN(100) < 45 {
			i := r.IntN(len(live))
			used -= uintptr(len(live[i].b))
			a.Deallocate(address(live[i].b), live[i].l)
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
			continue
		}
		l := layout(1+uintptr(r.ExpFloat64()*500), 1<<r.IntN(10))
		b, err := a.Allocate(l)
		if s := a.Stats(); err != nil && s.LargestFree >= a.UsableSize(l)+l.Align()+48 {
			t.Fatalf("%v failed with %+v", l, s)
		}
		if err == nil {
			used += uintptr(len(b))
			live = append(live, block{b, l})
		}
		if s := a.Stats(); s.Live != used || s.Live+s.Free != s.Region || s.LiveBlocks != len(live) {
			t.Fatalf("%d bytes in %d blocks are in use: %+v", used, len(live), s)
		}
	}
	for _, b := range live {
		a.Deallocate(address(b.b), b.l)
	}
	if s := a.Stats(); s != first {
		t.Errorf("after: %+v", s)
	}
	// search must look beyond the classes whose blocks are all large enough.
	if b := galloc.Must(a.Allocate(layout(size, 1))); len(b) != size {
		t.Errorf("the whole region is %d bytes", len(b))
	}
}

// class and classMin agree, and search never returns a list with a block that is too small.
func TestClassesAreIntervals(t *testing.T) {
	var i, j uint = 0, minBlock
	for n := uint32(minBlock); n < maxGranules; n = n + n/777 + 1 {
		k, l := class(n)
		if k < i || k == i && l < j || k >= powers || l >= steps {
			t.Fatalf("class(%d) = %d, %d after %d, %d", n, k, l, i, j)
		}
		i, j = k, l
		lowest, next := classMin(i, j), classMin(i, j+1)
		if j == steps-1 {
			next = classMin(i+1, 0)
		}
		if n < lowest || n >= next || next-lowest > max(lowest/steps, 1) {
			t.Fatalf("%d granules are in the class from %d to %d", n, lowest, next)
		}
	}
	if k, l := class(maxGranules); k != powers-1 || l != steps-1 {
		t.Errorf("the last class is %d, %d", k, l)
	}
}

// Allocate uses the first class whose blocks are all large enough.
func TestFitIsGood(t *testing.T) {
	a := checked{open(t, nil, 1<<20, Options{})}
	var wall, holes []unsafe.Pointer
	sizes := []uintptr{4096, 1024, 1056, 2048, 1104, 8192}
	for _, size := range sizes {
		holes = append(holes, address(galloc.Must(a.Allocate(layout(size, 8)))))
		wall = append(wall, address(galloc.Must(a.Allocate(layout(64, 8)))))
	}
	for i, p := range holes {
		a.Deallocate(p, layout(sizes[i], 8))
	}
	for _, c := range []struct {
		size uintptr
		want int
	}{{1000, 1}, {1056, 2}, {1070, 4}, {1100, 3}, {2100, 0}, {6000, 5}} {
		if p := address(galloc.Must(a.Allocate(layout(c.size, 8)))); p != holes[c.want] {
			t.Errorf("%d bytes are not at the hole of %d", c.size, sizes[c.want])
		}
	}
	for _, p := range wall {
		if !a.Owns(p) {
			t.Error("the block between the holes is not allocated")
		}
	}
}

// The first block of the list before is used only if it is large enough.
func TestLastResort(t *testing.T) {
	a := checked{open(t, nil, 1<<12, Options{})}
	hole := address(galloc.Must(a.Allocate(layout(1040, 8)))) // 65 granules, in the class of 64
	galloc.Must(a.Allocate(layout(1<<12-1040, 8)))
	a.Deallocate(hole, layout(1040, 8))
	if p := address(galloc.Must(a.Allocate(layout(1040, 8)))); p != hole {
		t.Error("a free block that fits exactly was not found")
	}
	if !a.Resize(hole, layout(1040, 8), 1) { // 4 granules
		t.Fatal("a block cannot shrink")
	}
	if b := galloc.Must(a.Allocate(layout(976, 8))); len(b) != 976 {
		t.Error("the rest cannot be allocated")
	}
	a.Reset()
	hole = address(galloc.Must(a.Allocate(layout(1024, 8))))
	galloc.Must(a.Allocate(layout(1<<12-1024, 8)))
	a.Deallocate(hole, layout(1024, 8))
	if b, err := a.Allocate(layout(1040, 8)); err != error(galloc.ErrLimit) {
		t.Errorf("a block of %d bytes where 1024 are free", len(b))
	}
	for n := uint32(1 << 8); n < 1<<31; n *= 2 { // the need of an alignment as large as the region
		if f := a.search(n) + a.search(n+3); f != 0 {
			t.Errorf("%d granules were found", n)
		}
	}
}

func TestBlocksGrowIntoTheNextBlock(t *testing.T) {
	a := checked{open(t, nil, 1<<12, Options{})}
	l := layout(64, 8)
	p, q := address(galloc.Must(a.Allocate(l))), address(galloc.Must(a.Allocate(l)))
	if a.Resize(p, l, 65) {
		t.Error("a block grew into a block in use")
	}
	rest := layout(1<<12-64, 8)
	if !a.Resize(q, l, 1<<12-64) || a.Stats().Free != 0 || a.Resize(q, rest, 1<<12-63) || a.Resize(q, rest, ^uintptr(0)) {
		t.Error("the last block cannot grow to the end, or can grow past it")
	}
	if !a.Resize(q, layout(1<<12-64, 8), 100) || a.Stats().Live != 64+112 {
		t.Errorf("shrunk to 100 bytes: %+v", a.Stats())
	}
	// The rest joins the next free block.
	if !a.Resize(q, layout(100, 8), 64) || a.Stats().Live != 64+64 {
		t.Errorf("shrunk to 64 bytes: %+v", a.Stats())
	}
	a.Deallocate(p, l)
	if s := a.Stats(); s.Live != 64 || s.LiveBlocks != 1 {
		t.Errorf("%+v", s)
	}
	galloc.Must(a.Allocate(layout(1<<12-128, 8)))
	if !a.Resize(q, l, 1) || a.Stats().Live != 1<<12-64 {
		t.Error("a rest too small to be a block was split off")
	}
}

// A higher alignment leaves a free block before the allocated one, or no gap.
func TestGapsAreBlocks(t *testing.T) {
	for skip := uintptr(0); skip < 40; skip++ {
		a := checked{open(t, nil, 1<<16, Options{})}
		galloc.Must(a.Allocate(layout(64+skip*16, 8)))
		before := a.Stats().Live
		for align := uintptr(1); align <= 1<<12; align *= 2 {
			b := galloc.Must(a.Allocate(layout(64, align)))
			if uintptr(address(b))&(align-1) != 0 || len(b) > 64+48 {
				t.Fatalf("%p is aligned to %d, and has %d bytes", b, align, len(b))
			}
			before += uintptr(len(b))
		}
		if s := a.Stats(); s.Live != before {
			t.Errorf("%d bytes are in use: %+v", before, s)
		}
	}
}

func TestMisuse(t *testing.T) {
	a := open(t, nil, 1<<16, Options{})
	l, big := layout(64, 8), layout(1000, 8)
	freed, p := address(galloc.Must(a.Allocate(l))), address(galloc.Must(a.Allocate(big)))
	joined, q := address(galloc.Must(a.Allocate(l))), address(galloc.Must(a.Allocate(l)))
	next := address(galloc.Must(a.Allocate(l)))
	a.Deallocate(freed, l)
	a.Deallocate(joined, l)
	a.Deallocate(q, l)
	if !a.Owns(next) {
		t.Fatal("the next block is not allocated")
	}
	var foreign [64]byte
	before := a.Stats()
	for _, c := range []struct {
		what string
		p    unsafe.Pointer
		l    galloc.Layout
		kind misuse.Kind
		want string
	}{
		{"double free", freed, l, misuse.DoubleFree, "which is free"},
		{"double free of a joined block", q, l, misuse.DoubleFree, "which is free"},
		{
			"too small a size", p, layout(900, 8), misuse.WrongLayout,
			"(Layout(size 900, align 8 = 1<<3)), which is a block of 1008 bytes",
		},
		{"too small a size, by the smallest block", p, layout(944, 8), misuse.WrongLayout, "a block of 1008 bytes"},
		{"too large a size", p, layout(1009, 8), misuse.WrongLayout, "a block of 1008 bytes"},
		{"larger than the region", p, layout(1<<30, 8), misuse.WrongLayout, "a block of 1008 bytes"},
		{"interior", unsafe.Add(p, 64), l, misuse.InteriorFree, "64 bytes into a block of 1008 bytes"},
		{"unaligned", unsafe.Add(p, 1), big, misuse.InteriorFree, "1 bytes into a block of 1008 bytes"},
		{"foreign", address(foreign[:]), l, misuse.ForeignFree, "not in the region"},
		{"nil", nil, l, misuse.ForeignFree, "not in the region"},
		{"past the region", unsafe.Add(a.base, 1<<16), l, misuse.ForeignFree, "not in the region"},
	} {
		for name, f := range map[string]func(){
			"Deallocate": func() { a.Deallocate(c.p, c.l) },
			"Resize":     func() { a.Resize(c.p, c.l, 1) },
		} {
			prefix := fmt.Sprintf("galloc/tlsf: %v: %s of ", c.kind, name)
			if got := recovered(f); !strings.HasPrefix(got, prefix) || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s panicked with %q, want %q", c.what, name, got, c.want)
			}
		}
	}
	if err := a.check(); err != nil || a.Stats() != before {
		t.Errorf("afterwards: %v, %+v, before: %+v", err, a.Stats(), before)
	}
}

func recovered(f func()) (s string) {
	defer func() { s, _ = recover().(string) }()
	f()
	return ""
}

// A write to a free block, or to the whole region, does not change the state of the Region.
func TestWritesAfterFree(t *testing.T) {
	a := checked{open(t, nil, 1<<16, Options{})}
	whole := galloc.Must(a.Allocate(layout(1<<16, 8)))
	a.Deallocate(address(whole), layout(1<<16, 8))
	for i := range whole {
		whole[i] = 0xff
	}
	for range 100 {
		galloc.Must(a.Allocate(layout(100, 8)))
	}
}

func TestOwns(t *testing.T) {
	a := open(t, nil, 1<<16, Options{})
	p := address(galloc.Must(a.Allocate(layout(300, 8))))
	if !a.Owns(p) || a.Owns(unsafe.Add(p, 64)) || a.Owns(unsafe.Add(p, 512)) || a.Owns(unsafe.Add(a.base, 1<<16)) {
		t.Error("Owns is wrong for a block, its interior, a free block or the end")
	}
	a.Deallocate(p, layout(300, 8))
	if a.Owns(p) {
		t.Error("Owns returned true for a freed block")
	}
}

func TestUnsupportedLayouts(t *testing.T) {
	a := open(t, nil, 1<<16, Options{})
	for _, l := range []galloc.Layout{layout(1<<16+1, 1), layout(1, 1<<17)} {
		if _, err := a.Allocate(l); err != error(galloc.ErrUnsupported) {
			t.Errorf("%v: %v", l, err)
		}
	}
	galloc.Must(a.Allocate(layout(1<<16, 8)))
	if _, err := a.Allocate(layout(1, 1)); err != error(galloc.ErrLimit) {
		t.Errorf("in a full region: %v", err)
	}
}

func TestInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		size uintptr
		o    Options
		want string
	}{
		{1 << 20, Options{Granule: 4}, "Granule is 4: make it a power of two, at least 8"},
		{1 << 20, Options{Granule: 48}, "Granule is 48"},
		{0, Options{}, "the region has 0 bytes"},
		{^uintptr(0), Options{}, "the region has"},
	} {
		a, err := New(alloctest.Fail(galloc.System, alloctest.At(1)), c.size, c.o)
		if a != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %+v: %v", c.size, c.o, err)
		}
	}
	a := open(t, nil, 1, Options{})
	if galloc.Must(a.Allocate(layout(1, 1))); a.Stats().Region != 64 || a.Stats().Free != 0 {
		t.Errorf("the smallest region: %+v", a.Stats())
	}
}

func TestUpstreamFailures(t *testing.T) {
	alloctest.CheckFailures(t, func(up galloc.Allocator) error {
		a, err := New(up, 1<<16, Options{})
		if err != nil {
			if a != nil {
				t.Error("New returned a region and an error")
			}
			return err
		}
		defer a.Close()
		_, err = a.Allocate(layout(1000, 8))
		return err
	})
}

func TestClosedRegion(t *testing.T) {
	up := alloctest.Track(galloc.System)
	a, err := New(up, 1<<16, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := address(galloc.Must(a.Allocate(layout(10, 1))))
	a.Close()
	a.Close()
	if len(up.Live()) != 0 || len(up.Misuses()) != 0 {
		t.Errorf("left upstream: %v, %v", up.Live(), up.Misuses())
	}
	_, err = a.Allocate(layout(10, 1))
	if err != error(galloc.ErrLimit) || a.Owns(p) || a.UsableSize(layout(10, 1)) != 10 {
		t.Errorf("Allocate: %v", err)
	}
	for _, f := range []func(){a.Reset, func() { a.Stats() }, func() { a.Deallocate(p, layout(10, 1)) }} {
		if got := recovered(f); !strings.HasPrefix(got, "galloc/tlsf: ") {
			t.Errorf("panicked with %q", got)
		}
	}
}

func TestNames(t *testing.T) {
	for want, upstream := range map[string]galloc.Allocator{
		"tlsf of 65536 bytes on galloc.Global":      nil,
		"tlsf of 65536 bytes on *alloctest.Tracker": alloctest.Track(galloc.System),
	} {
		if got := fmt.Sprint(open(t, upstream, 1<<16, Options{})); got != want {
			t.Error(got)
		}
	}
}

func FuzzTLSF(f *testing.F) {
	large := checked{open(f, nil, 1<<18, Options{Granule: 64})}
	small := checked{open(f, nil, 1<<14+8, Options{Granule: 8})}
	n := 0
	alloctest.Fuzz(f, func() galloc.Allocator {
		n++
		a := []checked{large, small}[n%2]
		a.Reset()
		return a
	})
}
