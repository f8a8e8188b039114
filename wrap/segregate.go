package wrap

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Segregate returns an allocator that takes blocks of up to n bytes from small, and larger
// ones from large. The size of a block tells where it came from, so it has no header, and
// nobody is asked. A block that grows or shrinks across the border moves. For that to hold by
// any layout that fits, a block of small is never shown longer than n bytes. A nil allocator
// stands for the global one.
//
// It is a [galloc.Owner], a [galloc.Resetter] and a [galloc.TypedAllocator] if both are, and
// safe for concurrent use if both are. It costs a comparison.
func Segregate(n uintptr, small, large galloc.Allocator) Allocator {
	w := &segregate{two{inner: resolve(small), second: resolve(large)}, n}
	w.rules = w
	switch has(w.a) & has(w.second.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*segregate
		}{segregate: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*segregate
		}{segregate: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*segregate
		}{segregate: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*segregate
		}{segregate: w}
	case owns | resets:
		return &struct {
			noTyped
			*segregate
		}{segregate: w}
	case owns | typed:
		return &struct {
			noReset
			*segregate
		}{segregate: w}
	case resets | typed:
		return &struct {
			noOwns
			*segregate
		}{segregate: w}
	case owns | resets | typed:
		return w
	}
}

type segregate struct {
	two
	n uintptr
}

func (w *segregate) String() string {
	return fmt.Sprintf("segregate %d(%s, %s)", w.n, nameOf(w.a), nameOf(w.second.a))
}

func (w *segregate) of(l galloc.Layout) *inner {
	if l.Size() <= w.n {
		return &w.inner
	}
	return &w.second
}

func (w *segregate) choose(l galloc.Layout) (*inner, *inner) { return w.of(l), nil }

func (w *segregate) owner(_ unsafe.Pointer, l galloc.Layout) *inner { return w.of(l) }

func (w *segregate) stays(i *inner, l galloc.Layout) bool { return i == w.of(l) }

func (w *segregate) longest(i *inner, _ galloc.Layout) uintptr {
	if i == &w.inner {
		return w.n
	}
	return unlimited
}
