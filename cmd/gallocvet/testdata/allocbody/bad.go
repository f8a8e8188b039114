// Package allocbody registers allocators that may panic or allocate on the Go heap, and correct ones
// that look like them.
package allocbody

import (
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"unsafe"

	"example.com/vet/allocbody/lib"
	"example.com/vet/allocbody/mid"
	"github.com/galloc-go/galloc"
)

type base struct{}

func (base) Alloc(l galloc.Layout) unsafe.Pointer      { return galloc.System.Alloc(l) }
func (base) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }

type panicking struct{ base }

func (panicking) Alloc(l galloc.Layout) unsafe.Pointer {
	p := galloc.System.Alloc(l)
	if p == nil {
		panic("out of memory") // want "Alloc of the registered allocator allocbody.panicking panics"
	}
	return p
}

type mapping struct {
	base
	sizes map[unsafe.Pointer]uintptr
}

func (m *mapping) Alloc(l galloc.Layout) unsafe.Pointer {
	p := m.base.Alloc(l)
	m.sizes[p] = l.Size() // want "Alloc of the registered allocator allocbody.mapping writes to a map"
	return p
}

type appending struct {
	base
	mu   sync.Mutex
	free []unsafe.Pointer
}

func (a *appending) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.free = append(a.free, p) // want "Dealloc of the registered allocator allocbody.appending appends to a slice"
}

type printing struct{ base }

func (printing) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	fmt.Println("free", l.Size()) // want "Dealloc of the registered allocator allocbody.printing calls fmt.Println"
	galloc.System.Dealloc(p, l)
}

type logging struct{ base }

func (a logging) Realloc(p unsafe.Pointer, l galloc.Layout, n uintptr) unsafe.Pointer {
	a.note(n)
	return galloc.System.Realloc(p, l, n)
}

func (logging) note(n uintptr) {
	log.Printf("realloc %d", n) // want "Realloc of the registered allocator allocbody.logging calls log.Printf"
}

type hooked struct {
	base
	later []func()
}

func (h *hooked) Alloc(l galloc.Layout) unsafe.Pointer {
	h.later[0] = func() { println(l.Size()) } // want "Alloc of the registered allocator allocbody.hooked makes a closure that escapes"
	return h.base.Alloc(l)
}

type storing struct {
	base
	last atomic.Value
}

func (s *storing) Alloc(l galloc.Layout) unsafe.Pointer {
	s.last.Store(l) // want "Alloc of the registered allocator allocbody.storing puts a galloc.Layout into an interface that escapes"
	return s.base.Alloc(l)
}

type background struct{ base }

func (b background) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	go b.base.Dealloc(p, l) // want "Dealloc of the registered allocator allocbody.background starts a goroutine"
}

type describing struct{ base }

func (d describing) Alloc(l galloc.Layout) unsafe.Pointer {
	if mid.Note(l) == 0 { // want "Alloc of the registered allocator allocbody.describing calls mid.Note, which calls lib.Describe, which calls fmt.Sprintf at lib.go:24 at mid.go:10"
		return nil
	}
	return d.base.Alloc(l)
}

type slow struct{ base }

func (s slow) AllocZeroed(l galloc.Layout) unsafe.Pointer {
	b := make([]byte, l.Size()) // want "AllocZeroed of the registered allocator allocbody.slow makes a slice"
	return unsafe.Pointer(&b[0])
}

// source is an Allocator.
type source struct{}

func (source) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() > 1<<20 {
		return nil, errors.New("too large") // want "Allocate of the registered allocator allocbody.source calls errors.New"
	}
	return galloc.System.Allocate(l)
}

func (source) Deallocate(p unsafe.Pointer, l galloc.Layout) { galloc.System.Deallocate(p, l) }

func register(which int) {
	switch which {
	case 0:
		galloc.RegisterGlobal(panicking{})
	case 1:
		galloc.RegisterGlobal(&mapping{sizes: map[unsafe.Pointer]uintptr{}})
	case 2:
		galloc.RegisterGlobal(&appended)
	case 3:
		galloc.RegisterGlobal(printing{})
	case 4:
		galloc.RegisterGlobal(newLogging())
	case 5:
		galloc.RegisterGlobal(new(hooked))
	case 6:
		galloc.RegisterGlobal(&storing{})
	case 7:
		var g galloc.GlobalAlloc = background{}
		galloc.RegisterGlobal(g)
	case 8:
		galloc.RegisterGlobal(describing{})
	case 9:
		galloc.RegisterGlobal(galloc.AsGlobal(source{}))
	case 10:
		galloc.RegisterGlobal(&lib.Logging{Inner: galloc.System}) // want "Alloc of the registered allocator lib.Logging calls fmt.Println, at lib.go:16"
	}
}

var appended appending

func newLogging() galloc.GlobalAlloc { return logging{} }

var selection = galloc.Selection{
	Path: "example.com/vet/allocbody",
	New:  func() galloc.GlobalAlloc { return slow{} },
}
