package galloc_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

func TestNullHasNothing(t *testing.T) {
	zero, l := layout(t, 0, 64), layout(t, 1, 1)
	for range 100 {
		b, err := galloc.Null.Allocate(zero)
		p := galloc.Null.Alloc(zero)
		if err != nil || len(b) != 0 || unsafe.SliceData(b) == nil || uintptr(p)%64 != 0 || p == nil {
			t.Fatalf("size 0: %v, %v, %p", b, err, p)
		}
		galloc.Null.Deallocate(p, zero)
		galloc.Null.Dealloc(nil, zero)
	}
	if b, err := galloc.Null.Allocate(l); b != nil || err != galloc.ErrOutOfMemory || galloc.Null.Alloc(l) != nil {
		t.Errorf("got %v, %v", b, err)
	}
	if _, err := galloc.New[int](galloc.Null); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("New: %v", err)
	}
	if _, err := galloc.Grow(galloc.Null, nil, galloc.Layout{}, l); err != galloc.ErrOutOfMemory {
		t.Errorf("Grow: %v", err)
	}
	if galloc.AsGlobal(galloc.Null) != galloc.GlobalAlloc(galloc.Null) || !galloc.Equivalent(galloc.Null, galloc.Null) || galloc.Equivalent(galloc.Null, galloc.System) {
		t.Error("Null is a GlobalAlloc, and equivalent to itself alone")
	}
	var x byte
	if galloc.Null.Owns(unsafe.Pointer(&x)) {
		t.Error("Null owns something")
	}
	if n := testing.AllocsPerRun(10, func() { _, _ = galloc.Allocator(galloc.Null).Allocate(l) }); n != 0 {
		t.Errorf("failing takes %v allocations", n)
	}
	for _, f := range []func(){
		func() { galloc.Null.Deallocate(unsafe.Pointer(&x), l) },
		func() { galloc.Null.Dealloc(unsafe.Pointer(&x), l) },
	} {
		if got := recovered(f); got != "galloc: Dealloc by Null, which allocates no blocks: free the block with the allocator that it came from" {
			t.Errorf("panicked with %v", got)
		}
	}
}
