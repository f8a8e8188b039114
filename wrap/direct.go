package wrap

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/class"
	"github.com/galloc-go/galloc/internal/engine"
)

// direct is the short way to the blocks of a heap. Stats and Limit change a shard in a section
// of their own, and the heap its cache in another, behind a call of an interface method and
// two more. Where a heap is wrapped, both are done in one section, and without those calls:
// that is half of what a pair costs. Where the cache cannot serve, all goes the long way.
type direct struct {
	heap *engine.Heap // nil if the short way is closed: then use no other field
	info *[256]classInfo
}

// classInfo is what counts for the blocks of a class, sizes.of and bucketOf of them.
type classInfo struct {
	size   uint64
	bucket int
}

// open opens the short way, if a is a heap whose blocks count for what their class has.
func (d *direct) open(a galloc.Allocator, s *sizes) {
	h, ok := a.(interface{ Engine() *engine.Heap })
	if !ok || engine.SectionLimit() == 0 {
		return
	}
	var info [256]classInfo
	for c := uint32(1); engine.ClassSize(c) != 0; c++ {
		n := engine.ClassSize(c)
		if s.of(layoutOf(n, 8)) != n {
			return
		}
		info[c] = classInfo{uint64(n), bucketOf(n)}
	}
	d.heap, d.info = h.Engine(), &info
}

// The sections of Stats. A P with a number from engine.SectionLimit() on has no cache: Pop and Push fail.

//go:noinline
//go:nosplit
func (s *stats) Alloc(l galloc.Layout) unsafe.Pointer {
	if c := class.Of(l) & 255; c != 0 && s.heap != nil {
		id := engine.ProcID()
		if k := s.c.table.At(id); k != nil {
			if p := s.heap.Mine(id).Pop(uint8(c)); p != nil {
				if k.addTo(s.info[c]) {
					s.c.flush(k)
				}
				return p
			}
		}
	}
	return s.allocLong(l)
}

//go:noinline
//go:nosplit
func (s *stats) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if c := class.Of(l) & 255; c != 0 && s.heap != nil {
		id := engine.ProcID()
		if k := s.c.table.At(id); k != nil && s.heap.Mine(id).Push(uint8(c), p) {
			if k.subFrom(s.info[c]) {
				s.c.flush(k)
			}
			return
		}
	}
	s.deallocLong(p, l)
}

//go:noinline
//go:nosplit
func (s *stats) Allocate(l galloc.Layout) ([]byte, error) {
	if c := class.Of(l) & 255; c != 0 && s.heap != nil {
		id := engine.ProcID()
		if k := s.c.table.At(id); k != nil {
			if p := s.heap.Mine(id).Pop(uint8(c)); p != nil {
				if k.addTo(s.info[c]) {
					s.c.flush(k)
				}
				return unsafe.Slice((*byte)(p), s.info[c].size), nil // SAFETY: blocks of the class have as many bytes
			}
		}
	}
	return s.allocateLong(l)
}

func (s *stats) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if s.heap != nil {
		s.Dealloc(p, l) // of a heap, both faces are one
		return
	}
	s.deallocateLong(p, l)
}

// The sections of Limit. A block is paid for by credit, which is there before it is taken out
// of the cache, and is back after it was put there.

//go:noinline
//go:nosplit
func (w *limit) Alloc(l galloc.Layout) unsafe.Pointer {
	if c := class.Of(l) & 255; c != 0 && w.heap != nil {
		id := engine.ProcID()
		if k := w.b.table.At(id); k != nil && k.left >= w.info[c].size {
			if p := w.heap.Mine(id).Pop(uint8(c)); p != nil {
				k.left -= w.info[c].size
				return p
			}
		}
	}
	return w.allocLong(l)
}

//go:noinline
//go:nosplit
func (w *limit) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if c := class.Of(l) & 255; c != 0 && w.heap != nil {
		id := engine.ProcID()
		if k := w.b.table.At(id); k != nil && k.left+w.info[c].size <= k.most && w.heap.Mine(id).Push(uint8(c), p) {
			k.left += w.info[c].size
			return
		}
	}
	w.deallocLong(p, l)
}

//go:noinline
//go:nosplit
func (w *limit) Allocate(l galloc.Layout) ([]byte, error) {
	if c := class.Of(l) & 255; c != 0 && w.heap != nil {
		id := engine.ProcID()
		if k := w.b.table.At(id); k != nil && k.left >= w.info[c].size {
			if p := w.heap.Mine(id).Pop(uint8(c)); p != nil {
				k.left -= w.info[c].size
				return unsafe.Slice((*byte)(p), w.info[c].size), nil // SAFETY: blocks of the class have as many bytes
			}
		}
	}
	return w.allocateLong(l)
}

func (w *limit) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if w.heap != nil {
		w.Dealloc(p, l)
		return
	}
	w.deallocateLong(p, l)
}
