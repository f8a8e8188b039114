package unchecked

import (
	"errors"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

func returned(v *collections.Vec[int]) error { return v.TryPush(1) }

func compared(v *collections.Vec[int]) bool { return v.TryPush(1) == nil }

func joined(v *collections.Vec[int]) (err error) {
	for i := range 3 {
		err = errors.Join(err, v.TryPush(i))
	}
	return err
}

func aborts(v *collections.Vec[int]) { v.Push(1) }

func shrinks(v *collections.Vec[int]) {
	_ = v.TryShrinkToFit() // nothing is lost if it fails
}

func must() *int { return galloc.Must(galloc.New[int](nil)) }

func resultBlank() error {
	_, err := galloc.New[int](nil)
	return err
}

func checked(l galloc.Layout) {
	p := galloc.Alloc(l)
	if p == nil {
		galloc.HandleAllocError(l)
	}
	*(*byte)(p) = 1
	galloc.Dealloc(p, l)
}

func checkedLater(l galloc.Layout) {
	b := (*byte)(galloc.Alloc(l))
	if b != nil {
		*b = 1
	}
	galloc.Dealloc(unsafe.Pointer(b), l)
}

func handedOn(l galloc.Layout) unsafe.Pointer { return galloc.Alloc(l) }

func orAbort(p unsafe.Pointer) unsafe.Pointer {
	if p == nil {
		panic("unchecked: out of memory")
	}
	return p
}

func byHelper(l galloc.Layout) {
	p := orAbort(galloc.Alloc(l))
	*(*byte)(p) = 1
	galloc.Dealloc(p, l)
}

func notRead(l galloc.Layout) {
	galloc.Dealloc(galloc.Alloc(l), l)
}

func expectedToFail(a galloc.Allocator, l galloc.Layout) {
	_, _ = a.Allocate(l) // nothing uses the block
}

func ignored(v *collections.Vec[int]) {
	//galloc:ignore unchecked the capacity is only a hint
	_ = v.TryReserve(10)
}
