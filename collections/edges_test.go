package collections

import (
	"errors"
	"math"
	"math/bits"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// What is at the end of a range: of counts, generations, indices, hashes, sizes.

// Where a ref has not all the bits of the hash that a table needs, the key is hashed anew.
func TestTablesOfMoreGroupsThanARefTells(t *testing.T) {
	defer func(was int) { refBits = was }(refBits)
	var m StringMap[int]
	defer m.Free()
	m.Reserve(1000)
	key := "key"
	m.Put(key, 1)
	s := m.find(key)
	control, h := h7(m.hash(key)), m.hash(key)
	other := *s
	other.ref ^= 1 << 63
	for refBits = range 22 {
		if m.t.lg() > refBits {
			if got := m.rehash(control, &other); got != h {
				t.Fatalf("%d bits: hash %x, not %x", refBits, got, h)
			}
		} else if got := m.rehash(control, &other); got>>63 == h>>63 || got&0x7f != h&0x7f {
			t.Fatalf("%d bits: hash %x, of %x", refBits, got, h)
		}
	}
	refBits = 1
	for seed := range uint64(3) {
		program := make([]byte, 900)
		for i := range program {
			program[i] = byte(seed*7 + uint64(i*i*13>>3))
			if i%2 == 0 {
				program[i] &^= 0x40 // nothing fails
			}
		}
		runModel(t, 2, program)
		runModel(t, 3, program)
	}
}

// h7 is the control byte of a hash.
func h7(h uint64) uint64 { return h&0x7f | full }

// A map that has been empty for once has places for as many keys as before.
func TestShrinkingAnEmptyMapKeepsTheLimitOfItsKeys(t *testing.T) {
	var m StringMap[int]
	var x TextMap
	for range 2 {
		m.Put("a", 1)
		x.Put("a", "")
		if m.keys.limit != maxPlace || x.m.keys.limit != maxPlace {
			t.Errorf("limits %d and %d", m.keys.limit, x.m.keys.limit)
		}
		m.Delete("a")
		x.Delete("a")
		m.ShrinkToFit()
		x.ShrinkToFit()
	}
	if m.t.base != nil || m.keys.chunks != nil || x.m.t.base != nil || x.values.chunks != nil {
		t.Error("an empty map keeps memory")
	}
}

// To shrink needs memory. Where there is none, all stays, and nobody calls the hook.
func TestShrinkingWithoutMemoryDoesNothing(t *testing.T) {
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(l) })
	defer galloc.SetAllocErrorHook(nil)
	for _, sub := range subjects {
		a := &switched{FailingAllocator: alloctest.Failing(0)}
		s := sub.make(a)
		for k := range 300 {
			_ = s.put(k, k)
		}
		for k := 10; k < 300; k++ {
			s.remove(k)
		}
		c := s.Cap()
		a.off = true
		s.(interface{ ShrinkToFit() }).ShrinkToFit()
		if err := s.TryShrinkToFit(); !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("%s: error %v", sub.name, err)
		}
		a.off = false
		if s.Len() != 10 || s.Cap() != c || s.check() != nil {
			t.Errorf("%s: %d entries, capacity %d, was %d; %v", sub.name, s.Len(), s.Cap(), c, s.check())
		}
		s.(interface{ ShrinkToFit() }).ShrinkToFit()
		if s.Len() != 10 || s.Cap() >= c || s.check() != nil {
			t.Errorf("%s: %d entries, capacity %d after ShrinkToFit, was %d", sub.name, s.Len(), s.Cap(), c)
		}
		s.Free()
		if len(a.Live())+len(a.Mistakes()) != 0 {
			t.Error(a.Live(), a.Mistakes())
		}
	}
}

// A slot wears out after 2^31 values; a Slab that has worn some out is as good as new after Free.
func TestASlabDoesNotWearOut(t *testing.T) {
	a := alloctest.Failing(0)
	s := NewSlab[int](a)
	h := s.Insert(1)
	wear := func() {
		s.at(h.index).generation = math.MaxUint32
		s.top = math.MaxUint32 - 1 // as Insert has left it when the slot had the value before
		h.generation = math.MaxUint32
		s.Remove(h)
	}
	wear()
	c, err := s.TryClone()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Slab[int]{s, c} {
		if s.Cap() != 7 {
			t.Errorf("%d slots of 7", s.Cap())
		}
		s.Reserve(8)
		calls := a.Calls()
		for i := range 8 {
			s.Insert(i)
		}
		if a.Calls() != calls {
			t.Error("Reserve counts a slot that is worn out")
		}
		s.Free()
		if s.Reserve(8); s.Cap() != 8 {
			t.Errorf("%d slots after Free", s.Cap())
		}
		first := s.Insert(1)
		for range 100 { // the slot is used again
			s.Remove(first)
			if h := s.Insert(2); h.index != first.index || h == first {
				t.Fatalf("%v after %v", h, first)
			} else {
				first = h
			}
		}
		s.Free()
		if s.Insert(3) == first {
			t.Error("a handle is good again after Free")
		}
		s.Free()
	}
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}

