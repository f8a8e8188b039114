package bump_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/fixed"
)

func TestConformance(t *testing.T) {
	for name, upstream := range map[string]galloc.Allocator{"Global": nil, "GoHeap": galloc.GoHeap} {
		t.Run(name, func(t *testing.T) {
			// Each rule gets an arena that was used before, and then reset, trimmed or closed.
			a, n := bump.New(upstream), 0
			defer a.Close()
			fresh := func() *bump.Arena {
				if n++; n%3 == 0 {
					a.Close()
				}
				a.Reset()
				a.TrimTo(1 << 20)
				return a
			}
			options := []alloctest.Option{alloctest.SingleGoroutine}
			if upstream != nil {
				options = append(options, alloctest.GoGarbage) // its chunks
			}
			alloctest.Run(t, func() galloc.Allocator { return fresh() }, options...)
			alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return fresh() }, options...)
		})
	}
	t.Run("ZeroValue", func(t *testing.T) {
		var a bump.Arena
		defer a.Close()
		ops := alloctest.Ops([]byte(strings.Repeat("\x00\x00\x80\x55\x03\x00\x90\x66", 50)))
		if err := alloctest.Check(&a, ops); err != nil {
			t.Error(err)
		}
	})
}

// upstream is a Tracker that fails when fail returns true, and records the requested sizes.
type upstream struct {
	*alloctest.Tracker
	fail  func(call int, size uintptr) bool
	sizes []uintptr
}

func newUpstream(t *testing.T, fail func(call int, size uintptr) bool) *upstream {
	u := &upstream{Tracker: alloctest.Track(galloc.System), fail: fail}
	t.Cleanup(func() {
		if len(u.Live()) != 0 || len(u.Misuses()) != 0 {
			t.Errorf("left upstream: %v; misuses: %v", u.Live(), u.Misuses())
		}
	})
	return u
}

func (u *upstream) Allocate(l galloc.Layout) ([]byte, error) {
	u.sizes = append(u.sizes, l.Size())
	if u.fail != nil && u.fail(len(u.sizes), l.Size()) {
		return nil, galloc.ErrOutOfMemory
	}
	return u.Tracker.Allocate(l)
}

func TestChunksDouble(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	for total := uintptr(0); total < 1<<20; total += 64 {
		allocate(t, a, 64, 8)
		if c := a.Capacity(); c > max(2*(total+64), 4096) || a.Used() != total+64 {
			t.Fatalf("capacity %d, used %d, with blocks of %d bytes", c, a.Used(), total+64)
		}
	}
	if want := "[4096 4096 8192 16384 32768 65536 131072 262144 524288]"; fmt.Sprint(u.sizes) != want {
		t.Errorf("chunks of %v bytes, want %s", u.sizes, want)
	}
	for _, l := range u.Live() {
		if l.Align() < 16 { // blocks with a smaller alignment need no padding at the start
			t.Errorf("a chunk of %v", l)
		}
	}
	allocate(t, a, 3<<20+1, 1)
	if got := u.sizes[len(u.sizes)-1]; got != 3<<20+4096 {
		t.Errorf("a large block got a chunk of %d bytes", got)
	}
}

func TestChunksAreFilledToTheByte(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	// The chunks have 4, 4, 8 and 16 KiB.
	for i, size := range []uintptr{4090, 6, 1, 4095, 4096, 4096, 1} {
		allocate(t, a, size, 1)
		if want := []int{1, 1, 2, 2, 3, 3, 4}[i]; len(u.sizes) != want {
			t.Fatalf("block %d, of %d bytes: chunks %v", i, size, u.sizes)
		}
		used, zero := a.Used(), layout(t, 0, 64)
		if a.Alloc(zero) != zero.Dangling() || a.Used() != used {
			t.Fatal("a block of size 0 used memory")
		}
	}
	a.Close()
	allocate(t, a, 4090, 1)
	allocate(t, a, 7, 1)
	if len(u.Live()) != 2 || a.Used() != 4097 {
		t.Error("a block extends past its chunk")
	}
}

func TestChunksGetSmallerWhenTheUpstreamFails(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	allocate(t, a, 1<<16, 1)
	u.fail = func(_ int, size uintptr) bool { return size > 10_000 }
	allocate(t, a, 100, 1)
	if a.Capacity() != 1<<16+1<<13 {
		t.Errorf("capacity %d after requests of %v", a.Capacity(), u.sizes)
	}
}

