package engine

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
	spans := make([]span, 8)
	r := rand.New(rand.NewPCG(2, 2))
	var l list
	var model []*span // the head last
	for range 2000 {
		s := &spans[r.IntN(len(spans))]
		at := -1
		for i := range model {
			if model[i] == s {
				at = i
			}
		}
		if at >= 0 {
			l.remove(s)
			model = append(model[:at:at], model[at+1:]...)
			if s.next != 0 || s.prev != 0 {
				t.Fatal("a removed span has links")
			}
		} else {
			l.push(s)
			model = append(model, s)
		}
		i, prev := len(model), ref(0)
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

func TestLazy(t *testing.T) {
	page := max(metaCommitStep, vm.PageSize())
	p, err := vm.Reserve(4*page, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer vm.Release(p, 4*page)
	l := lazy{base: p, size: 4*page - page/2/vm.PageSize()*vm.PageSize()}
	calls := 0
	refuse := false
	inject(t, func(vm.Op, uintptr) error {
		if calls++; refuse {
			return errInjected
		}
		return nil
	})
	for _, c := range []struct {
		n, ready uintptr
		refuse   bool
		calls    int
		ok       bool
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
		err := l.reach(c.n)
		if (err == nil) != c.ok || l.ready != c.ready || calls != c.calls {
			t.Fatalf("reach(%d): %v, ready %d, %d calls, want %d, %d", c.n, err, l.ready, calls, c.ready, c.calls)
		}
		if l.ready != 0 {
			wantZero(t, p, l.ready)
		}
	}
}

// Any address may be asked about.
func TestExtentAt(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	p := h.Alloc(64, 8)
	x := extentAt(refOf(p))
	if x == nil || x.heap != h {
		t.Fatalf("extentAt(%p) == %v", p, x)
	}
	first, end := ref(uintptr(x.base)), ref(uintptr(x.base))+ref(x.pages)<<pageShift
	for _, c := range []struct {
		at   ref
		want bool
	}{{first, true}, {end - 1, true}, {first + (end-first)/2, true}} {
		if got := extentAt(c.at) == x; got != c.want {
			t.Errorf("extentAt(%#x) == x: %v", c.at, got)
		}
	}
	for _, at := range []ref{first - 1, end} {
		if extentAt(at) == x {
			t.Errorf("extentAt(%#x) == x", at)
		}
	}
	var local int
	for _, at := range []ref{0, 1, pageSize, refOf(unsafe.Pointer(&local)), ^ref(0), ^ref(0) - mapUnit, 1 << (addressBits - 1)} {
		if extentAt(at) != nil {
			t.Errorf("extentAt(%#x) is an extent", at)
		}
	}
	if is32 != (addressBits == 32) || rootBits+leafBits+mapUnitShift != addressBits {
		t.Errorf("%d + %d + %d bits of %d", rootBits, leafBits, mapUnitShift, addressBits)
	}
	if h.SizeOf(unsafe.Pointer(&local)) != 0 || h.SizeOf(unsafe.Add(x.base, uintptr(x.pages)<<pageShift-1)) != 0 {
		t.Error("SizeOf of what is no block")
	}
	h.Free(p, 64, 8)
}

// The extent of a closed heap serves the next one, and is as new.
func TestExtentsOfClosedHeapsAreAsNew(t *testing.T) {
	withoutSpares(t)
	var base unsafe.Pointer
	for round := range 3 {
		timer := new(fakeTimer)
		h := New(Config{First: 1, Lazy: round == 1, Timer: func(f func()) Timer { timer.f = f; return timer }})
		d := &shadow{t: t, h: h}
		for range 2000 {
			d.alloc(1000, 8, true)
		}
		d.alloc(1<<20, 8, true)
		for i := range 500 {
			d.free(i, false)
		}
		timer.fire()
		timer.fire()
		wantCheck(t, h)
		d.verify()
		x := h.pages.extents[0]
		if round > 0 && x.base != base && !vm.GoMemory {
			t.Errorf("round %d: the extent at %p is not used again", round, base)
		}
		base = x.base
		p := d.live[0].p
		h.Close()
		if extentAt(refOf(p)) != nil {
			t.Error("a closed heap's addresses are still in the extent map")
		}
	}
	// Too small ones, and misaligned ones, are not taken.
	if x := reuseExtent(1<<29, 1); x != nil {
		t.Errorf("an extent of %d pages for 1<<29", x.pages)
	}
}

func TestCloseTwicePanics(t *testing.T) {
	h := New(Config{})
	h.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	h.Close()
}

// Blocks larger than any extent so far, aligned to more than a page, from extents of a size of their own.
func TestLargeAlignments(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	for _, align := range []uintptr{8 << 10, 64 << 10, 1 << 20, 2 << 20, mapUnit, 2 * mapUnit} {
		for _, size := range []uintptr{1, 5000, align, align + 1} {
			if size > 3<<20 {
				continue // touching it all takes too long
			}
			if !d.alloc(size, align, size == 1) {
				t.Fatalf("no %d bytes aligned to %d", size, align)
			}
		}
	}
	wantCheck(t, h)
	wantLive(t, d)
	d.freeAll()
	wantNothingLeft(t, h, timer)
	const maxInt = ^uintptr(0) >> 1
	for _, c := range []struct{ size, align uintptr }{{maxInt, 1}, {maxInt - 1<<20, 8}, {1, maxInt/2 + 1}, {maxInt / 2, maxInt/2 + 1}} {
		if p := h.Alloc(c.size, c.align); p != nil {
			if c.size > 1 {
				t.Errorf("%d bytes aligned to %d at %p", c.size, c.align, p)
			}
			h.Free(p, c.size, c.align)
		}
		wantCheck(t, h)
	}
}
