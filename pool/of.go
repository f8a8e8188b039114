package pool

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Of is a pool of values of type T, made by [NewOf]. It must not be copied, nor used by several
// goroutines at once.
type Of[T any] struct{ p Pool }

// NewOf returns an empty pool of values of type T on upstream; nil stands for galloc.Global. It
// fails, as galloc.New does, if a T contains Go pointers, since the garbage collector would not
// see them; galloc.GoHeap as the upstream does not change that. See New for the rest.
func NewOf[T any](upstream galloc.Allocator) (*Of[T], error) {
	if _, err := galloc.MakeSlice[T](nil, 0); err != nil { // takes no memory, and refuses such types
		return nil, err
	}
	return &Of[T]{*New(upstream, galloc.LayoutOf[T]())}, nil
}

// Get returns a zeroed T, or an error as galloc.New does. The caller owns it until it is put
// back. It costs what [Pool.Get] costs, and the zeroing.
func (o *Of[T]) Get() (*T, error) {
	v, err := o.GetUninit()
	if err == nil {
		var zero T
		*v = zero
	}
	return v, err
}

// GetUninit is Get without the zeroing: the T is whatever the memory has in it.
func (o *Of[T]) GetUninit() (*T, error) {
	q := o.p.pop()
	if q == nil {
		return o.more()
	}
	return (*T)(q), nil // SAFETY: the block has the layout of a T, which has no pointers in it
}

func (o *Of[T]) more() (*T, error) {
	q, err := o.p.more()
	if e, ok := err.(*galloc.AllocError); ok && e.Layout() == (galloc.Layout{}) {
		err = e.For(galloc.LayoutOf[T]())
	}
	return (*T)(q), err
}

// Put takes back v, which must be of this pool: see [Pool.Put]. It does nothing if v is nil.
func (o *Of[T]) Put(v *T) { o.p.Put(unsafe.Pointer(v)) }

// Pool returns the pool of blocks behind o: for its limit, Reserve, Stats, and its use as an
// allocator. What the one has got, the other may put back.
func (o *Of[T]) Pool() *Pool { return &o.p }

// Reset invalidates all values, and keeps the memory for new ones.
func (o *Of[T]) Reset() { o.p.Reset() }

// Close invalidates all values, and gives all memory back to the upstream.
func (o *Of[T]) Close() { o.p.Close() }
