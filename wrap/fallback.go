package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Fallback returns an allocator that takes its memory from first, and from second where first
// fails. A block that first cannot grow moves to second; no block moves back.
//
// A block is freed where it came from, so first must know its blocks, or Fallback panics: see
// [galloc.Owns]. First must not own blocks of second either, as it would if it were a Limiter on
// the same heap.
//
// The result is safe for concurrent use if both allocators are. UsableSize is the lesser of the
// UsableSizes of both. It costs a call of Owns for each free. A nil allocator means the global one.
func Fallback(first, second galloc.Allocator) *Pair {
	w := &Pair{inner: resolve(first), second: resolve(second)}
	if _, err := galloc.Owns(w.a, nil); err != nil {
		panic(fmt.Sprintf("galloc/wrap: Fallback needs a first allocator that knows its blocks: %v", err))
	}
	w.rules = &fallback{w}
	return w
}

// fallback is the rules of Fallback.
type fallback struct{ pair *Pair }

func (f *fallback) name(first, second string) string {
	return "fallback(" + first + ", " + second + ")"
}

func (f *fallback) choose(galloc.Layout) (*inner, *inner) { return &f.pair.inner, &f.pair.second }

func (f *fallback) owner(p unsafe.Pointer, _ galloc.Layout) *inner {
	if owns, _ := galloc.Owns(f.pair.a, p); owns {
		return &f.pair.inner
	}
	return &f.pair.second
}

func (f *fallback) stays(*inner, galloc.Layout) bool { return true }

func (f *fallback) longest(*inner) uintptr { return unlimited }
