package collections_test

import (
	"errors"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

func TestRcLivesUntilItsLastOwner(t *testing.T) {
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
		text, err := collections.NewString(a, "shared")
		if err != nil {
			return err
		}
		r, err := collections.NewRc(a, text)
		if err != nil {
			text.Free(a)
			return err
		}
		owners := collections.NewVec[collections.Rc[collections.String]](a)
		var failed error
		for range 10 {
			if failed = owners.TryPush(r); failed != nil {
				break
			}
			r.Share()
		}
		if n := r.Owners(); n != owners.Len()+1 {
			t.Errorf("%d owners, want %d", n, owners.Len()+1)
		}
		freed := 0
		release := func(r *collections.Rc[collections.String]) {
			if got := r.Get().View(); got != "shared" {
				t.Errorf("the value is %q", got)
			}
			r.FreeFunc(a, func(s *collections.String) {
				freed++
				s.Free(a)
			})
		}
		owners.FreeFunc(release)
		if freed != 0 || r.Owners() != 1 {
			t.Errorf("freed %d times, %d owners", freed, r.Owners())
		}
		release(&r)
		if freed != 1 || r.Owners() != 0 || r.Free(a) {
			t.Errorf("freed %d times, %d owners", freed, r.Owners())
		}
		return failed
	})
}

func TestRcAndArcOfNothing(t *testing.T) {
	var r collections.Rc[int]
	var s collections.Arc[int]
	mustPanic(t, "Rc.Get", func() { r.Get() })
	mustPanic(t, "Rc.Share", func() { r.Share() })
	mustPanic(t, "Arc.Get", func() { s.Get() })
	mustPanic(t, "Arc.Share", func() { s.Share() })
	if r.Owners() != 0 || s.Owners() != 0 || r.Free(nil) || s.Free(nil) {
		t.Error("owners of nothing")
	}
	if unsafe.Sizeof(r) != unsafe.Sizeof(uintptr(0)) {
		t.Errorf("an Rc has %d bytes", unsafe.Sizeof(r))
	}
	if _, err := collections.NewRc(galloc.GoHeap, 1); !errors.Is(err, galloc.ErrUnsupported) {
		t.Errorf("on GoHeap: %v", err)
	}
	if _, err := collections.NewArc(nil, "a"); !errors.Is(err, galloc.ErrPointers) {
		t.Errorf("of a string: %v", err)
	}
}

// Each goroutine has its own owners. The last owner, on any goroutine, sees the work of all.
func TestArcAmongGoroutines(t *testing.T) {
	type counts [8]int
	for range 200 {
		r := galloc.Must(collections.NewArc(nil, counts{}))
		var wg sync.WaitGroup
		var ends [8]counts
		var lasts [8]bool
		for i := range 8 {
			mine := r.Share()
			wg.Go(func() {
				for range 10 {
					other := mine.Share()
					other.Get()[i]++
					if other.Free(nil) {
						t.Error("not the last")
					}
				}
				lasts[i] = mine.FreeFunc(nil, func(c *counts) { ends[i] = *c })
			})
		}
		first := r.FreeFunc(nil, func(c *counts) { ends[0] = *c })
		wg.Wait()
		n := 0
		for i, last := range lasts {
			if last || first && i == 0 {
				n++
				if ends[i] != (counts{10, 10, 10, 10, 10, 10, 10, 10}) {
					t.Errorf("the last owner saw %v", ends[i])
				}
			}
		}
		if n != 1 {
			t.Fatalf("%d last owners", n)
		}
	}
}
