package wrap_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/wrap"
)

func second[T any](_ T, err error) error { return err }

func TestFallback(t *testing.T) {
	h := newHeap(t)
	first := wrap.Limit(h, 1000)
	next := wrap.Stats(galloc.System)
	a := wrap.Fallback(first, next)
	l := layout(400, 8)
	p, q := a.Alloc(l), a.Alloc(l)
	r := a.Alloc(l) // does not fit
	if p == nil || q == nil || r == nil || next.Snapshot().Live() != 1 || !h.Owns(p) || h.Owns(r) {
		t.Fatalf("next has %v", next.Snapshot())
	}
	*(*byte)(p) = 7
	g, err := a.Grow(p, l, layout(5000, 8)) // moves to the second
	if err != nil || g[0] != 7 || next.Snapshot().Live() != 2 || first.Used() >= 900 {
		t.Errorf("growing: %v, next has %v, first %d", err, next.Snapshot(), first.Used())
	}
	a.Dealloc(unsafe.Pointer(&g[0]), layout(5000, 8))
	a.Dealloc(q, l)
	a.Dealloc(r, l)
	if next.Snapshot().Live() != 0 || first.Used() != 0 {
		t.Errorf("freed in the wrong one: next has %v, first %d", next.Snapshot(), first.Used())
	}
	if n := a.UsableSize(layout(98, 8)); n != 98 { // 112 in the first, but a block may be in System
		t.Errorf("UsableSize is %d", n)
	}
	// No block moves back: a block that the second cannot grow does not move to the first.
	a = wrap.Fallback(alloctest.Fail(h, alloctest.At(1)), alloctest.Fail(galloc.System, alloctest.After(1)))
	p = a.Alloc(l)
	if a.Realloc(p, l, 500) != nil || second(a.Grow(p, l, layout(500, 8))) == nil {
		t.Error("a block of the second has gone to the first")
	}
	a.Dealloc(p, l)
	defer func() {
		if m := fmt.Sprint(recover()); !strings.Contains(m, "does not know its blocks") {
			t.Errorf("panic %q", m)
		}
	}()
	wrap.Fallback(galloc.System, h)
}

func TestSegregate(t *testing.T) {
	small, large := wrap.Stats(newHeap(t)), wrap.Stats(newHeap(t))
	a := wrap.Segregate(100, small, large)
	where := func(what string, s, l int64) {
		t.Helper()
		if small.Snapshot().Live() != s || large.Snapshot().Live() != l {
			t.Errorf("%s: small has %v, large %v", what, small.Snapshot(), large.Snapshot())
		}
	}
	l := layout(98, 8)
	b, _ := a.Allocate(l)
	where("98 bytes", 1, 0)
	if len(b) != 100 || a.UsableSize(l) != 100 { // blocks of the heap have 112
		t.Errorf("a small block has %d bytes, usable %d", len(b), a.UsableSize(l))
	}
	b[97] = 9
	b, err := a.Grow(unsafe.Pointer(&b[0]), layout(100, 8), layout(101, 8))
	where("grown to 101", 0, 1)
	if err != nil || b[97] != 9 {
		t.Errorf("growing across the border: %v", err)
	}
	if a.Resize(unsafe.Pointer(&b[0]), layout(101, 8), 100) {
		t.Error("a large block cannot become a small one where it is")
	}
	p := a.Realloc(unsafe.Pointer(&b[0]), layout(101, 8), 100)
	where("shrunk to 100", 1, 0)
	if *(*byte)(unsafe.Add(p, 97)) != 9 {
		t.Error("shrinking across the border loses the content")
	}
	a.Dealloc(p, layout(100, 8))
	where("freed", 0, 0)
}

func TestStackFallback(t *testing.T) {
	next := wrap.Stats(galloc.System)
	a := wrap.StackFallback(make([]byte, 1024), next)
	l := layout(100, 1)
	for range 1000 { // all room becomes available again
		var p [10]unsafe.Pointer
		for i := range p {
			p[i] = a.Alloc(l)
		}
		for i := range p {
			a.Dealloc(p[i*7%10], l)
		}
	}
	if s := next.Snapshot(); s.Allocs != 0 {
		t.Errorf("next has been used: %v", s)
	}
	p := a.Alloc(l)
	if !a.Resize(p, l, 1000) || a.Resize(p, layout(1000, 1), 1100) {
		t.Error("the topmost block cannot be resized where it is, or beyond the end")
	}
	q := a.Alloc(l)
	if next.Snapshot().Live() != 1 {
		t.Error("it did not fall back")
	}
	a.Dealloc(q, l)
	a.Dealloc(p, layout(1000, 1))
	r := a.Alloc(layout(1024, 1))
	if next.Snapshot().Live() != 0 || r == nil {
		t.Error("a block of the whole buffer is refused")
	}
	a.Dealloc(r, layout(1024, 1))
	p = a.Alloc(l)
	for range 3 { // the topmost block makes room at once, even above another
		a.Dealloc(a.Alloc(layout(900, 1)), layout(900, 1))
	}
	if next.Snapshot().Allocs != 1 || !a.Resize(p, l, 1024) {
		t.Errorf("the room on top is not available again, or not to the last byte: next has %v", next.Snapshot())
	}
}

