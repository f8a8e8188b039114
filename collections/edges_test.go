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
