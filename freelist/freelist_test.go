package freelist

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// check returns an error if an invariant of List that it can check does not hold.
func (f *List) check() error {
	if cap(f.kept) == 0 || len(f.kept) > cap(f.kept) {
		return fmt.Errorf("%d of %d blocks are kept", len(f.kept), cap(f.kept))
	}
	sorted := slices.Clone(f.kept)
	slices.SortFunc(sorted, func(p, q unsafe.Pointer) int {
		switch {
		case uintptr(p) < uintptr(q):
			return -1
		case uintptr(p) > uintptr(q):
			return 1
		}
		return 0
	})
	for i, p := range sorted {
		if p == nil || uintptr(p)&(f.block.Align()-1) != 0 {
			return fmt.Errorf("%p is kept", p)
		}
		if i > 0 && uintptr(p)-uintptr(sorted[i-1]) < f.block.Size() {
			return fmt.Errorf("%p and %p are kept, and overlap", sorted[i-1], p)
		}
	}
	for _, p := range f.kept[len(f.kept):cap(f.kept)] {
		if p != nil {
			return fmt.Errorf("%p is past the end of the list", p)
		}
	}
	return nil
}

// checked is a List that checks its invariants after each call that changes it.
type checked struct{ *List }

func (c checked) must() {
	if err := c.check(); err != nil {
		panic(err)
	}
}

func (c checked) Allocate(l galloc.Layout) ([]byte, error) {
	defer c.must()
	return c.List.Allocate(l)
}

func (c checked) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	defer c.must()
	c.List.Deallocate(p, l)
}

func open(t testing.TB, upstream galloc.Allocator, o Options) *List {
	t.Helper()
	f, err := New(upstream, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func layout(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return l
}

func address(b []byte) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

// roomy returns longer blocks than requested and has no optional methods.
type roomy struct{ galloc.Allocator }

func (r roomy) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return r.Allocator.Allocate(l)
	}
	big, err := galloc.NewLayout((l.Size()+63)&^63, l.Align())
	if err != nil {
		return nil, galloc.ErrUnsupported
	}
	return r.Allocator.Allocate(big)
}

func (r roomy) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	r.Allocator.Deallocate(p, layout((l.Size()+63)&^63, l.Align()))
}

var ranges = map[string]Options{
	"Narrow":  {Max: 1000},
	"One":     {Min: 24, Max: 24, Keep: 1},
	"Wide":    {Min: 1, Max: 4096, Align: 4096},
	"Large":   {Min: 40_000, Max: 1 << 20, Keep: 3},
	"Unusual": {Min: 17, Max: 83, Align: 1},
}

func TestConformance(t *testing.T) {
	for up, upstream := range map[string]galloc.Allocator{
		"Global": nil, "System": galloc.System, "Roomy": roomy{galloc.System}, "GoHeap": galloc.GoHeap,
	} {
		for name, o := range ranges {
			if up != "Global" && name != "Unusual" {
				continue
			}
			t.Run(up+name, func(t *testing.T) {
				f := open(t, upstream, o)
				options := []alloctest.Option{alloctest.SingleGoroutine}
				if up == "GoHeap" {
					options = append(options, alloctest.GoGarbage)
				}
				alloctest.Run(t, func() galloc.Allocator { return f }, options...)
				if s := f.Stats(); s.Reused == 0 || s.Fetched == 0 {
					t.Errorf("nothing was reused, or nothing fetched: %+v", s)
				}
			})
		}
	}
}

func TestFreedBlocksAreReused(t *testing.T) {
	f := checked{open(t, nil, Options{Min: 50, Max: 100, Keep: 2})}
	var p [4]unsafe.Pointer
	for i := range p {
		b := galloc.Must(f.Allocate(layout(50+uintptr(i), 8)))
		if len(b) != 100 {
			t.Errorf("a block of %d bytes", len(b))
		}
		p[i] = address(b)
	}
	for i := range p {
		f.Deallocate(p[i], layout(100, 8))
	}
	if s := f.Stats(); s != (Stats{Kept: 200, KeptBlocks: 2, Fetched: 4}) {
		t.Errorf("%+v", s)
	}
	a, b := galloc.Must(f.Allocate(layout(77, 1))), galloc.Must(f.Allocate(layout(50, 16)))
	if address(a) != p[1] || address(b) != p[0] {
		t.Error("the blocks were not reused in the reverse order of the frees")
	}
	if s := f.Stats(); s != (Stats{Reused: 2, Fetched: 4}) {
		t.Errorf("%+v", s)
	}
	f.Deallocate(p[0], layout(50, 16))
	f.Deallocate(p[1], layout(50, 16))
	if n := f.Trim(); n != 200 || f.Stats().KeptBlocks != 0 || f.Trim() != 0 {
		t.Errorf("trimmed %d bytes", n)
	}
}