func TestUpstreamFailures(t *testing.T) {
	script := func(a *bump.Arena) (failures int, err error) {
		m := alloctest.NewModel(a)
		for i := range uint64(200) {
			err := m.Allocate(i, layout(t, uintptr(i*i%5000+1), 1<<(i%8)))
			if errors.Is(err, galloc.ErrOutOfMemory) {
				failures++
			} else if err != nil {
				return failures, err
			}
		}
		if err := m.Verify(); err != nil {
			return failures, err
		}
		defer a.Close()
		return failures, m.FreeAll()
	}
	count := newUpstream(t, nil)
	if failed, err := script(bump.New(count)); failed != 0 || err != nil {
		t.Fatal(failed, err)
	}
	for n := 1; n <= len(count.sizes); n++ {
		one := newUpstream(t, func(call int, _ uintptr) bool { return call == n })
		failed, err := script(bump.New(one))
		if err != nil {
			t.Fatalf("call %d fails: %v", n, err)
		}
		if n > 1 && failed > 0 { // the arena asks for less and gets it
			t.Errorf("call %d failed, and so did %d allocations", n, failed)
		}
		all := newUpstream(t, func(call int, _ uintptr) bool { return call >= n })
		if failed, err := script(bump.New(all)); err != nil || failed == 0 {
			t.Fatalf("calls from %d on fail: %d failures, %v", n, failed, err)
		}
	}
	// This upstream has no large blocks.
	small := newUpstream(t, func(_ int, size uintptr) bool { return size > 8000 })
	if failed, err := script(bump.New(small)); err != nil || failed != 0 || len(small.sizes) < 50 {
		t.Errorf("%d failures, %v, %d chunks", failed, err, len(small.sizes))
	}
}

func TestLimit(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	a.SetLimit(10_000)
	l := layout(t, 100, 4)
	n := 0
	for a.Alloc(l) != nil {
		n++
	}
	if n != 40+40+18 || a.Capacity() != 10_000 { // chunks of 4096, 4096 and 1808
		t.Errorf("%d blocks of 100 bytes in %d bytes", n, a.Capacity())
	}
	calls := len(u.sizes)
	if _, err := a.Allocate(l); !errors.Is(err, galloc.ErrLimit) {
		t.Errorf("error %v", err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = a.Allocate(l) }); n != 0 || len(u.sizes) != calls {
		t.Errorf("failing allocated %v times on the Go heap and %d times upstream", n, len(u.sizes)-calls)
	}
	if err := a.Reserve(100); !errors.Is(err, galloc.ErrLimit) {
		t.Errorf("Reserve: %v", err)
	}
	a.SetLimit(5000) // below the capacity
	if a.Alloc(l) != nil {
		t.Error("an allocation exceeded the lower limit")
	}
	a.SetLimit(0)
	allocate(t, a, 100, 4)
}

func TestReserve(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	allocate(t, a, 100, 1)
	if err := a.Reserve(4096 - 100); err != nil || len(u.sizes) != 1 {
		t.Fatalf("%v, %v: Reserve allocated although there was room", err, u.sizes)
	}
	for range 2 {
		if err := a.Reserve(100_000); err != nil || len(u.sizes) != 2 {
			t.Fatalf("%v, %v", err, u.sizes)
		}
	}
	allocate(t, a, 100, 1)
	if a.Used() != 200 {
		t.Errorf("%d bytes are used: Reserve left the current chunk", a.Used())
	}
	allocate(t, a, 100_000, 1)
	if len(u.sizes) != 2 {
		t.Errorf("the reserved chunk was not used: %v", u.sizes)
	}
	if err := a.Reserve(math.MaxUint); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%v", err)
	}
}

