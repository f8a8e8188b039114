package wrap_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// refusing has no memory, and says why.
type refusing struct{ why error }

func (r refusing) Allocate(galloc.Layout) ([]byte, error)   { return nil, r.why }
func (r refusing) Alloc(galloc.Layout) unsafe.Pointer       { return nil }
func (r refusing) Deallocate(unsafe.Pointer, galloc.Layout) {}
func (r refusing) Dealloc(unsafe.Pointer, galloc.Layout)    {}
func (r refusing) Refusal() error                           { return r.why }

// Every wrapper, and a memory checker around it, says why the allocator inside has no memory.
func TestRefusalsSayWhy(t *testing.T) {
	large := layout(8000, 8) // more than the buffer of StackFallback has
	for _, why := range []error{galloc.ErrLimit, galloc.ErrSystem, galloc.ErrOutOfMemory} {
		for name, make := range wrappers {
			in := refusing{why}
			for kind, a := range map[string]galloc.Allocator{
				"":                   make(in),
				" in memcheck":       memcheck.New(make(in), memcheck.Options{}),
				" in two":            wrap.Stats(memcheck.New(wrap.Lock(make(in)), memcheck.Options{})),
				" of a checker":      make(memcheck.New(in, memcheck.Options{})),
				" around an adapter": make(galloc.AsAllocator(onlyGlobal{in})),
			} {
				if _, err := a.Allocate(large); err != why {
					t.Errorf("%s%s: Allocate: %v, want %v", name, kind, err, why)
				}
				if _, err := galloc.AllocateZeroed(a, large); err != why {
					t.Errorf("%s%s: AllocateZeroed: %v, want %v", name, kind, err, why)
				}
			}
		}
	}
}

// onlyGlobal is no Allocator.
type onlyGlobal struct{ galloc.GlobalRefusal }

// A Limiter knows whether it refused, or the allocator inside did.
func TestLimiterSaysWhoRefused(t *testing.T) {
	l := wrap.Limit(refusing{galloc.ErrSystem}, 10_000)
	for range 3 {
		if p := l.Alloc(layout(20_000, 8)); p != nil || l.Refusal() != galloc.ErrLimit {
			t.Errorf("beyond the limit: %v", l.Refusal())
		}
		if p := l.Alloc(layout(100, 8)); p != nil || l.Refusal() != galloc.ErrSystem {
			t.Errorf("within the limit: %v", l.Refusal())
		}
	}
	c := memcheck.New(wrap.Limit(newHeap(t), 10_000), memcheck.Options{})
	if _, err := galloc.MakeSlice[byte](c, 20_000); !errors.Is(err, galloc.ErrLimit) {
		t.Errorf("a checker around a Limiter: %v", err)
	}
}
