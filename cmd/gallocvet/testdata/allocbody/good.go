package allocbody

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"example.com/vet/allocbody/lib"
	"github.com/galloc-go/galloc"
)

// unregistered is not the global allocator of this program.
type unregistered struct{ base }

func (unregistered) Alloc(l galloc.Layout) unsafe.Pointer {
	fmt.Println(l)
	panic("not registered")
}

// counting counts.
type counting struct {
	base
	bytes atomic.Uintptr
}

func (c *counting) Alloc(l galloc.Layout) unsafe.Pointer {
	c.bytes.Add(lib.Size(l))
	return c.base.Alloc(l)
}

// bounded has a list that never grows.
type bounded struct {
	base
	mu   sync.Mutex
	free []unsafe.Pointer
	some [16]uintptr
}

func (b *bounded) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	b.mu.Lock()
	defer func() { b.mu.Unlock() }()
	if len(b.free) < cap(b.free) {
		b.free = append(b.free, p)
		return
	}
	b.base.Dealloc(p, l)
}

func (b *bounded) Alloc(l galloc.Layout) unsafe.Pointer {
	all := append(b.some[:0], l.Size(), l.Align())
	return b.base.Alloc(galloc.Must(galloc.NewLayout(all[0], all[1])))
}

// Describe is not called by the global allocator.
func (b *bounded) Describe() string { return fmt.Sprint(len(b.free)) }

// dying ends the process on corruption.
type dying struct{ base }

func (d dying) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if p == nil {
		fmt.Fprintln(os.Stderr, "nil is not a block of", l)
		os.Exit(2)
	}
	d.base.Dealloc(p, l)
}

func (d dying) Alloc(l galloc.Layout) unsafe.Pointer {
	p := d.base.Alloc(l)
	if p == nil {
		galloc.HandleAllocError(l)
	}
	return p
}

// reading reads a map, whose content is set before.
type reading struct {
	base
	limits map[uintptr]uintptr
}

func newReading() *reading {
	r := &reading{limits: map[uintptr]uintptr{}}
	r.limits[16] = 100 // before it is registered
	return r
}

func (r *reading) Alloc(l galloc.Layout) unsafe.Pointer {
	if limit, ok := r.limits[l.Size()]; ok && limit == 0 {
		return nil
	}
	return r.base.Alloc(l)
}

// local has closures and interfaces that stay on the stack.
type local struct{ base }

func (a local) Alloc(l galloc.Layout) unsafe.Pointer {
	round := func(n uintptr) uintptr { return (n + l.Align() - 1) &^ (l.Align() - 1) }
	if round(l.Size()) > 1<<20 {
		return nil
	}
	return a.base.Alloc(l)
}

// pooling puts pointers into interfaces, which takes no memory.
type pooling struct {
	base
	nodes sync.Pool
}

type node struct{ next *node }

func (a *pooling) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	a.base.Dealloc(p, l)
	n, ok := a.nodes.Get().(*node)
	if ok {
		a.nodes.Put(n)
	}
}

// recovering catches its panics.
type recovering struct{ base }

func (a recovering) Alloc(l galloc.Layout) (p unsafe.Pointer) {
	defer func() {
		if recover() != nil {
			p = nil
		}
	}()
	if l.Size() == 13 {
		panic("unlucky")
	}
	return a.base.Alloc(l)
}

// fixedList is a list in an array.
type fixedList struct {
	base
	n    int
	list [64]unsafe.Pointer
}

func (f *fixedList) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	if f.n < len(f.list) {
		f.list[f.n] = p
		f.n++
		return
	}
	f.base.Dealloc(p, l)
}

// loud is ignored.
type loud struct{ base }

func (a loud) Alloc(l galloc.Layout) unsafe.Pointer {
	//galloc:ignore allocbody a debugging aid
	fmt.Println(l)
	return a.base.Alloc(l)
}

func registerGood(which int) {
	switch which {
	case 0:
		galloc.RegisterGlobal(&counting{})
	case 1:
		galloc.RegisterGlobal(&bounded{free: make([]unsafe.Pointer, 0, 100)})
	case 2:
		galloc.RegisterGlobal(dying{})
	case 3:
		galloc.RegisterGlobal(newReading())
	case 4:
		galloc.RegisterGlobal(local{})
	case 5:
		galloc.RegisterGlobal(&pooling{})
	case 6:
		galloc.RegisterGlobal(recovering{})
	case 7:
		galloc.RegisterGlobal(&fixedList{})
	case 8:
		galloc.RegisterGlobal(loud{})
	case 9:
		galloc.RegisterGlobal(galloc.System)
	}
}