func TestTheLastBlock(t *testing.T) {
	a := bump.New(nil)
	defer a.Close()
	l10, l20 := layout(t, 10, 1), layout(t, 20, 1)
	p := a.Alloc(l10)
	a.Dealloc(p, l10)
	a.Dealloc(p, l10) // again: it is no longer the last block
	if a.Used() != 0 || a.Alloc(l10) != p {
		t.Fatal("the last block was not freed")
	}
	if !galloc.Resize(a, p, l10, 20) || a.Used() != 20 || !galloc.Resize(a, p, l20, 10) || a.Used() != 10 {
		t.Error("the last block was not resized, or freed nothing")
	}
	if !a.Resize(p, l10, 4096) || a.Used() != 4096 || a.Resize(p, layout(t, 4096, 1), 4097) {
		t.Error("the last block cannot grow to the end of the chunk, or can grow past it")
	}
	a.Resize(p, layout(t, 4096, 1), 10)
	q := a.Alloc(l10)
	if a.Resize(p, l10, 11) || !a.Resize(p, l10, 5) || a.Used() != 20 {
		t.Error("another block grew, or did not shrink, or freed memory")
	}
	a.Dealloc(p, layout(t, 5, 1))
	if a.Used() != 20 {
		t.Error("a block that is not the last one was freed")
	}
	copy(unsafe.Slice((*byte)(q), 10), "0123456789")
	if r := a.Realloc(q, l10, 5000); r == q || string(unsafe.Slice((*byte)(r), 10)) != "0123456789" {
		t.Error("a block that cannot grow did not move, or lost its bytes")
	}
	if a.Realloc(q, l10, math.MaxUint-2) != nil {
		t.Error("Realloc to a size that cannot exist")
	}
	// The sum of padding and size wraps around to a small number.
	l64 := layout(t, 10, 64)
	if p := a.Alloc(l64); a.Realloc(p, l64, math.MaxUint-2) != nil {
		t.Error("Realloc of an aligned block to a size that cannot exist")
	}
}

func TestMarks(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	l := layout(t, 100, 1)
	empty := a.Mark()
	p := a.Alloc(l)
	outer := a.Mark()
	a.Dealloc(p, l)
	if a.Resize(p, l, 200) || a.Used() != 100 {
		t.Fatal("a block older than the newest mark was changed")
	}
	var after unsafe.Pointer
	for round := range 3 {
		first := a.Alloc(l)
		if round > 0 && first != after {
			t.Fatal("Rewind did not free the blocks since the mark")
		}
		after = first
		inner := a.Mark()
		for range 1000 { // in other chunks
			a.Alloc(l)
		}
		a.Rewind(inner)
		if a.Used() != 200 {
			t.Fatalf("%d bytes are used after Rewind", a.Used())
		}
		a.Rewind(outer)
		if a.Used() != 100 {
			t.Fatalf("%d bytes are used after Rewind", a.Used())
		}
		wantPanic(t, "invalid mark", func() { a.Rewind(inner) })
		a.Alloc(layout(t, 200, 1)) // more than was in use at inner
		wantPanic(t, "invalid mark", func() { a.Rewind(inner) })
		a.Rewind(outer)
		if a.Dealloc(a.Alloc(l), l); a.Used() != 100 {
			t.Fatal("a block younger than the mark was not freed")
		}
		if a.Dealloc(p, l); a.Used() != 100 {
			t.Fatal("a block older than the mark was freed")
		}
	}
	if calls := len(u.sizes); calls > 7 {
		t.Errorf("%d chunks: they were not reused", calls)
	}
	a.Rewind(empty)
	if a.Used() != 0 {
		t.Errorf("%d bytes are used", a.Used())
	}
	wantPanic(t, "invalid mark", func() { a.Rewind(outer) })
	other := bump.New(nil)
	wantPanic(t, "another arena", func() { other.Rewind(empty) })
	wantPanic(t, "another arena", func() { a.Rewind(bump.Mark{}) })
	m := a.Mark()
	a.Reset()
	wantPanic(t, "invalid mark", func() { a.Rewind(m) })
	m = a.Mark()
	a.Rewind(m)
	a.Close()
	wantPanic(t, "invalid mark", func() { a.Rewind(m) })
}

// A spare chunk stays spare if a block does not fit because of its alignment.
func TestChunksThatDoNotFitStaySpare(t *testing.T) {
	mem := galloc.Must(galloc.System.Allocate(layout(t, 1<<16, 8192)))
	defer galloc.System.Deallocate(unsafe.Pointer(&mem[0]), layout(t, 1<<16, 8192))
	a := bump.New(fixed.New(mem[16:]))
	if err := a.Reserve(4096); err != nil { // aligned to exactly 16
		t.Fatal(err)
	}
	allocate(t, a, 4000, 4096)
	allocate(t, a, 4096, 1)
	if a.Capacity() != 8192 {
		t.Errorf("chunks of %d bytes", a.Capacity())
	}
}

