package buddy

import (
	"fmt"
	"math/rand/v2"
	"runtime"
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
		"Uneven":   {(64<<20 | 8<<20 | 4<<10) + 5, Options{}},
		"Fine":     {64 << 20, Options{MinBlock: 16}},
		"Coarse":   {512 << 20, Options{MinBlock: 4096}},
		"OnSystem": {64 << 20, Options{Align: 1 << 18}},
	} {
		t.Run(name, func(t *testing.T) {
			var upstream galloc.Allocator
			if name == "OnSystem" {
				upstream = galloc.System
			}
			switch {
			case name == "Coarse" && runtime.GOARCH == "wasm":
				t.Skip("there is not that much memory")
			case name == "Coarse" && unsafe.Sizeof(t) == 4:
				c.size /= 2
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
	const size = 1<<18 | 3<<12 | 5<<6
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
		if s := a.Stats(); err != nil && s.LargestFree >= a.UsableSize(l) {
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
}

func TestAllocateReturnsTheLowestBlock(t *testing.T) {
	a := open(t, nil, 1<<20, Options{})
	l := layout(64, 1)
	var blocks [9000][]byte
	for i := range blocks {
		blocks[i] = galloc.Must(a.Allocate(l))
		if at := uintptr(address(blocks[i])) - uintptr(a.base); at != uintptr(i)*64 {
			t.Fatalf("block %d is at %d", i, at)
		}
	}
	for _, i := range []int{8500, 1, 4097, 63} {
		a.Deallocate(address(blocks[i]), l)
	}
	for _, i := range []int{1, 63, 4097, 8500} {
		if b := galloc.Must(a.Allocate(l)); address(b) != address(blocks[i]) {
			t.Errorf("got the block at %d, want %d", (uintptr(address(b))-uintptr(a.base))/64, i)
		}
	}
}

func TestBlocksGrowIntoTheirUpperBuddies(t *testing.T) {
	a := checked{open(t, nil, 1<<12, Options{})}
	low, high := layout(64, 8), layout(64, 8)
	p := address(galloc.Must(a.Allocate(low)))
	q := address(galloc.Must(a.Allocate(high)))
	switch {
	case a.Resize(p, low, 65):
		t.Error("a block grew into a block in use")
	case a.Resize(q, high, 65):
		t.Error("an upper buddy grew")
	}
	a.Deallocate(q, high)
	if !a.Resize(p, low, 1<<12) || a.Stats().Free != 0 {
		t.Fatal("the only block cannot grow to the whole region")
	}
	a.Deallocate(p, layout(1<<12, 8))
	var four [4]unsafe.Pointer
	for i := range four {
		four[i] = address(galloc.Must(a.Allocate(low)))
	}
	a.Deallocate(four[2], low)
	if a.Resize(four[1], low, 65) {
		t.Error("a block grew into a free neighbor that is not its buddy")
	}
	a.Reset()
	p = address(galloc.Must(a.Allocate(layout(1<<12, 8))))
	if a.Resize(p, layout(1<<12, 8), 1<<12+1) {
		t.Error("a block grew past the region")
	}
	if !a.Resize(p, layout(1<<12, 8), 100) || a.Stats().Live != 128 || a.Stats().LargestFree != 1<<11 {
		t.Errorf("shrunk to 100 bytes: %+v", a.Stats())
	}
	if q := galloc.Must(a.Allocate(layout(1<<11, 1<<11))); uintptr(address(q))-uintptr(p) != 1<<11 {
		t.Error("the upper half was not freed")
	}
}

func TestMisuse(t *testing.T) {
	a := open(t, nil, 1<<16|1<<10, Options{})
	l, big := layout(64, 8), layout(1000, 8)
	freed, p := address(galloc.Must(a.Allocate(l))), address(galloc.Must(a.Allocate(big)))
	neighbor := address(galloc.Must(a.Allocate(l))) // keeps freed from being joined
	if neighbor == nil {
		t.Fatal(neighbor)
	}
	a.Deallocate(freed, l)
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
		{
			"wrong size", p, layout(100, 8), misuse.WrongLayout,
			"(Layout(size 100, align 8 = 1<<3)), which is a block of 1024 bytes, " +
				"but the layout is of a block of 128 bytes",
		},
		{"wrong size", p, layout(5000, 8), misuse.WrongLayout, "of a block of 8192 bytes"},
		{"above all orders", p, layout(1<<30, 8), misuse.WrongLayout, "which is a block of 1024 bytes"},
		{"interior", unsafe.Add(p, 64), l, misuse.InteriorFree, "64 bytes into a block of 1024 bytes"},
		{"unaligned", unsafe.Add(p, 1), big, misuse.InteriorFree, "1 bytes into a block of 1024 bytes"},
		{"foreign", address(foreign[:]), l, misuse.ForeignFree, "not in the region"},
		{"nil", nil, l, misuse.ForeignFree, "not in the region"},
		{"past the region", unsafe.Add(a.base, a.units<<a.lg), l, misuse.ForeignFree, "not in the region"},
		{"in the tail", unsafe.Add(a.base, 1<<16), layout(2048, 8), misuse.DoubleFree, "which is free"},
	} {
		for name, f := range map[string]func(){
			"Deallocate": func() { a.Deallocate(c.p, c.l) },
			"Resize":     func() { a.Resize(c.p, c.l, 1) },
		} {
			prefix := fmt.Sprintf("galloc/buddy: %v: %s of ", c.kind, name)
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
	a := open(t, nil, 1<<16|1<<10, Options{Align: 4096})
	for _, l := range []galloc.Layout{layout(1<<16+1, 1), layout(1, 8192)} {
		if _, err := a.Allocate(l); err != error(galloc.ErrUnsupported) {
			t.Errorf("%v: %v", l, err)
		}
	}
	galloc.Must(a.Allocate(layout(1<<16, 8)))
	if _, err := a.Allocate(layout(1<<11, 8)); err != error(galloc.ErrLimit) {
		t.Errorf("in a full region: %v", err)
	}
}

func TestInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		size uintptr
		o    Options
		want string
	}{
		{1 << 20, Options{MinBlock: 8}, "MinBlock is 8: make it a power of two, at least 16"},
		{1 << 20, Options{MinBlock: 48}, "MinBlock is 48"},
		{1 << 20, Options{Align: 3}, "not a power of two"},
		{0, Options{}, "the region has 0 bytes"},
		{^uintptr(0), Options{}, "the region has"},
	} {
		a, err := New(alloctest.Fail(galloc.System, alloctest.At(1)), c.size, c.o)
		if a != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %+v: %v", c.size, c.o, err)
		}
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
		if got := recovered(f); !strings.HasPrefix(got, "galloc/buddy: ") {
			t.Errorf("panicked with %q", got)
		}
	}
}

func TestNames(t *testing.T) {
	for want, upstream := range map[string]galloc.Allocator{
		"buddy system of 65536 bytes on galloc.Global":      nil,
		"buddy system of 65536 bytes on *alloctest.Tracker": alloctest.Track(galloc.System),
	} {
		if got := fmt.Sprint(open(t, upstream, 1<<16, Options{})); got != want {
			t.Error(got)
		}
	}
}

func FuzzBuddy(f *testing.F) {
	even := checked{open(f, nil, 1<<18, Options{MinBlock: 128})}
	uneven := checked{open(f, nil, 1<<17|1<<14|1<<6, Options{Align: 1 << 10})}
	n := 0
	alloctest.Fuzz(f, func() galloc.Allocator {
		n++
		a := []checked{even, uneven}[n%2]
		a.Reset()
		return a
	})
}
