package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Fallback returns an allocator that takes its memory from first and, where that fails, from
// second. A block that first has no memory to grow goes over to second; none comes back.
// Blocks are freed where they came from, so first must be a [galloc.Owner], and must not own
// what second allocates, as it would if it were a Limit on the same heap; Fallback panics if
// it is none, saying so. A nil second stands for the global allocator.
//
// It is a [galloc.Owner], a [galloc.Resetter] and a [galloc.TypedAllocator] if both are, and
// safe for concurrent use if both are. It costs a call of Owns for each free.
func Fallback(first, second galloc.Allocator) Allocator {
	if _, ok := first.(galloc.Owner); !ok {
		panic(fmt.Sprintf("galloc/wrap: Fallback needs to ask the first allocator what it owns, but %T has no method Owns", first))
	}
	w := &fallback{two{inner: resolve(first), second: resolve(second)}}
	w.rules = w
	switch has(w.a) & has(w.second.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*fallback
		}{fallback: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*fallback
		}{fallback: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*fallback
		}{fallback: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*fallback
		}{fallback: w}
	case owns | resets:
		return &struct {
			noTyped
			*fallback
		}{fallback: w}
	case owns | typed:
		return &struct {
			noReset
			*fallback
		}{fallback: w}
	case resets | typed:
		return &struct {
			noOwns
			*fallback
		}{fallback: w}
	case owns | resets | typed:
		return w
	}
}

type fallback struct{ two }

func (w *fallback) String() string {
	return "fallback(" + nameOf(w.a) + ", " + nameOf(w.second.a) + ")"
}

func (w *fallback) choose(galloc.Layout) (*inner, *inner) { return &w.inner, &w.second }

func (w *fallback) owner(p unsafe.Pointer, _ galloc.Layout) *inner {
	if w.inner.Owns(p) {
		return &w.inner
	}
	return &w.second
}

func (w *fallback) stays(*inner, galloc.Layout) bool { return true }

func (w *fallback) longest(*inner, galloc.Layout) uintptr { return unlimited }
