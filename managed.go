package galloc

import (
	"runtime"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// Managed owns a T off the Go heap, and frees it when the program has forgotten the Managed: some
// time after the garbage collector has found that nothing refers to it. It is for values without a
// clear end, and for interfaces that have no Free. [Managed.Free] frees the value at once.
//
//	m, err := galloc.NewManaged(nil, index{})
//	m.Use(func(x *index) { x.insert(key) })
//
// The garbage collector does not know how large the value is, and does not run because of it. So
// free large values, or many, and let Managed be the net.
//
// The zero value is freed. A Managed must not be copied: go vet reports copies. Not safe for
// concurrent use.
type Managed[T any] struct {
	_       block.NoCopy
	p       *T // nil after Free
	a       Allocator
	cleanup runtime.Cleanup
}

// NewManaged returns a Managed on a, or on [Global] if a is nil, that owns v. It fails as [New]
// does. It costs an object of 48 bytes on the Go heap and a cleanup, about 2 µs together.
//
// The value is freed in a goroutine of the runtime. So a must be safe for concurrent use: see
// wrap.Lock. It must not be closed or reset while there are such values on it.
func NewManaged[T any](a Allocator, v T) (*Managed[T], error) {
	p, err := New[T](a)
	if err != nil {
		return nil, err
	}
	*p = v
	return Manage(a, p), nil
}

// Manage returns a Managed that owns the value at p, made by [New] on a, or on an equivalent
// allocator. The conditions are those of [NewManaged]. It panics if p is nil.
func Manage[T any](a Allocator, p *T) *Managed[T] {
	if p == nil {
		panic("galloc: Manage of a nil pointer: check the error of New")
	}
	m := &Managed[T]{p: p, a: a}
	markManaged(orGlobal(a), unsafe.Pointer(p), true)
	m.cleanup = runtime.AddCleanup(m, freeManaged[T], managedValue[T]{a, p})
	return m
}

// managedValue is what the cleanup of a Managed frees.
type managedValue[T any] struct {
	a Allocator
	p *T
}

func freeManaged[T any](v managedValue[T]) { Free(v.a, v.p) }

// Get returns a pointer to the value. It is valid until Free, and only while the program refers to
// m: keep m in use by [runtime.KeepAlive], or call Use instead. Get panics after Free.
func (m *Managed[T]) Get() *T {
	m.check("Get")
	return m.p
}

// Use calls f with a pointer to the value, which is valid until f returns. It panics after Free.
func (m *Managed[T]) Use(f func(*T)) {
	m.check("Use")
	f(m.p)
	runtime.KeepAlive(m)
}

// Load returns the value. It panics after Free.
func (m *Managed[T]) Load() T {
	m.check("Load")
	v := *m.p
	runtime.KeepAlive(m)
	return v
}

// Freed reports whether m owns no value: after Free, and after Leak.
func (m *Managed[T]) Freed() bool { return m.p == nil }

// Free frees the value at once. It panics if m owns none: if it is called twice, or after Leak.
func (m *Managed[T]) Free() {
	Free(m.a, m.end("Free"))
}

// Leak returns the value, which m no longer owns. The caller must free it by [Free] with the
// allocator of m. It panics after Free.
func (m *Managed[T]) Leak() *T {
	p := m.end("Leak")
	markManaged(orGlobal(m.a), unsafe.Pointer(p), false)
	return p
}

// end makes m own nothing, and returns the value.
func (m *Managed[T]) end(method string) *T {
	m.check(method)
	p := m.p
	m.p = nil
	m.cleanup.Stop()
	runtime.KeepAlive(m) // until then the cleanup has not begun
	return p
}

func (m *Managed[T]) check(method string) {
	if m.p == nil {
		panicFreed(method)
	}
}

func panicFreed(method string) {
	panic("galloc: Managed." + method + " after Free or Leak: the value is no longer there; see Freed")
}

// markManaged makes the memory checkers of a know whether the block at p has an owner that frees
// it: then it is no leak.
func markManaged(a any, p unsafe.Pointer, managed bool) {
	switch w := a.(type) {
	case GlobalAllocator, *GlobalAllocator:
		if c := current().checker; c != nil {
			c.Manage(p, managed)
		}
	case checker:
		c, inner := w.MemoryChecker()
		if q := c.Manage(p, managed); q != nil {
			markManaged(inner, q, managed)
		}
	case Wrapper:
		first, second := inside(w)
		markManaged(first, p, managed)
		if second != nil {
			markManaged(second, p, managed)
		}
	}
}
