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

func TestArenasKeepTheContract(t *testing.T) {
	for name, upstream := range map[string]galloc.Allocator{"Global": nil, "GoHeap": galloc.GoHeap} {
		t.Run(name, func(t *testing.T) {
			// Each rule finds an arena that has been used, and was reset, trimmed or closed.
			a, n := bump.New(upstream), 0
			defer a.Close()
			fresh := func() *bump.Arena {
				if n++; n%3 == 0 {
					a.Close()
				}
				a.Reset()
				a.Trim(1 << 20)
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
		if err := alloctest.Check(&a, alloctest.Ops([]byte(strings.Repeat("\x00\x00\x80\x55\x03\x00\x90\x66", 50)))); err != nil {
			t.Error(err)
		}
	})
}

// upstream is a FailingAllocator that never fails by itself, but where fail says so, and that
// remembers what it was asked for.
type upstream struct {
	*alloctest.FailingAllocator
	fail  func(call int, size uintptr) bool
	sizes []uintptr
}

func newUpstream(t *testing.T, fail func(call int, size uintptr) bool) *upstream {
	u := &upstream{FailingAllocator: alloctest.Failing(0), fail: fail}
	t.Cleanup(func() {
		if len(u.Live()) != 0 || len(u.Mistakes()) != 0 {
			t.Errorf("blocks of the upstream at the end: %v; mistakes: %v", u.Live(), u.Mistakes())
		}
	})
	return u
}

func (u *upstream) Allocate(l galloc.Layout) ([]byte, error) {
	u.sizes = append(u.sizes, l.Size())
	if u.fail != nil && u.fail(len(u.sizes), l.Size()) {
		return nil, galloc.ErrOutOfMemory
	}
	return u.FailingAllocator.Allocate(l)
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
		if l.Align() < 16 { // for what is aligned to less, no byte at the start is lost
			t.Errorf("a chunk of %v", l)
		}
	}
	allocate(t, a, 3<<20+1, 1)
	if got := u.sizes[len(u.sizes)-1]; got != 3<<20+4096 {
		t.Errorf("a chunk of %d bytes for a large block", got)
	}
}

func TestChunksAreFilledToTheByte(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	for i, size := range []uintptr{4090, 6, 1, 4095, 4096, 4096, 1} { // chunks of 4, 4, 8 and 16 KiB
		allocate(t, a, size, 1)
		if want := []int{1, 1, 2, 2, 3, 3, 4}[i]; len(u.sizes) != want {
			t.Fatalf("block %d, of %d bytes: chunks %v", i, size, u.sizes)
		}
		used, zero := a.Used(), layout(t, 0, 64)
		if a.Alloc(zero) != zero.Dangling() || a.Used() != used {
			t.Fatal("size 0 has taken memory")
		}
	}
	a.Close()
	allocate(t, a, 4090, 1)
	allocate(t, a, 7, 1)
	if len(u.Live()) != 2 || a.Used() != 4097 {
		t.Error("a block reaches beyond its chunk")
	}
}

func TestHalfAChunkWillDo(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	allocate(t, a, 1<<16, 1)
	u.fail = func(_ int, size uintptr) bool { return size > 10_000 }
	allocate(t, a, 100, 1)
	if a.Capacity() != 1<<16+1<<13 {
		t.Errorf("capacity %d after %v were asked for", a.Capacity(), u.sizes)
	}
}

func TestTheUpstreamMayFail(t *testing.T) {
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
		if n > 1 && failed > 0 { // less is asked for, and is to be had
			t.Errorf("call %d fails, and so do %d allocations", n, failed)
		}
		all := newUpstream(t, func(call int, _ uintptr) bool { return call >= n })
		if failed, err := script(bump.New(all)); err != nil || failed == 0 {
			t.Fatalf("calls from %d on fail: %d failures, %v", n, failed, err)
		}
	}
	// It has no large blocks.
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
	if _, err := a.Allocate(l); err != galloc.ErrOutOfMemory {
		t.Errorf("error %v", err)
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = a.Allocate(l) }); n != 0 || len(u.sizes) != calls {
		t.Errorf("failing took %v allocations of Go memory, and %d of the upstream", n, len(u.sizes)-calls)
	}
	if err := a.Reserve(100); err != galloc.ErrOutOfMemory {
		t.Errorf("Reserve: %v", err)
	}
	a.SetLimit(5000) // less than there is
	if a.Alloc(l) != nil {
		t.Error("allocated beyond a lower limit")
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
		t.Fatalf("%v, %v: there was room", err, u.sizes)
	}
	for range 2 {
		if err := a.Reserve(100_000); err != nil || len(u.sizes) != 2 {
			t.Fatalf("%v, %v", err, u.sizes)
		}
	}
	allocate(t, a, 100, 1)
	if a.Used() != 200 {
		t.Errorf("%d bytes are used: Reserve has left the chunk in use", a.Used())
	}
	allocate(t, a, 100_000, 1)
	if len(u.sizes) != 2 {
		t.Errorf("what was reserved was not used: %v", u.sizes)
	}
	if err := a.Reserve(math.MaxUint); err != galloc.ErrOutOfMemory {
		t.Errorf("%v", err)
	}
}

