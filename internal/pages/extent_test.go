package pages

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

func TestBitmap(t *testing.T) {
	const n = 200
	r := rand.New(rand.NewPCG(1, 1))
	for round := range 24 {
		b := make(bitmap, (n+63)/64)
		model := make([]bool, n)
		for range 1 + round*3 {
			i := uint32(r.IntN(n))
			j := i + uint32(r.IntN(n-int(i)+1))
			v := r.IntN(2) == 0
			changed := 0
			for k := i; k < j; k++ {
				if model[k] != v {
					changed++
				}
				model[k] = v
			}
			if got := b.set(i, j, v); got != changed {
				t.Fatalf("set(%d, %d, %v) == %d, want %d", i, j, v, got, changed)
			}
		}
		for i := uint32(0); i < n; i++ {
			if b.get(i) != model[i] {
				t.Fatalf("get(%d) == %v", i, b.get(i))
			}
			if model[i] {
				first := i
				for first > 0 && model[first-1] {
					first--
				}
				if got := b.first(i); got != first {
					t.Fatalf("first(%d) == %d, want %d", i, got, first)
				}
			}
			count := 0
			next := map[bool]uint32{}
			for j := i; ; j++ {
				for _, v := range []bool{false, true} {
					want, ok := next[v]
					if !ok {
						want = j
					}
					if got := b.next(i, j, v); got != want {
						t.Fatalf("next(%d, %d, %v) == %d, want %d", i, j, v, got, want)
					}
					if got := nextBit(func(w uint32) uint64 { return b[w] }, i, j); v && got != want {
						t.Fatalf("nextBit(%d, %d) == %d, want %d", i, j, got, want)
					}
				}
				if got := b.count(i, j); got != count {
					t.Fatalf("count(%d, %d) == %d, want %d", i, j, got, count)
				}
				if j == n {
					break
				}
				if _, ok := next[model[j]]; !ok {
					next[model[j]] = j
				}
				if model[j] {
					count++
				}
			}
		}
	}
	full := bitmap{^uint64(0), ^uint64(0), ^uint64(0)}
	for i := range uint32(192) {
		if got := full.first(i); got != 0 {
			t.Fatalf("first(%d) == %d in a full bitmap", i, got)
		}
	}
}

func TestList(t *testing.T) {
	spans := make([]Span, 8)
	r := rand.New(rand.NewPCG(2, 2))
	var l List
	var model []*Span // the head last
	for range 2000 {
		s := &spans[r.IntN(len(spans))]
		at := -1
		for i := range model {
			if model[i] == s {
				at = i
			}
		}
		if at >= 0 {
			l.Remove(s)
			model = append(model[:at:at], model[at+1:]...)
			if s.next != 0 || s.prev != 0 {
				t.Fatal("a removed span has links")
			}
		} else {
			l.Push(s)
			model = append(model, s)
		}
		i, prev := len(model), Ref(0)
		for at := l.head; at != 0; at = at.span().next {
			if i--; i < 0 || at.span() != model[i] || at.span().prev != prev {
				t.Fatalf("element %d from the end is wrong", i)
			}
			prev = at
		}
		if i != 0 {
			t.Fatalf("%d elements are missing", i)
		}
	}
}

func TestArray(t *testing.T) {
	page := max(commitStep, vm.PageSize())
	p, err := vm.Reserve(4*page, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Release(p, 4*page)
	l := array{base: p, size: 4*page - page/2/vm.PageSize()*vm.PageSize()}
	calls := 0
	refuse := false
	inject(t, func(vm.Op, uintptr) error {
		if calls++; refuse {
			return vm.ErrTooLarge
		}
		return nil
	})
	for _, c := range []struct {
		n, committed uintptr
		refuse       bool
		calls        int
		ok           bool
	}{
		{0, 0, false, 0, true},
		{1, 0, true, 1, false},
		{1, page, false, 1, true},
		{page, page, true, 0, true},
		{page + 1, page, true, 1, false},
		{2*page + 1, 3 * page, false, 1, true},
		{page, 3 * page, false, 0, true},
		{l.size + 1, 3 * page, false, 0, false},
		{l.size, l.size, false, 1, true},
		{l.size + 1, l.size, false, 0, false},
	} {
		calls, refuse = 0, c.refuse
		err := l.commit(c.n)
		if (err == nil) != c.ok || l.committed != c.committed || calls != c.calls {
			t.Fatalf("commit(%d): %v, committed %d, %d calls, want %d, %d", c.n, err, l.committed, calls, c.committed,
				c.calls)
		}
		if l.committed != 0 {
			for i, v := range unsafe.Slice((*byte)(p), l.committed) {
				if v != 0 {
					t.Fatalf("byte %d is %#x", i, v)
				}
			}
		}
	}
}

// ExtentAt and the look-ups based on it accept any address.
func TestExtentAt(t *testing.T) {
	a := newAllocator(t, Config{First: 1})
	m := &model{t: t, a: a}
	if !m.alloc(1, 1, KindLarge, 0, 1) {
		t.Fatal("no memory")
	}
	s := m.runs[0].s
	x := ExtentAt(s.Base)
	if x == nil || x.owner != a || !a.Owns(s.Base) || a.SpanAt(s.Base) != s {
		t.Fatalf("ExtentAt(%#x) == %v", s.Base, x)
	}
	first, end := Ref(uintptr(x.base)), Ref(uintptr(x.base))+Ref(x.pages)<<PageShift
	for _, at := range []Ref{first, end - 1, first + (end-first)/2} {
		if ExtentAt(at) != x {
			t.Errorf("ExtentAt(%#x) is not x", at)
		}
	}
	for _, at := range []Ref{first - 1, end} {
		if ExtentAt(at) == x {
			t.Errorf("ExtentAt(%#x) is x", at)
		}
	}
	var local int
	for _, at := range []Ref{
		0, 1, PageSize, RefOf(unsafe.Pointer(&local)), ^Ref(0), ^Ref(0) - MapUnit,
		1 << (addressBits - 1),
	} {
		if ExtentAt(at) != nil || a.Owns(at) || a.SpanAt(at) != nil || a.ClassAt(at) != 0 {
			t.Errorf("ExtentAt(%#x) is an extent", at)
		}
	}
	if is32 != (addressBits == 32) || rootBits+leafBits+mapUnitShift != addressBits {
		t.Errorf("%d + %d + %d bits of %d", rootBits, leafBits, mapUnitShift, addressBits)
	}
	if a.SpanAt(end-1) != nil {
		t.Error("SpanAt finds a span above the frontier")
	}
	m.finish()
}
