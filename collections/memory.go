package collections

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/bridge"
)

// checkType returns an error that wraps galloc.ErrPointers if T contains Go pointers. It costs some
// nanoseconds, as galloc caches the answer for each type.
func checkType[T any]() error {
	_, err := galloc.MakeSlice[T](galloc.Null, 0)
	return err
}

// must aborts through galloc.HandleAllocError if err reports that memory ran out, and panics with
// err if it reports a caller's error. It does nothing if err is nil.
func must(err error) {
	if err != nil {
		fail(err)
	}
}

// mustValue returns v if err is nil. Otherwise it does what must does.
func mustValue[T any](v T, err error) T {
	if err != nil {
		fail(err)
	}
	return v
}

func fail(err error) {
	var e *galloc.AllocError
	if errors.As(err, &e) && e.Layout() != (galloc.Layout{}) && !errors.Is(err, galloc.ErrPointers) {
		galloc.HandleAllocError(e.Layout())
	}
	panic(err)
}

// equal reports whether x == y. T contains no Go pointers, and every such type is comparable.
func equal[T any](x, y T) bool { return any(x) == any(y) }

// usable returns a, which may be nil. It panics if a is a nil pointer or a zero heap.Heap.
func usable(a galloc.Allocator) galloc.Allocator {
	if a != nil {
		bridge.CheckAllocator("galloc/collections", a)
	}
	return a
}

// orGlobal returns a, or galloc.Global if a is nil.
func orGlobal(a galloc.Allocator) galloc.Allocator {
	if a == nil {
		return galloc.Global
	}
	return a
}

// allocate allocates a block of layout l. Its error contains l, as must requires.
func allocate(a galloc.Allocator, l galloc.Layout) ([]byte, error) {
	b, err := orGlobal(a).Allocate(l)
	if err != nil {
		return nil, forLayout(err, l)
	}
	return b, nil
}

func deallocate(a galloc.Allocator, p unsafe.Pointer, l galloc.Layout) {
	orGlobal(a).Deallocate(p, l)
}

// forLayout returns err, an error of an allocator, with the layout of the request.
func forLayout(err error, l galloc.Layout) error {
	if e, ok := err.(*galloc.AllocError); ok {
		if e.Layout() == (galloc.Layout{}) {
			return e.For(l)
		}
		return e
	}
	kind := galloc.ErrOutOfMemory // as for galloc.MakeSlice: see AllocError.Is
	if errors.Is(err, errors.ErrUnsupported) {
		kind = galloc.ErrUnsupported
	}
	return fmt.Errorf("%w (%w)", kind.For(l), err)
}

// filled returns c after fill has filled it. If fill fails or panics, it frees c.
func filled[C interface{ Free() }](c C, fill func() error) (C, error) {
	done := false
	defer func() {
		if !done {
			c.Free()
		}
	}()
	if err := fill(); err != nil {
		var none C
		return none, err
	}
	done = true
	return c, nil
}
