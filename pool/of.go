package pool

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Of is a pool of values of type T, made by [NewOf]. It must not be copied and is not safe for
// concurrent use.
type Of[T any] struct{ p Pool }

// NewOf returns an empty pool of values of type T on upstream, or on galloc.Global if upstream is
// nil. It fails with galloc.ErrPointers if T contains Go pointers, on every upstream, because the
// garbage collector does not see them in a pool. It allocates nothing, and panics as [New] does.
// Close frees the memory of the pool.
func NewOf[T any](upstream galloc.Allocator) (*Of[T], error) {
	if _, err := galloc.MakeSlice[T](nil, 0); err != nil { // checks T and allocates nothing
		return nil, err
	}
	return &Of[T]{*New(upstream, galloc.LayoutOf[T]())}, nil
}

// Get returns a zeroed T, or an error as galloc.New does. The value is valid until it is put back.
// Get costs as much as [Pool.Get] and zeroing a T.
func (o *Of[T]) Get() (*T, error) {
	v, err := o.GetUninit()
	if err == nil {
		var zero T
		*v = zero
	}
	return v, err
}

// GetUninit is like Get but does not zero the value, which has arbitrary content.
func (o *Of[T]) GetUninit() (*T, error) {
	q := o.p.pop()
	if q == nil {
		return o.getSlow()
	}
	return (*T)(q), nil // SAFETY: the block has the layout of T, which contains no pointers
}

func (o *Of[T]) getSlow() (*T, error) {
	q, err := o.p.getSlow()
	if e, ok := err.(*galloc.AllocError); ok && e.Layout() == (galloc.Layout{}) {
		err = e.For(galloc.LayoutOf[T]())
	}
	return (*T)(q), err
}

// Put puts back v, which must be of this pool: see [Pool.Put]. It does nothing if v is nil.
func (o *Of[T]) Put(v *T) { o.p.Put(unsafe.Pointer(v)) }

// Pool returns the pool of the blocks of o, for its limit, Reserve, Stats, and use as an allocator.
// A block from one may be put back into the other.
func (o *Of[T]) Pool() *Pool { return &o.p }

// Reset frees all values and keeps the memory for new ones.
func (o *Of[T]) Reset() { o.p.Reset() }

// Close frees all values and releases all memory to the upstream.
func (o *Of[T]) Close() { o.p.Close() }