// Rewinding to an invalid mark whose serial looks valid never puts free memory in use.
func TestInvalidMarksDoNoHarm(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	l := layout(t, 100, 1)
	first := a.Mark()
	a.Alloc(l)
	same := a.Mark() // in the chunk of first
	for range 100 {
		a.Alloc(l)
	}
	far := a.Mark() // in a later chunk
	a.Rewind(first)
	a.Mark() // makes the serials of the others look valid
	for _, m := range []bump.Mark{far, same} {
		wantPanic(t, "invalid mark", func() { a.Rewind(m) })
	}
	a.Trim()
	wantPanic(t, "invalid mark", func() { a.Rewind(far) })
	if a.Used() != 0 || a.Capacity() > 4096 {
		t.Errorf("%d bytes of %d are used", a.Used(), a.Capacity())
	}
	// This invalid mark is not detected. The blocks before it stay.
	a.Rewind(a.Mark())
	kept := a.Alloc(l)
	a.Alloc(l)
	a.Rewind(same)
	if next := a.Alloc(l); a.Used() != 200 || next != unsafe.Add(kept, 100) {
		t.Errorf("%d bytes are used", a.Used())
	}
	// A mark in the current chunk, which has fewer bytes in use than at the mark.
	first = a.Mark()
	a.Alloc(l)
	same = a.Mark()
	a.Rewind(first)
	a.Mark()
	wantPanic(t, "invalid mark", func() { a.Rewind(same) })
	// A mark in an earlier chunk, which was left with fewer bytes in use.
	a.Reset()
	first = a.Mark()
	a.Alloc(layout(t, 4000, 1))
	same = a.Mark()
	a.Rewind(first)
	a.Alloc(l)
	a.Alloc(layout(t, 1<<16, 1)) // in another chunk
	a.Mark()
	wantPanic(t, "invalid mark", func() { a.Rewind(same) })
}

func TestResetKeepsAllSomeOrNone(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	fill := func() {
		for range 1000 {
			allocate(t, a, 100, 1)
		}
	}
	fill()
	capacity, calls := a.Capacity(), len(u.sizes) // 4, 4, 8, 16, 32 and 64 KiB
	if a.Trim() != 0 {
		t.Error("Trim released chunks that contain blocks")
	}
	for range 3 {
		a.Reset()
		fill()
	}
	if a.Capacity() != capacity || len(u.sizes) != calls {
		t.Errorf("after Reset the arena allocated %v upstream", u.sizes[calls:])
	}
	a.Reset()
	if allocate(t, a, 64<<10, 1); len(u.sizes) != calls {
		t.Error("the largest chunk was not used first")
	}
	a.Reset()
	// The chunks of 64 and 32 KiB and a small one stay.
	if n := a.TrimTo(100 << 10); n != 28<<10 || a.Capacity() != 100<<10 || len(u.Live()) != 3 {
		t.Errorf("TrimTo released %d bytes and kept %d in %d chunks", n, a.Capacity(), len(u.Live()))
	}
	if n := a.TrimTo(50 << 10); n != 64<<10 {
		t.Errorf("TrimTo released %d bytes", n)
	}
	fill()
	a.Close()
	if a.Capacity() != 0 || len(u.Live()) != 0 || a.Used() != 0 {
		t.Errorf("after Close: %v", u.Live())
	}
	fill()
}

func TestOwns(t *testing.T) {
	a, b := bump.New(nil), bump.New(nil)
	defer a.Close()
	defer b.Close()
	for size := uintptr(1); size < 1<<20; size *= 4 {
		p := a.Alloc(layout(t, size, 1))
		b.Alloc(layout(t, size, 1))
		if last := unsafe.Add(p, size-1); !a.Owns(p) || !a.Owns(last) || b.Owns(p) || b.Owns(last) {
			t.Errorf("a block of %d bytes is not owned by exactly its arena", size)
		}
	}
	mem := galloc.Must(galloc.System.Allocate(layout(t, 8192, 1)))
	defer galloc.System.Deallocate(unsafe.Pointer(&mem[0]), layout(t, 8192, 1))
	c := bump.New(fixed.New(mem[100:]))
	p := c.Alloc(layout(t, 1, 16))
	if c.Owns(unsafe.Add(p, -1)) || !c.Owns(unsafe.Add(p, 4095)) || c.Owns(unsafe.Add(p, 4096)) || c.Owns(nil) {
		t.Error("Owns is wrong at the ends of a chunk")
	}
}

