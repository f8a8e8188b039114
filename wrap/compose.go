package wrap

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// How a wrapper is made, so that it can do exactly what the allocator inside can.
//
// The interfaces of package galloc that have a default (ZeroedAllocator, Grower, Shrinker,
// Resizer, UsableSizer) every wrapper has: it has a method for each, and calls the package
// function. Three have none: Owner, Resetter, TypedAllocator. These a wrapper must have if, and
// only if, the inner allocator has them; but a Go type has a method or has it not. So there
// are eight types for each kind of wrapper, one for each set of the three. They need no code of
// their own: the wrapper, here called core, has all methods, and an anonymous struct that
// embeds it takes some away again, by embedding a type that has another method of that name:
//
//	func Core(inner galloc.Allocator) Allocator {
//		c := &core{inner: resolve(inner)}
//		switch has(c.a) {
//		default:
//			return &struct {noOwns; noReset; noTyped; *core}{core: c}
//		case owns:
//			return &struct {noReset; noTyped; *core}{core: c}
//		...
//		case owns | resets | typed:
//			return c
//		}
//	}
//
// core embeds inner, and so gets Owns, Reset, AllocateTyped and Unwrap from it, and need
// only define those it does something about. TestAbilities holds that no kind has forgotten one.
// An anonymous struct costs a load and a jump per call, no frame.

// Allocator is what every wrapper is, whatever it wraps: with both faces, and all of the
// methods that have a default. Blocks may go both ways between the faces.
//
// Besides, a wrapper is a [galloc.Owner], a [galloc.Resetter] and a [galloc.TypedAllocator] if
// and only if the allocator in it is one.
type Allocator interface {
	galloc.GlobalAllocZeroed
	galloc.GlobalRealloc
	galloc.ZeroedAllocator
	galloc.Grower
	galloc.Shrinker
	galloc.Resizer
	galloc.UsableSizer

	// String names the wrapper and what is in it, as in "stats(limit 1048576(heap))".
	fmt.Stringer
	// Unwrap returns the allocator that was wrapped; of a wrapper of two, the first.
	Unwrap() galloc.Allocator
}

// Find returns the outermost layer of a that is a T, beginning with a itself, and going
// from each wrapper to what is in it, as errors.As does with errors:
//
//	a := wrap.Stats(wrap.Limit(bump.New(...), n))
//	limit, _ := wrap.Find[wrap.Limited](a)
//
// Of a wrapper of two, all of the first comes before the second. A nil a stands for
// [galloc.Global].
func Find[T any](a galloc.Allocator) (T, bool) {
	a = orGlobal(a)
	for {
		if t, ok := a.(T); ok {
			return t, true
		}
		if two, ok := a.(interface{ Second() galloc.Allocator }); ok {
			w, ok := a.(interface{ Unwrap() galloc.Allocator })
			if ok {
				if t, ok := Find[T](w.Unwrap()); ok {
					return t, true
				}
			}
			a = two.Second()
			continue
		}
		w, ok := a.(interface{ Unwrap() galloc.Allocator })
		if !ok {
			var none T
			return none, false
		}
		a = w.Unwrap()
	}
}

// abilities is a set of the optional interfaces without a default.
type abilities uint8

const (
	owns   abilities = 1 << iota // galloc.Owner
	resets                       // galloc.Resetter
	typed                        // galloc.TypedAllocator
)

// has returns the abilities of a.
func has(a galloc.Allocator) (s abilities) {
	if _, ok := a.(galloc.Owner); ok {
		s |= owns
	}
	if _, ok := a.(galloc.Resetter); ok {
		s |= resets
	}
	if _, ok := a.(galloc.TypedAllocator); ok {
		s |= typed
	}
	return s
}

// Each of these takes a method away from the struct that embeds it: what makes the method
// ambiguous, or hides it behind one that satisfies no interface.
type (
	noOwns  struct{}
	noReset struct{}
	noTyped struct{}
	hidden  struct{}
)

func (noOwns) Owns(hidden)           {}
func (noReset) Reset(hidden)         {}
func (noTyped) AllocateTyped(hidden) {}

// inner is a wrapped allocator, with the faces of it that a wrapper needs on each call looked
// up once: so a call costs one call of an interface method and no type assertion. The methods
// are those that a wrapper may want to have as they are.
type inner struct {
	a       galloc.Allocator // for all but the four of a GlobalAlloc
	alloc   galloc.GlobalAlloc
	zeroed  galloc.GlobalAllocZeroed
	realloc galloc.GlobalRealloc
}

// resolve looks up the faces of a, or of Global if that is nil.
func resolve(a galloc.Allocator) inner {
	a = orGlobal(a)
	g := galloc.AsGlobal(a)
	i := inner{a: a, alloc: g}
	var ok bool
	if i.zeroed, ok = g.(galloc.GlobalAllocZeroed); !ok {
		i.zeroed = defaults{g}
	}
	if i.realloc, ok = g.(galloc.GlobalRealloc); !ok {
		i.realloc = defaults{g}
	}
	return i
}

// Unwrap, Owns, Reset and AllocateTyped are documented at Allocator and in package galloc.

func (i *inner) Unwrap() galloc.Allocator { return i.a }

func (i *inner) Owns(p unsafe.Pointer) bool { return i.a.(galloc.Owner).Owns(p) }

func (i *inner) Reset() { i.a.(galloc.Resetter).Reset() }

func (i *inner) AllocateTyped(t reflect.Type, n int) (unsafe.Pointer, error) {
	return i.a.(galloc.TypedAllocator).AllocateTyped(t, n)
}

// defaults gives a GlobalAlloc the optional methods that it lacks.
type defaults struct{ galloc.GlobalAlloc }

func (d defaults) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	return galloc.DefaultAllocZeroed(d.GlobalAlloc, l)
}

func (d defaults) Realloc(p unsafe.Pointer, l galloc.Layout, newSize uintptr) unsafe.Pointer {
	return galloc.DefaultRealloc(d.GlobalAlloc, p, l, newSize)
}

func orGlobal(a galloc.Allocator) galloc.Allocator {
	if a == nil {
		return galloc.Global
	}
	return a
}

// nameOf returns the String of a, or its type if it has none.
func nameOf(a galloc.Allocator) string {
	if s, ok := a.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", a)
}

// typedLayout returns the layout of n values of type t, which is what they are deallocated with.
func typedLayout(t reflect.Type, n int) (galloc.Layout, error) {
	l, err := galloc.NewLayout(t.Size(), uintptr(t.Align()))
	if err == nil {
		l, _, err = l.Repeat(n)
	}
	return l, err
}

// emptyBlock returns the block of size 0.
func emptyBlock(l galloc.Layout) []byte { return unsafe.Slice((*byte)(l.Dangling()), 0) }

func checkGrow(old, new galloc.Layout) {
	if new.Size() < old.Size() {
		panic(fmt.Sprintf("galloc/wrap: Grow from %d to %d bytes: that is for Shrink", old.Size(), new.Size()))
	}
}

func checkShrink(old, new galloc.Layout) {
	if new.Size() > old.Size() {
		panic(fmt.Sprintf("galloc/wrap: Shrink from %d to %d bytes: that is for Grow", old.Size(), new.Size()))
	}
}
