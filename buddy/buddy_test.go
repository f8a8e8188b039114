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
)

// checked is an Allocator that looks at its invariants after each call.
type checked struct{ *Allocator }

func (c checked) must() {
	if err := c.check(); err != nil {
		panic(err)
	}
}

func (c checked) Allocate(l galloc.Layout) ([]byte, error) {
	defer c.must()
	return c.Allocator.Allocate(l)
}

func (c checked) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	defer c.must()
	c.Allocator.Deallocate(p, l)
}

func (c checked) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	defer c.must()
	return c.Allocator.Resize(p, l, newSize)
}

func open(t testing.TB, upstream galloc.Allocator, size uintptr, o Options) *Allocator {
	t.Helper()
	a, err := New(upstream, size, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Release)
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

func TestBuddiesKeepTheContract(t *testing.T) {
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
				t.Errorf("when everything is freed, it is\n%+v, and was\n%+v", s, before)
			}
		})
	}
}

// Of all that is allocated and freed at random, nothing is lost, and the whole comes back.
func TestRegionIsWholeWhenEverythingIsFreed(t *testing.T) {
	const size = 1<<18 | 3<<12 | 5<<6
	a := checked{open(t, nil, size, Options{})}
	first := a.Stats()
	if first.Free != size || first.LargestFree != 1<<18 {
		t.Fatalf("at first: %+v", first)
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
		if s := a.Stats(); s.Used != used || s.Used+s.Free != s.Region || s.UsedBlocks != len(live) {
			t.Fatalf("%d bytes in %d blocks are in use: %+v", used, len(live), s)
		}
	}
	for _, b := range live {
		a.Deallocate(address(b.b), b.l)
	}
	if s := a.Stats(); s != first {
		t.Errorf("at last: %+v", s)
	}
}

func TestLowestBlockIsTaken(t *testing.T) {
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
		t.Error("grown into a block in use")
	case a.Resize(q, high, 65):
		t.Error("an upper buddy has grown")
	}
	a.Deallocate(q, high)
	if !a.Resize(p, low, 1<<12) || a.Stats().Free != 0 {
		t.Fatal("a block alone in the region cannot have all of it")
	}
	a.Deallocate(p, layout(1<<12, 8))
	var four [4]unsafe.Pointer
	for i := range four {
		four[i] = address(galloc.Must(a.Allocate(low)))
	}
	a.Deallocate(four[2], low)
	if a.Resize(four[1], low, 65) {
		t.Error("grown into a free neighbour that is not the buddy")
	}
	a.Reset()
	p = address(galloc.Must(a.Allocate(layout(1<<12, 8))))
	if a.Resize(p, layout(1<<12, 8), 1<<12+1) {
		t.Error("grown beyond the region")
	}
	if !a.Resize(p, layout(1<<12, 8), 100) || a.Stats().Used != 128 || a.Stats().LargestFree != 1<<11 {
		t.Errorf("shrunk to 100 bytes: %+v", a.Stats())
	}
	if q := galloc.Must(a.Allocate(layout(1<<11, 1<<11))); uintptr(address(q))-uintptr(p) != 1<<11 {
		t.Error("the upper half is not what was given up")
	}
}