func TestNames(t *testing.T) {
	if got := fmt.Sprint(bump.New(bump.New(nil))); got != "bump arena on bump arena on galloc.Global" {
		t.Error(got)
	}
	if got := fmt.Sprint(bump.New(alloctest.Track(galloc.System))); got != "bump arena on *alloctest.Tracker" {
		t.Error(got)
	}
}

// FuzzArena runs arenas with marks. The blocks since each mark are in a separate model.
func FuzzArena(f *testing.F) {
	f.Add([]byte("\x00\x20\x00\x30\x05\x00\x01\x40\x02\x50\x06\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		u := newUpstream(t, func(call int, size uintptr) bool { return call%7 == 6 || size > 1<<20 })
		a := bump.New(u)
		defer a.Close()
		a.SetLimit(3 << 20)
		type level struct {
			mark  bump.Mark
			model *alloctest.Model
			ids   []uint64
		}
		levels := []*level{{a.Mark(), alloctest.NewModel(a), nil}}
		check := func(err error) {
			t.Helper()
			if v := (*alloctest.Violation)(nil); errors.As(err, &v) {
				t.Fatal(err)
			}
		}
		verify := func() {
			for _, l := range levels {
				check(l.model.Verify())
			}
		}
		for i := uint64(1); len(data) >= 2; i, data = i+1, data[2:] {
			top := levels[len(levels)-1]
			n := uintptr(data[1])
			l := layout(t, n<<(data[0]>>4), 1<<(n%9))
			some := levels[int(n)%len(levels)]
			switch data[0] & 15 {
			case 0, 1, 2, 3:
				if err := top.model.Allocate(i, l); err == nil {
					top.ids = append(top.ids, i)
				} else {
					check(err)
				}
			case 4:
				if err := top.model.AllocateZeroed(i, l); err == nil {
					top.ids = append(top.ids, i)
				} else {
					check(err)
				}
			case 5, 6, 7: // only blocks of the newest level, because a block that moves becomes one
				if k := len(top.ids) - 1; k >= 0 {
					check(top.model.Resize(top.ids[k], l, n%2 == 0))
				}
			case 8:
				if k := len(some.ids); k > 0 {
					_, err := some.model.ResizeInPlace(some.ids[int(n)%k], max(l.Size(), 1))
					check(err)
				}
			case 9, 10:
				if k := len(some.ids) - 1; k >= 0 {
					check(some.model.Free(some.ids[k]))
					some.ids = some.ids[:k]
				}
			case 11:
				levels = append(levels, &level{a.Mark(), alloctest.NewModel(a), nil})
			case 12:
				verify()
				levels = levels[:int(n)%len(levels)+1]
				last := levels[len(levels)-1]
				a.Rewind(last.mark)
				last.model.Forget()
				last.ids = nil
			case 13:
				a.TrimTo(n << 8)
			case 14:
				_ = a.Reserve(l.Size())
			case 15:
				verify()
				if a.Reset(); n%2 == 0 {
					a.Close()
				}
				levels = []*level{{a.Mark(), alloctest.NewModel(a), nil}}
			}
			if a.Used() > a.Capacity() || a.Capacity() > 3<<20 {
				t.Fatalf("%d bytes of %d are used", a.Used(), a.Capacity())
			}
		}
		verify()
	})
}

// FuzzContract runs programs without marks.
func FuzzContract(f *testing.F) {
	a := bump.New(nil)
	f.Cleanup(a.Close)
	alloctest.Fuzz(f, func() galloc.Allocator { a.Reset(); return a })
}

func allocate(t *testing.T, a galloc.Allocator, size, align uintptr) []byte {
	t.Helper()
	b, err := a.Allocate(layout(t, size, align))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func layout(t *testing.T, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "galloc/bump: ") || !strings.Contains(got, want) {
			t.Errorf("panicked with %q, want %q", got, want)
		}
	}()
	f()
}