// What no index can tell is refused before there is memory for a part of it.
func TestReservingTooManyTakesNoMemory(t *testing.T) {
	a := alloctest.Failing(0)
	tree, in, slab := NewBTree[int, int](a), NewInterner(a), NewSlab[int](a)
	for what, reserve := range map[string]func(n int) error{
		"BTree": tree.TryReserve, "Interner": in.TryReserve, "Slab": slab.TryReserve,
	} {
		for _, n := range []int{math.MaxInt, math.MaxInt - 1, math.MaxInt / 2} {
			calls := a.Calls()
			var e *galloc.LayoutError
			if err := reserve(n); !errors.Is(err, galloc.ErrUnsupported) && !errors.As(err, &e) {
				t.Errorf("%s: Reserve(%d): %v", what, n, err)
			}
			if n := a.Calls() - calls; n != 0 {
				t.Errorf("%s: %d allocations", what, n)
			}
		}
	}
	tree.Put(1, 1)
	slab.Insert(1)
	if err := slab.TryReserve(1<<31 - 8); bits.UintSize == 64 && !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("Reserve of one slot more than there can be: %v", err)
	}
	if tree.Len() != 1 || slab.Len() != 1 || in.Intern("") != 0 {
		t.Error("they are not as they were")
	}
	tree.Free()
	in.Free()
	slab.Free()
	if len(a.Live()) != 0 {
		t.Error(a.Live())
	}
}

func TestOwnersAreNotMoreThanCanBeCounted(t *testing.T) {
	panics := func(f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if s, _ := recover().(string); !strings.HasPrefix(s, "galloc/collections: more owners") {
				t.Errorf("panic %q", s)
			}
		}()
		f()
	}
	r, s := NewRc(nil, 1), NewArc(nil, 1)
	r.block().owners, s.block().owners = math.MaxInt-1, math.MaxInt-1
	r.Share()
	s.Share()
	for range 3 {
		panics(func() { r.Share() })
		panics(func() { s.Share() })
	}
	if r.Owners() != math.MaxInt || s.Owners() != math.MaxInt {
		t.Errorf("%d and %d owners", r.Owners(), s.Owners())
	}
	r.block().owners, s.block().owners = 1, 1
	if !r.Free(nil) || !s.Free(nil) {
		t.Error("not the last owners")
	}
}

// On 32 bits there are rings whose double, and double the elements, are more than an int tells. This one has no memory
// but for its first bytes: nothing is read.
func TestARingThatCannotDouble(t *testing.T) {
	if bits.UintSize != 32 {
		return
	}
	var b [8]byte
	const n = math.MaxInt/2 + 10
	d := Deque[byte]{a: galloc.Null, ring: unsafe.Slice(&b[0], n), n: n}
	front, _ := d.Slices()
	var e *galloc.LayoutError
	if err := d.TryAppend(front...); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

// A panic of the order leaves the tree as it was, and nothing allocated besides.
func TestPanicsOfTheOrderLeaveTheTree(t *testing.T) {
	left := -1 // comparisons before the panic; none if negative
	order := func(x, y int) int {
		if left--; left == -1 {
			panic("order")
		}
		return x - y
	}
	panics := func(f func()) (panicked bool) {
		defer func() { panicked = recover() != nil }()
		f()
		return false
	}
	for what, c := range map[string]struct {
		thin   bool
		change func(b *BTreeFunc[int, int])
		stride int
	}{
		"Put":         {false, func(b *BTreeFunc[int, int]) { b.Put(1001, 1) }, 1},
		"Delete":      {true, func(b *BTreeFunc[int, int]) { b.Delete(2000) }, 1},
		"ShrinkToFit": {true, func(b *BTreeFunc[int, int]) { b.ShrinkToFit() }, 501},
		"Range": {false, func(b *BTreeFunc[int, int]) {
			for range b.RangeBackward(100, 300) {
				continue
			}
		}, 1},
	} {
		a := alloctest.Failing(0)
		b := NewBTreeFunc[int, int](a, order)
		for i := range 4000 {
			b.Put(i*2, i) // every leaf is full
		}
		for i := range 4000 {
			if c.thin && i%250 != 0 {
				b.Delete(i * 2) // many have the minimum
			}
		}
		n, live := b.Len(), len(a.Live())
		steps := 0
		for panicked := true; panicked; steps += c.stride {
			left = steps
			panicked = panics(func() { c.change(b) })
			left = -1
			if err := b.Check(); err != nil {
				t.Fatalf("%s, panic at comparison %d: %v", what, steps, err)
			}
			if got := len(a.Live()); panicked && (got != live || b.Len() != n) {
				t.Fatalf("%s, panic at comparison %d: %d entries in %d blocks, before %d in %d", what, steps, b.Len(), got, n, live)
			}
		}
		if steps == c.stride {
			t.Errorf("%s: no panic", what)
		}
		b.Free()
		if len(a.Live())+len(a.Mistakes()) != 0 {
			t.Error(a.Live(), a.Mistakes())
		}
	}
}

// The last unit that an index tells can be had, the next one cannot. A copy has no more blocks than what is copied.
func TestSegmentsEndWhereIndicesDo(t *testing.T) {
	s := segments{stride: 1, align: 1, low: 3}
	if err := s.growUntil(galloc.Null, 1<<31); !errors.Is(err, galloc.ErrOutOfMemory) && bits.UintSize == 64 {
		t.Errorf("2^31: %v", err)
	}
	if err := s.growUntil(galloc.Null, 1<<31+1); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("2^31+1: %v", err)
	}
	if err := s.growUntil(galloc.Null, 8); err != nil {
		t.Errorf("nothing: %v", err)
	}
	a := alloctest.Failing(0)
	b := NewSlab[int](a)
	for i := range 8 {
		b.Insert(i)
	}
	b.Reserve(100)
	calls := a.Calls()
	c := b.Clone()
	if a.Calls() != calls+1 || c.Len() != 8 || c.Cap() != 8 {
		t.Errorf("%d blocks, %d slots for 8 values", a.Calls()-calls, c.Cap())
	}
	b.Free()
	c.Free()
	// Not the slots that are there already, nor those that are full: as many as are missing.
	b.Reserve(8)
	if b.Cap() != 8 {
		t.Errorf("%d slots for 8", b.Cap())
	}
	b.Insert(1)
	b.Reserve(7)
	if b.Cap() != 8 {
		t.Errorf("%d slots for 8", b.Cap())
	}
	b.Free()
}

