package peers

import (
	"errors"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

func init() {
	enter(Peer{"syncpool", "a sync.Pool of blocks of one size", func(n Need) (galloc.GlobalAlloc, error) {
		if n.Size == 0 {
			return nil, errors.New("a sync.Pool has blocks of one size: choose a workload with size=N, N > 0")
		}
		return newSyncPool(n.Size), nil
	}})
}

// syncPool keeps pointers, which go into an interface without an allocation.
type syncPool struct {
	size uintptr
	pool sync.Pool
}

func newSyncPool(size uintptr) *syncPool {
	s := &syncPool{size: size}
	s.pool.New = func() any {
		words := make([]uint64, (size+7)/8)
		return unsafe.Pointer(unsafe.SliceData(words)) // SAFETY: the collector sees a pointer
	}
	return s
}

// Alloc fails for layouts other than the pool's.
func (s *syncPool) Alloc(l galloc.Layout) unsafe.Pointer {
	if l.Size() != s.size || l.Align() > unsafe.Alignof(uint64(0)) {
		return nil
	}
	return s.pool.Get().(unsafe.Pointer)
}

func (s *syncPool) Dealloc(p unsafe.Pointer, _ galloc.Layout) { s.pool.Put(p) }

func (*syncPool) String() string { return "sync.Pool" }
