package wrap_test

import (
	"errors"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

func TestLockExcludesInEveryMethod(t *testing.T) {
	m := &meter{alone: true}
	drive(t, wrap.Lock(m), 200)
	if n := m.overlaps.Load(); n != 0 || m.live.Load() != 0 {
		t.Errorf("%d calls have begun in others; %d bytes are live", n, m.live.Load())
	}
}

// An allocator that is not safe for concurrent use counts right under a lock.
func TestLockExcludes(t *testing.T) {
	in := &unsafeCounter{Allocator: galloc.System}
	a := wrap.Lock(in)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				l := layout(64, 8)
				b, _ := a.Allocate(l)
				a.Deallocate(unsafe.Pointer(&b[0]), l)
				a.Dealloc(a.Alloc(l), l)
			}
		})
	}
	wg.Wait()
	if in.n != 16*2000*4 {
		t.Errorf("%d calls counted", in.n)
	}
}

type unsafeCounter struct {
	galloc.Allocator
	n int
}

func (c *unsafeCounter) Allocate(l galloc.Layout) ([]byte, error) {
	c.n++
	return c.Allocator.Allocate(l)
}

func (c *unsafeCounter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	c.n++
	c.Allocator.Deallocate(p, l)
}

// The question for an owner goes through the lock too: an allocator that is not safe for concurrent
// use may answer it.
func TestLockedOwns(t *testing.T) {
	in := &countingOwner{Allocator: newHeap(t)}
	a := wrap.Stats(wrap.Lock(in))
	p := a.Alloc(layout(64, 8))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if owns, err := galloc.Owns(a, p); !owns || err != nil {
					t.Errorf("Owns: %v, %v", owns, err)
				}
			}
		})
	}
	wg.Wait()
	if in.n != 8000 {
		t.Errorf("%d questions", in.n)
	}
	if _, err := galloc.Owns(wrap.Lock(galloc.System), p); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
	a.Dealloc(p, layout(64, 8))
}

// countingOwner counts the calls of Owns, without synchronization.
type countingOwner struct {
	galloc.Allocator
	n int
}

func (c *countingOwner) Owns(p unsafe.Pointer) bool {
	c.n++
	owns, _ := galloc.Owns(c.Allocator, p)
	return owns
}