// Blocks are cut to Max and to less than Min. Otherwise a layout that fits could be on the other
// side.
func TestBlocksAreCut(t *testing.T) {
	f := open(t, roomy{galloc.System}, Options{Min: 50, Max: 100})
	for size, want := range map[uintptr]int{1: 49, 49: 49, 50: 100, 100: 100, 101: 128} {
		if b := galloc.Must(f.Allocate(layout(size, 8))); len(b) != want {
			t.Errorf("a block for %d bytes has %d, want %d", size, len(b), want)
		} else {
			f.Deallocate(address(b), layout(uintptr(want), 8))
		}
	}
}

// sized is roomy with UsableSize.
type sized struct{ roomy }

func (sized) UsableSize(l galloc.Layout) uintptr { return (l.Size() + 63) &^ 63 }

func TestUsableSizesAreOnOneSideOfTheRange(t *testing.T) {
	f := open(t, sized{roomy{galloc.System}}, Options{Min: 64, Max: 100})
	for size, want := range map[uintptr]uintptr{0: 0, 1: 63, 63: 63, 64: 100, 100: 100, 101: 128} {
		l := layout(size, 8)
		b := galloc.Must(f.Allocate(l))
		// 64 bytes from upstream would be in the range.
		if n := f.UsableSize(l); n != want || uintptr(len(b)) != want {
			t.Errorf("%d bytes: UsableSize %d, the block has %d, want %d", size, n, len(b), want)
		}
		f.Deallocate(address(b), l)
	}
}

// Each block is freed upstream once and with its first layout, after any changes of its size.
func TestBlocksAreFreedUpstream(t *testing.T) {
	for name, o := range ranges {
		up := alloctest.Track(galloc.System)
		f := checked{open(t, up, o)}
		data := make([]byte, 4*3000)
		for i := range data {
			data[i] = byte(i * i >> 5 * 167)
		}
		if err := alloctest.Check(f, alloctest.Ops(data)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s := f.Stats(); s.KeptBlocks > max(o.Keep, 0) && o.Keep != 0 || len(up.Live()) != s.KeptBlocks {
			t.Errorf("%s: %d blocks are live upstream: %+v", name, len(up.Live()), s)
		}
		f.Trim()
		if len(up.Live()) != 0 || len(up.Misuses()) != 0 {
			t.Errorf("%s: left upstream: %v\n%s", name, up.Live(), strings.Join(up.Misuses(), "\n"))
		}
	}
}

func TestBlocksWithinTheRangeDoNotMove(t *testing.T) {
	up := alloctest.Track(galloc.System)
	f := open(t, up, Options{Min: 50, Max: 100})
	l := layout(50, 1)
	b := galloc.Must(f.Allocate(l))
	p := address(b)
	for i := range b {
		b[i] = 0xff
	}
	b = galloc.Must(f.GrowZeroed(p, l, layout(90, 16)))
	if address(b) != p || len(b) != 100 || b[49] != 0xff || b[50] != 0 || b[99] != 0 {
		t.Error("a block that grew within the range moved or changed")
	}
	if b = galloc.Must(f.Shrink(p, layout(90, 16), l)); address(b) != p || !f.Resize(p, l, 100) || up.Calls() != 1 {
		t.Error("a block that shrank within the range moved")
	}
	if f.Resize(p, layout(100, 1), 101) || f.Resize(p, layout(100, 1), 49) {
		t.Error("Resize moved a block out of the range")
	}
	f.Deallocate(p, layout(100, 1))
}

// keeper keeps the whole content of a block that grows, also past its layout, as an allocator may.
type keeper struct{ roomy }

func (k keeper) Allocate(l galloc.Layout) ([]byte, error) {
	b, err := k.roomy.Allocate(l)
	for i := range b {
		b[i] = 0xff
	}
	return b, err
}

func (k keeper) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	return k.GrowZeroed(p, old, to)
}

func (k keeper) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	b, err := k.Allocate(to)
	if err == nil {
		n := copy(b, unsafe.Slice((*byte)(p), (old.Size()+63)&^63))
		clear(b[n:])
		k.Deallocate(p, old)
	}
	return b, err
}

func TestGrowZeroedAcrossTheRange(t *testing.T) {
	f := open(t, keeper{roomy{galloc.System}}, Options{Min: 17, Max: 83})
	for _, size := range []uintptr{16, 40, 100, 1000} { // below, in and above the range
		l := layout(10, 8)
		b := galloc.Must(f.GrowZeroed(address(galloc.Must(f.Allocate(l))), l, layout(size, 8)))
		for i := 16; i < len(b); i++ { // the bytes before are kept
			if b[i] != 0 {
				t.Errorf("byte %d of %d is %#x after GrowZeroed to %d", i, len(b), b[i], size)
				break
			}
		}
		f.Deallocate(address(b), layout(size, 8))
	}
}

