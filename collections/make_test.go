package collections_test

import (
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// capped is a collection with a capacity.
type capped interface {
	Len() int
	Cap() int
	Free()
}

// made returns the result of a constructor as an interface, which is nil if it has failed.
func made[C capped](c C, err error) (capped, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}

// constructors make collections with capacity for n elements or with the numbers below n, as named.
var constructors = map[string]func(a galloc.Allocator, n int) (capped, error){
	"MakeVec":   func(a galloc.Allocator, n int) (capped, error) { return made(collections.MakeVec[int](a, n)) },
	"MakeDeque": func(a galloc.Allocator, n int) (capped, error) { return made(collections.MakeDeque[int](a, n)) },
	"MakeSlab":  func(a galloc.Allocator, n int) (capped, error) { return made(collections.MakeSlab[int](a, n)) },
	"CollectVec": func(a galloc.Allocator, n int) (capped, error) {
		return made(collections.CollectVec(a, below(n)))
	},
	"CollectDeque": func(a galloc.Allocator, n int) (capped, error) {
		return made(collections.CollectDeque(a, below(n)))
	},
	"CollectBTree": func(a galloc.Allocator, n int) (capped, error) {
		return made(collections.CollectBTree(a, slices.All(slices.Collect(below(n)))))
	},
	"CollectBTreeFunc": func(a galloc.Allocator, n int) (capped, error) {
		return made(collections.CollectBTreeFunc(a, ascending, slices.All(slices.Collect(below(n)))))
	},
}

func below(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
			continue
		}
	}
}

func TestConstructorsReserveAndFill(t *testing.T) {
	for name, construct := range constructors {
		for _, n := range []int{0, 1, 100} {
			t.Run(name, func(t *testing.T) {
				alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
					c, err := construct(a, n)
					if err != nil {
						return err
					}
					defer c.Free()
					want := 0
					if name[0] == 'C' {
						want = n
					}
					if c.Len() != want || c.Cap() < n {
						t.Errorf("%s(%d): length %d, capacity %d", name, n, c.Len(), c.Cap())
					}
					return nil
				})
			})
		}
		if name[0] == 'M' {
			var e *galloc.LayoutError
			c, err := construct(nil, math.MaxInt)
			if c != nil || !errors.As(err, &e) && !errors.Is(err, galloc.ErrUnsupported) {
				t.Errorf("%s(MaxInt): %v, %v", name, c, err)
			}
			mustPanic(t, name, func() { _, _ = construct(nil, -1) })
		}
	}
}

// A sequence that panics leaves nothing allocated.
func TestCollectingAPanickingSequence(t *testing.T) {
	a := alloctest.Track(galloc.System)
	func() {
		defer func() {
			if r := recover(); r != "sequence" {
				t.Errorf("panic %v", r)
			}
		}()
		_, _ = collections.CollectVec(a, func(yield func(int) bool) {
			yield(1)
			panic("sequence")
		})
	}()
	if len(a.Live())+len(a.Misuses()) > 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