func TestMistakesPanicAndChangeNothing(t *testing.T) {
	a := open(t, nil, 1<<16|1<<10, Options{})
	l, big := layout(64, 8), layout(1000, 8)
	freed, p := address(galloc.Must(a.Allocate(l))), address(galloc.Must(a.Allocate(big)))
	beside := address(galloc.Must(a.Allocate(l))) // so that freed is not merged
	if beside == nil {
		t.Fatal(beside)
	}
	a.Deallocate(freed, l)
	var foreign [64]byte
	before := a.Stats()
	for _, c := range []struct {
		what string
		p    unsafe.Pointer
		l    galloc.Layout
		want string
	}{
		{"double free", freed, l, "is free: a double free?"},
		{"wrong size", p, layout(100, 8), "wrong layout: the block has 1024 bytes, and Layout(size 100, align 8 = 1<<3) means one of 128"},
		{"wrong size", p, layout(5000, 8), "means one of 8192"},
		{"beyond all orders", p, layout(1<<30, 8), "with a wrong layout"},
		{"interior", unsafe.Add(p, 64), l, "lies 64 bytes inside of a block of 1024"},
		{"unaligned", unsafe.Add(p, 1), big, "lies 1 bytes inside of a block of 1024"},
		{"foreign", address(foreign[:]), l, "not in the region"},
		{"nil", nil, l, "not in the region"},
		{"behind the region", unsafe.Add(a.base, a.units<<a.lg), l, "not in the region"},
		{"in the tail", unsafe.Add(a.base, 1<<16), layout(2048, 8), "is free"},
	} {
		for name, f := range map[string]func(){
			"Deallocate": func() { a.Deallocate(c.p, c.l) },
			"Resize":     func() { a.Resize(c.p, c.l, 1) },
		} {
			if got := recovered(f); !strings.HasPrefix(got, "galloc/buddy: "+name+" of ") || !strings.Contains(got, c.want) {
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

// What is written to a free block, or to all of the region, changes nothing of the allocator's.
func TestWritesAfterFreeCorruptNothing(t *testing.T) {
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

func TestOwnsTellsBlocks(t *testing.T) {
	a := open(t, nil, 1<<16, Options{})
	p := address(galloc.Must(a.Allocate(layout(300, 8))))
	if !a.Owns(p) || a.Owns(unsafe.Add(p, 64)) || a.Owns(unsafe.Add(p, 512)) || a.Owns(unsafe.Add(a.base, 1<<16)) {
		t.Error("Owns is wrong about a block, its inside, what is free, or the end")
	}
	a.Deallocate(p, layout(300, 8))
	if a.Owns(p) {
		t.Error("a block that was freed is owned")
	}
}

func TestWhatCannotBeIsUnsupported(t *testing.T) {
	a := open(t, nil, 1<<16|1<<10, Options{Align: 4096})
	for _, l := range []galloc.Layout{layout(1<<16+1, 1), layout(1, 8192)} {
		if _, err := a.Allocate(l); err != error(galloc.ErrUnsupported) {
			t.Errorf("%v: %v", l, err)
		}
	}
	galloc.Must(a.Allocate(layout(1<<16, 8)))
	if _, err := a.Allocate(layout(1<<11, 8)); err != error(galloc.ErrOutOfMemory) {
		t.Errorf("in a region that is full: %v", err)
	}
}

func TestOptionsThatCannotBeMetAreRefused(t *testing.T) {
	for _, c := range []struct {
		size uintptr
		o    Options
		want string
	}{
		{1 << 20, Options{MinBlock: 8}, "MinBlock is 8: make it a power of two from 16"},
		{1 << 20, Options{MinBlock: 48}, "MinBlock is 48"},
		{1 << 20, Options{Align: 3}, "not a power of two"},
		{0, Options{}, "a region of 0 bytes"},
		{^uintptr(0), Options{}, "a region of"},
	} {
		if a, err := New(alloctest.Failing(1), c.size, c.o); a != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d, %+v: %v", c.size, c.o, err)
		}
	}
}

func TestFailuresOfUpstreamAreReturned(t *testing.T) {
	alloctest.CheckFailures(t, func(up galloc.Allocator) error {
		a, err := New(up, 1<<16, Options{})
		if err != nil {
			if a != nil {
				t.Error("an allocator beside an error")
			}
			return err
		}
		defer a.Release()
		_, err = a.Allocate(layout(1000, 8))
		return err
	})
}

func TestReleasedAllocatorIsEmpty(t *testing.T) {
	up := alloctest.Failing(0)
	a, err := New(up, 1<<16, Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := address(galloc.Must(a.Allocate(layout(10, 1))))
	a.Release()
	a.Release()
	if len(up.Live()) != 0 || len(up.Mistakes()) != 0 {
		t.Errorf("left upstream: %v, %v", up.Live(), up.Mistakes())
	}
	if _, err := a.Allocate(layout(10, 1)); err != error(galloc.ErrOutOfMemory) || a.Owns(p) || a.UsableSize(layout(10, 1)) != 10 {
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
		"buddy system of 65536 bytes on galloc.Global":               nil,
		"buddy system of 65536 bytes on *alloctest.FailingAllocator": alloctest.Failing(0),
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
