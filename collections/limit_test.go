package collections

import (
	"errors"
	"io"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// budget is an allocator with a limit on the bytes of all blocks. Blocks grow in place.
type budget struct {
	*alloctest.Tracker
	limit, used uintptr
}

// whole is the layout of the memory of each block: all that it can become.
func (b *budget) whole() galloc.Layout { return galloc.Must(galloc.NewLayout(b.limit, 64)) }

func (b *budget) Allocate(l galloc.Layout) ([]byte, error) { return b.block(nil, galloc.Layout{}, l) }

func (b *budget) Grow(p unsafe.Pointer, old, l galloc.Layout) ([]byte, error) {
	return b.block(p, old, l)
}

// GrowZeroed is not called: collections write to all that they grow into.
func (b *budget) GrowZeroed(p unsafe.Pointer, old, l galloc.Layout) ([]byte, error) {
	return nil, galloc.ErrUnsupported
}

func (b *budget) block(p unsafe.Pointer, old, l galloc.Layout) ([]byte, error) {
	if l.Size()-old.Size() > b.limit-b.used {
		return nil, galloc.ErrOutOfMemory
	}
	if p == nil {
		s, err := b.Tracker.Allocate(b.whole())
		if err != nil {
			return nil, err
		}
		p = unsafe.Pointer(&s[0])
	}
	b.used += l.Size() - old.Size()
	return unsafe.Slice((*byte)(p), l.Size()), nil
}

func (b *budget) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	b.used -= l.Size()
	b.Tracker.Deallocate(p, b.whole())
}

// If there is no memory for twice the capacity, collections take less. An insertion fails only if
// what it needs does not fit.
func TestGrowthAtALimit(t *testing.T) {
	const limit = uintptr(100_000)
	for what, c := range map[string]struct {
		size  uintptr // of an element
		least uintptr // the bytes of elements, of limit
		make  func(a galloc.Allocator) (add func(i int) error, free func())
	}{
		"Vec": {8, limit, func(a galloc.Allocator) (func(int) error, func()) {
			v := NewVec[int](a)
			return v.TryPush, v.Free
		}},
		"Vec.TryAppend": {21, limit - 21, func(a galloc.Allocator) (func(int) error, func()) {
			v := NewVec[[7]byte](a)
			return func(int) error { return v.TryAppend([7]byte{}, [7]byte{1}, [7]byte{2}) }, v.Free
		}},
		"Bytes": {10, limit, func(a galloc.Allocator) (func(int) error, func()) {
			b := NewBytes(a)
			return func(int) error { return b.TryAppendString("0123456789") }, b.Free
		}},
		"Deque": {8, limit, func(a galloc.Allocator) (func(int) error, func()) {
			d := NewDeque[int](a)
			return func(i int) error {
				if i%3 == 0 {
					return d.TryPushFront(i)
				}
				return d.TryPushBack(i)
			}, d.Free
		}},
		"Deque of itself": {8, limit / 2 * 9 / 10, func(a galloc.Allocator) (func(int) error, func()) {
			d := NewDeque[int](a)
			d.PushBack(1)
			return func(int) error { // both rings exist at once
				front, _ := d.Slices()
				return d.TryAppend(front[:1]...)
			}, d.Free
		}},
		"Array": {8, limit, func(a galloc.Allocator) (func(int) error, func()) {
			var r Array[int]
			return func(i int) error { return r.TryPush(a, i) }, func() { r.Free(a) }
		}},
		"BTree": {16, limit * 90 / 100, func(a galloc.Allocator) (func(int) error, func()) {
			b := NewBTree[int, int](a)
			return func(i int) error { return b.TryPut(i, i) }, b.Free
		}},
		"Slab": {16, limit * 93 / 100, func(a galloc.Allocator) (func(int) error, func()) {
			s := NewSlab[int](a)
			return func(i int) error { _, err := s.TryAdd(i); return err }, s.Free
		}},
		"LinkedMap": {44, limit * 90 / 100, func(a galloc.Allocator) (func(int) error, func()) {
			m := NewLinkedMap[int, int](a)
			return func(i int) error { return m.TryPut(i, i) }, m.Free
		}},
		"texts": {32, limit * 99 / 100, func(a galloc.Allocator) (func(int) error, func()) {
			st := &store{alloc: a}
			return func(int) error { _, err := st.put("0123456789012345678901234567890", ""); return err }, st.release
		}},
	} {
		a := &budget{Tracker: alloctest.Track(galloc.System), limit: limit}
		add, free := c.make(a)
		n := 0
		for {
			if err := add(n); err == nil {
				n++
			} else if errors.Is(err, galloc.ErrOutOfMemory) {
				break
			} else {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if got := uintptr(n) * c.size; got < c.least {
			t.Errorf("%s: %d bytes of a limit of %d, want %d; %d are left", what, got, limit, c.least, limit-a.used)
		}
		if calls := a.Calls(); calls > 1000 {
			t.Errorf("%s: %d allocations", what, calls)
		}
		free()
		if len(a.Live())+len(a.Misuses()) != 0 || a.used != 0 {
			t.Errorf("%s: %v, %v", what, a.Live(), a.Misuses())
		}
	}
}

// Bytes.ReadFrom needs no room that it does not use.
func TestReadFromAtALimit(t *testing.T) {
	a := &budget{Tracker: alloctest.Track(galloc.System), limit: 1000}
	b := NewBytes(a)
	defer b.Free()
	b.ReserveExact(1000)
	n, err := b.ReadFrom(&ones{900})
	if n != 900 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err = b.ReadFrom(&ones{200}); n != 100 || !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("read %d, %v", n, err)
	}
}

// ones is a reader of n bytes.
type ones struct{ n int }

func (o *ones) Read(p []byte) (int, error) {
	if o.n == 0 {
		return 0, io.EOF
	}
	n := min(o.n, len(p), 300)
	o.n -= n
	for i := range n {
		p[i] = 1
	}
	return n, nil
}
