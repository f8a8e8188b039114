// Package unchecked has failures that are not looked at, and some that are.
package unchecked

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/pool"
)

func statement(v *collections.Vec[int]) {
	v.TryPush(1) // want "the error of collections.Vec.TryPush is not looked at"
}

func blank(v *collections.Vec[int]) {
	_ = v.TryAppend(1, 2) // want "the error of collections.Vec.TryAppend is not looked at"
}

func secondBlank(m *collections.Map[int, int]) bool {
	put, _ := m.TryPutIfAbsent(1, 2) // want "the error of collections.Map.TryPutIfAbsent is not looked at"
	return put
}

func thirdBlank(m *collections.Map[int, int]) {
	p, _, _ := m.TryGetOrPut(1) // want "the error of collections.Map.TryGetOrPut is not looked at"
	*p = 1
}

func deferred(v *collections.Vec[int]) {
	defer v.TryReserve(10) // want "the error of collections.Vec.TryReserve is not looked at"
}

func concurrent(v *collections.Vec[int]) {
	go v.TryReserve(10) // want "the error of collections.Vec.TryReserve is not looked at"
}

func made() {
	n, _ := galloc.New[int](nil) // want "the error of galloc.New is not looked at"
	*n = 1
	galloc.Free(nil, n)
}

func slice() {
	s, _ := galloc.MakeSlice[int](nil, 10) // want "the error of galloc.MakeSlice is not looked at"
	galloc.FreeSlice(nil, s)
}

func raw(l galloc.Layout) {
	p := galloc.Alloc(l) // want "galloc.Alloc returns nil if memory is exhausted, which is not looked at"
	*(*byte)(p) = 1
	galloc.Dealloc(p, l)
}

func bytes(l galloc.Layout) {
	p := galloc.AllocZeroed(l) // want "galloc.AllocZeroed returns nil if memory is exhausted"
	b := unsafe.Slice((*byte)(p), 10)
	b[0] = 1
	galloc.Dealloc(p, l)
}

func inArena(a *bump.Arena, l galloc.Layout) {
	p := (*int)(a.Alloc(l)) // want "bump.Arena.Alloc returns nil if memory is exhausted"
	*p = 1
}

func pooled(p *pool.Pool) {
	b := (*int)(p.Get()) // want "pool.Pool.Get returns nil if memory is exhausted"
	*b = 1
	p.Put(unsafe.Pointer(b))
}

func direct(l galloc.Layout) {
	*(*byte)(galloc.Alloc(l)) = 1 // want "galloc.Alloc returns nil if memory is exhausted"
}
