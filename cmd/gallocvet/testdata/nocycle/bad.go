// Package nocycle registers allocators that use the global allocator, and correct ones that look
// like them.
package nocycle

import (
	"sync"
	"unsafe"

	"example.com/vet/nocycle/lib"
	"example.com/vet/nocycle/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/wrap"
)

type base struct{}

func (base) Alloc(l galloc.Layout) unsafe.Pointer      { return galloc.System.Alloc(l) }
func (base) Dealloc(p unsafe.Pointer, l galloc.Layout) { galloc.System.Dealloc(p, l) }

type direct struct{ base }

func (direct) Alloc(l galloc.Layout) unsafe.Pointer {
	return galloc.Alloc(l) // want "Alloc of the registered allocator nocycle.direct calls galloc.Alloc: the global allocator would call it again"
}

type value struct{ base }

func (value) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	galloc.Global.Dealloc(p, l) // want "Dealloc of the registered allocator nocycle.value calls galloc.GlobalAllocator.Dealloc"
}

type typed struct{ base }

type header struct{ size uintptr }

func (t typed) Alloc(l galloc.Layout) unsafe.Pointer {
	h, err := galloc.New[header](nil) // want "Alloc of the registered allocator nocycle.typed calls galloc.New on galloc.Global"
	if err != nil {
		return nil
	}
	h.size = l.Size()
	return unsafe.Pointer(h)
}

type helped struct{ base }

func (h helped) Alloc(l galloc.Layout) unsafe.Pointer { return h.slow(l) }

func (h helped) slow(l galloc.Layout) unsafe.Pointer { return refill(l) }

func refill(l galloc.Layout) unsafe.Pointer {
	return galloc.AllocZeroed(l) // want "Alloc of the registered allocator nocycle.helped calls galloc.AllocZeroed"
}

type listing struct {
	base
	free collections.Vec[uintptr]
}

func (f *listing) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	f.free.Push(l.Size()) // want "Dealloc of the registered allocator nocycle.listing calls collections.Vec.Push of a zero value, which is on galloc.Global"
	f.base.Dealloc(p, l)
}

type constructed struct {
	base
	sizes *collections.Map[uintptr, uintptr]
}

func newConstructed() *constructed {
	return &constructed{sizes: collections.NewMap[uintptr, uintptr](nil)}
}

func (c *constructed) Alloc(l galloc.Layout) unsafe.Pointer {
	c.sizes.Put(l.Size(), l.Align()) // want "Alloc of the registered allocator nocycle.constructed calls collections.Map.Put of one made by collections.NewMap on galloc.Global"
	return c.base.Alloc(l)
}

type arena struct {
	mu sync.Mutex
	a  *bump.Arena
}

func (x *arena) Alloc(l galloc.Layout) unsafe.Pointer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.a.Alloc(l) // want "Alloc of the registered allocator nocycle.arena calls bump.Arena.Alloc of one made by bump.New on galloc.Global"
}

func (x *arena) Dealloc(unsafe.Pointer, galloc.Layout) {}

type inner struct{ g galloc.GlobalAlloc }

func (i *inner) Alloc(l galloc.Layout) unsafe.Pointer      { return i.g.Alloc(l) }
func (i *inner) Dealloc(p unsafe.Pointer, l galloc.Layout) { i.g.Dealloc(p, l) }

type embedding struct {
	galloc.GlobalAllocator
	calls int
}

type twoAway struct{ base }

func (t twoAway) Alloc(l galloc.Layout) unsafe.Pointer {
	n := mid.Round(l.Size()) // want "Alloc of the registered allocator nocycle.twoAway calls mid.Round, which calls lib.Scratch, which calls galloc.MakeSlice on galloc.Global at lib.go:28 at mid.go:7"
	return t.base.Alloc(galloc.Must(galloc.NewLayout(n, l.Align())))
}

type concurrent struct{ base }

func (c concurrent) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	go func() {
		galloc.Dealloc(p, l) // want "Dealloc of the registered allocator nocycle.concurrent calls galloc.Dealloc"
	}()
}

type onAllocator struct{ a galloc.Allocator }

func (o *onAllocator) Alloc(l galloc.Layout) unsafe.Pointer {
	b, err := o.a.Allocate(l)
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

func (o *onAllocator) Dealloc(p unsafe.Pointer, l galloc.Layout) { o.a.Deallocate(p, l) }

func register(which int) {
	switch which {
	case 0:
		galloc.RegisterGlobal(direct{})
	case 1:
		galloc.RegisterGlobal(value{})
	case 2:
		galloc.RegisterGlobal(typed{})
	case 3:
		galloc.RegisterGlobal(helped{})
	case 4:
		galloc.RegisterGlobal(&listing{})
	case 5:
		galloc.RegisterGlobal(newConstructed())
	case 6:
		galloc.RegisterGlobal(&arena{a: bump.New(nil)})
	case 7:
		galloc.RegisterGlobal(&inner{galloc.Global}) // want "the registered allocator is made of galloc.Global, which would call it again: a field is galloc.Global at bad.go:"
	case 8:
		galloc.RegisterGlobal(embedding{}) // want "Alloc of the registered allocator nocycle.embedding is galloc.Global's" "Dealloc of" "AllocZeroed of" "Realloc of"
	case 9:
		galloc.RegisterGlobal(twoAway{})
	case 15:
		galloc.RegisterGlobal(&onAllocator{wrap.Stats(nil)}) // want "made of galloc.Global, which would call it again: a field is made by wrap.Stats on galloc.Global at bad.go:"
	case 10:
		galloc.RegisterGlobal(galloc.AsGlobal(wrap.Stats(nil))) // want "made of galloc.Global, which would call it again: nil is galloc.Global for wrap.Stats"
	case 11:
		galloc.RegisterGlobal(lib.NewWrap(galloc.Global)) // want "made of galloc.Global, which would call it again: an argument of lib.NewWrap at bad.go:"
	case 12:
		galloc.RegisterGlobal(&lib.Recording{Inner: galloc.System}) // want "Alloc of the registered allocator lib.Recording calls collections.Vec.Push of a zero value, which is on galloc.Global, at lib.go:19"
	case 13:
		galloc.RegisterGlobal(concurrent{})
	case 14:
		galloc.RegisterGlobal(galloc.AsGlobal(wrap.Limit(wrap.Stats(galloc.Global), 1<<20))) // want "made of galloc.Global, which would call it again: galloc.Global itself"
	}
}