// huge is an allocator of blocks that nobody has seen, but for their first bytes.
type huge struct {
	p    unsafe.Pointer
	size uintptr // of the last one
}

func (h *huge) Allocate(l galloc.Layout) ([]byte, error) {
	h.size = l.Size()
	return unsafe.Slice((*byte)(h.p), l.Size()), nil
}

func (h *huge) Deallocate(unsafe.Pointer, galloc.Layout) {}

func (h *huge) Grow(_ unsafe.Pointer, _, l galloc.Layout) ([]byte, error) { return h.Allocate(l) }

func (h *huge) GrowZeroed(_ unsafe.Pointer, _, l galloc.Layout) ([]byte, error) { return h.Allocate(l) }

// What is needed may be had where twice as much is more than there can be.
func TestArraysThatCannotDouble(t *testing.T) {
	if bits.UintSize == 32 {
		return // so much does not lie behind any block
	}
	l := galloc.LayoutOf[uint64]()
	b := galloc.Must(galloc.System.Allocate(l))
	defer galloc.System.Deallocate(unsafe.Pointer(&b[0]), l)
	const n = math.MaxInt / 16 // twice as many do not fit, nor by far
	for _, first := range []int{n - 1000, n + 1000} {
		h := &huge{p: unsafe.Pointer(&b[0])}
		v := NewVec[uint64](h)
		v.ReserveExact(first)
		if err := v.TryReserve(n + 2000); err != nil {
			t.Errorf("from %d: %v", first, err)
		}
		if want := uintptr(max(n+2000, 2*first)) * 8; first < n && h.size != uintptr(2*first)*8 || first > n && h.size != (n+2000)*8 {
			t.Errorf("from %d: %d bytes, at most %d", first, h.size, want)
		}
	}
}

// A text that has one unit too many for what is left of a block goes to the next one.
func TestTextsStayWithinTheirBlocks(t *testing.T) {
	for _, n := range []int{4, 5, 8, 9, 1020, 1024} {
		a := alloctest.Failing(0)
		in := NewInterner(a)
		for i := range 255 {
			in.Intern(string([]byte{'a', 'b', byte(i), 'c'})) // 255 units of 256
		}
		in.Intern(strings.Repeat("x", n))
		blocks := 0
		for _, p := range in.text.blocks {
			if p != nil {
				blocks++
			}
		}
		if want := 1 + min((n-1)/textUnit, 1); blocks != want {
			t.Errorf("%d blocks of text with one of %d bytes more, want %d", blocks, n, want)
		}
		calls := a.Calls()
		in.Clear()
		for i := range 255 {
			in.Intern(string([]byte{'a', 'b', byte(i), 'd'}))
		}
		if a.Calls() != calls || in.next != 1<<lowText+255 {
			t.Errorf("after Clear, %d allocations, and the next text goes to %d", a.Calls()-calls, in.next)
		}
		in.Free()
		if len(a.Live())+len(a.Mistakes()) != 0 {
			t.Error(a.Live(), a.Mistakes())
		}
	}
	if bits.UintSize == 64 {
		n := uint64(1) << 32
		if err := NewInterner(galloc.Null).TryReserve(int(n)); !errors.Is(err, galloc.ErrUnsupported) {
			t.Errorf("Reserve of more numbers than there are: %v", err)
		}
	}
}