// A block of GoHeap is collected when neither the list nor the program has it, and not before.
func TestTheGarbageCollectorSeesKeptBlocks(t *testing.T) {
	f := open(t, galloc.GoHeap, Options{Min: 1 << 16, Max: 1 << 16, Keep: 4})
	l := layout(1<<16, 8)
	freed := make(chan int, 2)
	func() {
		for i := range 2 {
			b := galloc.Must(f.Allocate(l))
			runtime.AddCleanup(&b[0], func(i int) { freed <- i }, i)
			defer f.Deallocate(address(b), l)
		}
	}()
	for range 3 {
		runtime.GC()
	}
	if len(freed) != 0 {
		t.Fatal("a kept block was collected")
	}
	func() { // block 0 is the last one freed
		b := galloc.Must(f.Allocate(l))
		b[0] = 1
	}()
	for range 1000 { // the cleanup runs on another goroutine
		if runtime.GC(); len(freed) > 0 {
			break
		}
		runtime.Gosched()
	}
	if len(freed) == 0 {
		t.Error("a block that the program lost is kept alive")
	} else if i := <-freed; i != 0 || len(freed) != 0 {
		t.Errorf("block %d was collected while it was kept", i)
	}
	runtime.KeepAlive(f)
}

func TestUpstreamFailures(t *testing.T) {
	alloctest.CheckFailures(t, func(up galloc.Allocator) error {
		f, err := New(up, Options{Min: 50, Max: 100})
		if err != nil {
			return err
		}
		defer f.Trim()
		l := layout(20, 8)
		b, err := f.Allocate(l)
		if err != nil {
			return err
		}
		// Into the range, within it, out of it, and back.
		for _, size := range []uintptr{40, 60, 100, 200, 1000, 70, 30} {
			m := layout(size, 8)
			var c []byte
			if size > l.Size() {
				c, err = galloc.GrowZeroed(f, address(b), l, m)
			} else {
				c, err = galloc.Shrink(f, address(b), l, m)
			}
			if err != nil {
				break
			}
			b, l = c, m
		}
		f.Deallocate(address(b), l)
		return err
	})
}

func TestInvalidOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "Max is 0: make it"},
		{Options{Min: 10, Max: 9}, "Min is larger than Max (10 > 9): make it smaller"},
		{Options{Max: 9, Keep: -1}, "Keep is -1 blocks of 9 bytes"},
		{Options{Max: 1 << 20, Keep: int(^uint(0) >> 1)}, "make it 1 to "},
		{Options{Max: 1, Keep: 1<<28 + 1}, "make it 1 to 268435456"},
		{Options{Max: 9, Align: 3}, "not a power of two"},
	} {
		if f, err := New(nil, c.o); f != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

func TestNames(t *testing.T) {
	for want, upstream := range map[string]galloc.Allocator{
		"free list of 51 to 100 bytes on galloc.Global":      nil,
		"free list of 51 to 100 bytes on *alloctest.Tracker": alloctest.Track(galloc.System),
	} {
		if got := fmt.Sprint(open(t, upstream, Options{Max: 100})); got != want {
			t.Error(got)
		}
	}
}

func TestGrowAndShrinkInTheWrongDirection(t *testing.T) {
	f := open(t, nil, Options{Max: 100})
	small, large := layout(20, 8), layout(40, 8)
	const grow = "galloc/freelist: Grow to a smaller size (20 < 40): use Shrink"
	for _, test := range []struct {
		want string
		f    func()
	}{
		{grow, func() { _, _ = f.Grow(nil, large, small) }},
		{grow, func() { _, _ = f.GrowZeroed(nil, large, small) }},
		{"galloc/freelist: Shrink to a larger size (40 > 20): use Grow", func() { _, _ = f.Shrink(nil, small, large) }},
	} {
		func() {
			defer func() {
				if got := recover(); got != test.want {
					t.Errorf("panicked with %q, want %q", got, test.want)
				}
			}()
			test.f()
		}()
	}
}

func FuzzFreeList(f *testing.F) {
	narrow := checked{open(f, roomy{galloc.System}, Options{Min: 17, Max: 83, Align: 8, Keep: 5})}
	wide := checked{open(f, nil, Options{Min: 100, Max: 5000, Align: 64})}
	n := 0
	alloctest.Fuzz(f, func() galloc.Allocator {
		n++
		return []checked{narrow, wide}[n%2]
	})
}