func TestTheLastBlock(t *testing.T) {
	a := bump.New(nil)
	defer a.Close()
	l10, l20 := layout(t, 10, 1), layout(t, 20, 1)
	p := a.Alloc(l10)
	a.Dealloc(p, l10)
	a.Dealloc(p, l10) // again: it is not the last one any more
	if a.Used() != 0 || a.Alloc(l10) != p {
		t.Fatal("the last block was not taken back")
	}
	if !galloc.Resize(a, p, l10, 20) || a.Used() != 20 || !galloc.Resize(a, p, l20, 10) || a.Used() != 10 {
		t.Error("the last block was not resized, or nothing given back")
	}
	if !a.Resize(p, l10, 4096) || a.Used() != 4096 || a.Resize(p, layout(t, 4096, 1), 4097) {
		t.Error("the last block can take the chunk, and no more")
	}
	a.Resize(p, layout(t, 4096, 1), 10)
	q := a.Alloc(l10)
	if a.Resize(p, l10, 11) || !a.Resize(p, l10, 5) || a.Used() != 20 {
		t.Error("a block that is not the last one grew, or did not shrink, or gave something back")
	}
	a.Dealloc(p, layout(t, 5, 1))
	if a.Used() != 20 {
		t.Error("a block that is not the last one was taken back")
	}
	copy(unsafe.Slice((*byte)(q), 10), "0123456789")
	if r := a.Realloc(q, l10, 5000); r == q || string(unsafe.Slice((*byte)(r), 10)) != "0123456789" {
		t.Error("a block that cannot grow was not moved, or lost its bytes")
	}
	if a.Realloc(q, l10, math.MaxUint-2) != nil {
		t.Error("Realloc to a size that does not exist")
	}
	// Here the sum of the padding and the size is a small number.
	l64 := layout(t, 10, 64)
	if p := a.Alloc(l64); a.Realloc(p, l64, math.MaxUint-2) != nil {
		t.Error("Realloc to a size that does not exist, of a block that is aligned")
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
		t.Fatal("a block that is older than the newest mark was changed")
	}
	var after unsafe.Pointer
	for round := range 3 {
		first := a.Alloc(l)
		if round > 0 && first != after {
			t.Fatal("Release has not freed the blocks since the mark")
		}
		after = first
		inner := a.Mark()
		for range 1000 { // in other chunks
			a.Alloc(l)
		}
		a.Release(inner)
		if a.Used() != 200 {
			t.Fatalf("%d bytes are used after the release", a.Used())
		}
		a.Release(outer)
		if a.Used() != 100 {
			t.Fatalf("%d bytes are used after the release", a.Used())
		}
		wantPanic(t, "not valid any more", func() { a.Release(inner) })
		a.Alloc(layout(t, 200, 1)) // more than there was at inner
		wantPanic(t, "not valid any more", func() { a.Release(inner) })
		a.Release(outer)
		if a.Dealloc(a.Alloc(l), l); a.Used() != 100 {
			t.Fatal("what is younger than the mark that was released to was not taken back")
		}
		if a.Dealloc(p, l); a.Used() != 100 {
			t.Fatal("a block that is older than a mark that was released to was taken back")
		}
	}
	if calls := len(u.sizes); calls > 7 {
		t.Errorf("%d chunks: they were not used again", calls)
	}
	a.Release(empty)
	if a.Used() != 0 {
		t.Errorf("%d bytes are used", a.Used())
	}
	wantPanic(t, "not valid any more", func() { a.Release(outer) })
	other := bump.New(nil)
	wantPanic(t, "another arena", func() { other.Release(empty) })
	wantPanic(t, "another arena", func() { a.Release(bump.Mark{}) })
	m := a.Mark()
	a.Reset()
	wantPanic(t, "not valid any more", func() { a.Release(m) })
	m = a.Mark()
	a.Release(m)
	a.Close()
	wantPanic(t, "not valid any more", func() { a.Release(m) })
}

