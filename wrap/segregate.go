package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Segregate returns an allocator that takes blocks of up to limit bytes from small, and larger ones
// from large. The size of a block says where it came from, so a free costs only a comparison. A
// block that grows or shrinks across the limit moves.
//
// A block of small never has more than limit bytes, even if small returns more, so that every
// layout that fits the block leads to small. UsableSize is limit or the UsableSize of small,
// whichever is less; for larger blocks it is the UsableSize of large.
//
// The result is safe for concurrent use if both allocators are. A nil allocator means the global
// one.
func Segregate(limit uintptr, small, large galloc.Allocator) *Pair {
	w := &Pair{inner: resolve(small), second: resolve(large)}
	w.rules = &segregate{w, limit}
	return w
}

// segregate is the rules of Segregate.
type segregate struct {
	pair  *Pair
	limit uintptr
}

func (s *segregate) name(small, large string) string {
	return fmt.Sprintf("segregate %d(%s, %s)", s.limit, small, large)
}

func (s *segregate) of(l galloc.Layout) *inner {
	if l.Size() <= s.limit {
		return &s.pair.inner
	}
	return &s.pair.second
}

func (s *segregate) choose(l galloc.Layout) (*inner, *inner) { return s.of(l), nil }

func (s *segregate) owner(_ unsafe.Pointer, l galloc.Layout) *inner { return s.of(l) }

func (s *segregate) stays(i *inner, l galloc.Layout) bool { return i == s.of(l) }

func (s *segregate) longest(i *inner) uintptr {
	if i == &s.pair.inner {
		return s.limit
	}
	return unlimited
}