// A misuse of a block of the buffer panics and changes nothing: no live block is handed out.
func TestStackFallbackDetectsMisuse(t *testing.T) {
	l := layout(100, 1)
	for _, c := range []struct {
		name, want string
		do         func(a galloc.Allocator, p, q unsafe.Pointer) // two live blocks, p below q
	}{
		{"double free below", "double free", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			a.Deallocate(p, l)
			a.Deallocate(p, l)
		}},
		{"double free on top", "double free", func(a galloc.Allocator, _, q unsafe.Pointer) {
			a.Deallocate(q, l)
			a.Deallocate(q, l)
		}},
		{"double free of all", "double free", func(a galloc.Allocator, p, q unsafe.Pointer) {
			a.Deallocate(p, l)
			a.Deallocate(q, l)
			a.Deallocate(p, l)
		}},
		{"shrink to nothing twice", "double free", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			for range 2 {
				_, _ = galloc.Shrink(a, p, l, layout(0, 1))
			}
		}},
		{"grow after free", "double free", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			a.Deallocate(p, l)
			_, _ = galloc.Grow(a, p, l, layout(200, 1))
		}},
		{"resize after free", "double free", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			a.Deallocate(p, l)
			galloc.Resize(a, p, l, 50)
		}},
		{"realloc after free", "double free", func(a galloc.Allocator, _, q unsafe.Pointer) {
			a.Deallocate(q, l)
			a.(galloc.GlobalRealloc).Realloc(q, l, 50)
		}},
		{"wrong size", "wrong layout", func(a galloc.Allocator, p, _ unsafe.Pointer) { a.Deallocate(p, layout(99, 1)) }},
		{"old size", "wrong layout", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			if !galloc.Resize(a, p, l, 50) {
				t.Error("a block that shrinks moves")
			}
			a.Deallocate(p, l)
		}},
		{"interior", "interior free", func(a galloc.Allocator, p, _ unsafe.Pointer) {
			a.Deallocate(unsafe.Add(p, 1), l)
		}},
		{"never allocated", "double free", func(a galloc.Allocator, _, q unsafe.Pointer) {
			a.Deallocate(unsafe.Add(q, 100), l)
		}},
	} {
		a := wrap.StackFallback(make([]byte, 1000), galloc.System)
		p, q := a.Alloc(l), a.Alloc(l)
		func() {
			defer func() {
				if m := fmt.Sprint(recover()); !strings.HasPrefix(m, "galloc/wrap: "+c.want+": ") {
					t.Errorf("%s: panic %q", c.name, m)
				}
			}()
			c.do(a, p, q)
		}()
		if a.Alloc(l) == nil {
			t.Errorf("%s: it is broken after the misuse", c.name)
		}
	}
	// A block in use is not handed out after a double free of another one.
	a := wrap.StackFallback(make([]byte, 1000), galloc.System)
	p, q := a.Alloc(l), a.Alloc(l)
	for range 2 {
		func() {
			defer func() { _ = recover() }()
			a.Dealloc(p, l)
		}()
	}
	for range 5 {
		if r := a.Alloc(l); r == q {
			t.Error("a live block is handed out")
		}
	}
	// Blocks that were freed below the top make room when the blocks above are freed.
	next := wrap.Stats(galloc.System)
	a = wrap.StackFallback(make([]byte, 1000), next)
	first := a.Alloc(l)
	for range 100 {
		p, q := a.Alloc(layout(400, 1)), a.Alloc(layout(500, 1))
		a.Dealloc(p, layout(400, 1))
		a.Dealloc(q, layout(500, 1))
	}
	a.Dealloc(first, l)
	if n := next.Snapshot().Allocs; n != 0 {
		t.Errorf("%d blocks do not fit", n)
	}
}

func TestStackFallbackIsAsGoodAsNewAfterReset(t *testing.T) {
	in := newAble(t)
	a := wrap.StackFallback(make([]byte, 1024), in)
	l := layout(100, 1)
	a.Alloc(l)
	reset(t, a)
	p, q := a.Alloc(l), a.Alloc(l)
	a.Dealloc(p, l)
	a.Dealloc(q, l)
	if a.Alloc(layout(1024, 1)); len(in.blocks) != 0 {
		t.Error("a block of the whole buffer is refused")
	}
}