// A spare chunk in which a block does not fit for its alignment stays spare.
func TestSpareChunksAreKeptForWhatFits(t *testing.T) {
	mem := galloc.Must(galloc.System.Allocate(layout(t, 1<<16, 8192)))
	defer galloc.System.Deallocate(unsafe.Pointer(&mem[0]), layout(t, 1<<16, 8192))
	a := bump.New(fixed.New(mem[16:]))
	if err := a.Reserve(4096); err != nil { // a chunk that is not aligned to more than 16
		t.Fatal(err)
	}
	allocate(t, a, 4000, 4096)
	allocate(t, a, 4096, 1)
	if a.Capacity() != 8192 {
		t.Errorf("chunks of %d bytes", a.Capacity())
	}
}

// A mark that is not valid, and not seen to be so by its number, does not lead beyond what is in use.
func TestInvalidMarksDoNoHarm(t *testing.T) {
	u := newUpstream(t, nil)
	a := bump.New(u)
	defer a.Close()
	l := layout(t, 100, 1)
	first := a.Mark()
	a.Alloc(l)
	same := a.Mark() // in the chunk that first is in
	for range 100 {
		a.Alloc(l)
	}
	far := a.Mark() // in a later chunk
	a.Release(first)
	a.Mark() // the numbers of the others are valid again
	for _, m := range []bump.Mark{far, same} {
		wantPanic(t, "not valid any more", func() { a.Release(m) })
	}
	a.Trim(0)
	wantPanic(t, "not valid any more", func() { a.Release(far) })
	if a.Used() != 0 || a.Capacity() > 4096 {
		t.Errorf("%d bytes of %d are used", a.Used(), a.Capacity())
	}
	// Here it is not found out, and what lies before it stays.
	a.Release(a.Mark())
	kept := a.Alloc(l)
	a.Alloc(l)
	a.Release(same)
	if next := a.Alloc(l); a.Used() != 200 || next != unsafe.Add(kept, 100) {
		t.Errorf("%d bytes are used", a.Used())
	}
	// In the chunk in use, which has less in it than at the mark.
	first = a.Mark()
	a.Alloc(l)
	same = a.Mark()
	a.Release(first)
	a.Mark()
	wantPanic(t, "not valid any more", func() { a.Release(same) })
	// In one that was left meanwhile, with less in it.
	a.Reset()
	first = a.Mark()
	a.Alloc(layout(t, 4000, 1))
	same = a.Mark()
	a.Release(first)
	a.Alloc(l)
	a.Alloc(layout(t, 1<<16, 1)) // in another chunk
	a.Mark()
	wantPanic(t, "not valid any more", func() { a.Release(same) })
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
	if a.Trim(0) != 0 {
		t.Error("Trim has given back chunks with blocks in them")
	}
	for range 3 {
		a.Reset()
		fill()
	}
	if a.Capacity() != capacity || len(u.sizes) != calls {
		t.Errorf("after Reset it took %v of the upstream", u.sizes[calls:])
	}
	a.Reset()
	if allocate(t, a, 64<<10, 1); len(u.sizes) != calls {
		t.Error("the largest chunk was not the first one to be used")
	}
	a.Reset()
	if n := a.Trim(100 << 10); n != 28<<10 || a.Capacity() != 100<<10 || len(u.Live()) != 3 { // 64, 32 and a small one stay
		t.Errorf("Trim has given back %d bytes, and kept %d in %d chunks", n, a.Capacity(), len(u.Live()))
	}
	if n := a.Trim(50 << 10); n != 64<<10 {
		t.Errorf("Trim has given back %d bytes", n)
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
			t.Errorf("a block of %d bytes is not owned by its arena alone", size)
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
	if got := fmt.Sprint(bump.New(alloctest.Failing(0))); got != "bump arena on *alloctest.FailingAllocator" {
		t.Error(got)
	}
}

// FuzzArena runs arenas with marks, each with the blocks since then in a model of its own.
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
			case 5, 6, 7: // of the newest level: a block that moves is as new as that
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
				a.Release(last.mark)
				last.model.Forget()
				last.ids = nil
			case 13:
				a.Trim(n << 8)
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

// FuzzContract runs programs that know of no marks.
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