// Nodes that have become free are used before there are new ones, and Reserve counts them.
func TestFreeNodesAreUsedAgain(t *testing.T) {
	a := alloctest.Failing(0)
	b := NewBTree[uint32, uint32](a)
	scattered := func(i uint32) uint32 { return i * 0x9e3779b1 }
	n := uint32(0)
	for ; n < 10_000 || uint64(b.fresh) != b.nodes.end(); n++ { // all nodes are used
		b.Put(scattered(n), n)
	}
	for i := range n - 100 {
		b.Delete(scattered(i))
	}
	calls := a.Calls()
	for i := range n / 2 {
		b.Put(scattered(i), i)
	}
	if a.Calls() != calls {
		t.Errorf("%d allocations though there are %d free nodes", a.Calls()-calls, b.spare)
	}
	b.Free()

	// Descending keys leave leaves that are half full, which is the worst that insertion does.
	for more := 50; more < 3000; more += 41 {
		b := NewBTreeFunc[[60]byte, struct{}](a, func(x, y [60]byte) int {
			return (int(x[0])<<8 + int(x[1])) - (int(y[0])<<8 + int(y[1]))
		})
		key := func(i int) [60]byte { return [60]byte{byte(i >> 8), byte(i)} }
		for i := range 400 {
			b.Put(key(10_000+i), struct{}{})
		}
		for i := range 399 {
			b.Delete(key(10_000 + i))
		}
		b.Reserve(more)
		calls := a.Calls()
		for i := range more {
			b.Put(key(9999-i), struct{}{})
		}
		if a.Calls() != calls {
			t.Fatalf("%d allocations after Reserve(%d)", a.Calls()-calls, more)
		}
		b.Free()
	}
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}

// A range looks at the leaves that it is in, not at all that are beyond its end.
func TestRangesEnd(t *testing.T) {
	comparisons := 0
	b := NewBTreeFunc[int, int](nil, func(x, y int) int { comparisons++; return x - y })
	defer b.Free()
	for i := range 20_000 {
		b.Put(i, i)
	}
	comparisons = 0
	n := 0
	for range b.Range(10_000, 10_010) {
		n++
	}
	for range b.RangeBackward(10_000, 10_010) {
		n++
	}
	for range b.Range(10_010, 10_000) {
		n++
	}
	for range b.RangeBackward(10_010, 10_000) {
		n++
	}
	if n != 20 || comparisons > 200 {
		t.Errorf("%d entries, %d comparisons", n, comparisons)
	}
}

// Handles that no Slab has ever given tell nothing.
func TestHandlesOfNothing(t *testing.T) {
	s := NewSlab[int](nil)
	defer s.Free()
	for round := range 2 {
		for i := range uint32(40) {
			for _, generation := range []uint32{0, 1, 2} {
				h := Handle[int]{i, generation}
				if want := round == 1 && i >= 8 && i < 18 && generation == 1; s.Has(h) != want {
					t.Errorf("%v: %v", h, !want)
				}
			}
		}
		for i := range 10 * (1 - round) {
			s.Insert(i)
		}
	}
}

// Cap counts the inner nodes above leaves that came in ascending order.
func TestInnerNodesAboveLeaves(t *testing.T) {
	b := NewBTreeFunc[[60]byte, struct{}](nil, func(x, y [60]byte) int {
		return (int(x[0])<<16 + int(x[1])<<8 + int(x[2])) - (int(y[0])<<16 + int(y[1])<<8 + int(y[2]))
	})
	defer b.Free()
	for i, leaves := 0, 0; leaves < 1000; i++ {
		b.Put([60]byte{byte(i >> 16), byte(i >> 8), byte(i)}, struct{}{})
		if leaves = i/b.leafCap + 1; int(b.fresh-b.nodes.first()) != leaves+b.above(leaves) {
			t.Fatalf("%d nodes for %d leaves, and %d above them", b.fresh-b.nodes.first(), leaves, b.above(leaves))
		}
	}
	if b.innerCap > 8 || b.height < 4 {
		t.Errorf("the tree is not high: %d kids, height %d", b.innerCap, b.height)
	}
}
