// Package samelayout has memory that is freed with another layout, and correct code that looks like
// it.
package samelayout

import (
	"unsafe"

	"example.com/vet/samelayout/lib"
	"example.com/vet/samelayout/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

type (
	small struct{ a, b uint32 }
	large struct{ a, b, c uint64 }
)

func otherType() {
	p := galloc.Alloc(galloc.LayoutOf[small]())
	galloc.Dealloc(p, galloc.LayoutOf[large]()) // want "galloc.Dealloc with another layout than galloc.Alloc at bad.go:20: the alignment is 8, not 4"
}

func otherSize() {
	l := galloc.Must(galloc.NewLayout(100, 8))
	m := galloc.Must(galloc.NewLayout(96, 8))
	p := galloc.Alloc(l)
	galloc.Dealloc(p, m) // want "the size is 96, not 100"
}

func otherAlign(n uintptr) {
	l := galloc.Must(galloc.NewLayout(n, 64))
	m := galloc.Must(galloc.NewLayout(n, 8))
	p := galloc.AllocZeroed(l)
	galloc.Dealloc(p, m) // want "the alignment is 8, not 64"
}

func oneMore(n int) {
	p := galloc.Alloc(galloc.Must(galloc.ArrayLayout[large](n + 1)))
	galloc.Dealloc(p, galloc.Must(galloc.ArrayLayout[large](n))) // want "the size is less by 24"
}

func afterRealloc(p unsafe.Pointer) {
	l := galloc.Must(galloc.NewLayout(64, 8))
	q := galloc.Realloc(p, l, 128)
	if q == nil {
		return
	}
	galloc.Dealloc(q, l) // want "galloc.Dealloc with another layout than galloc.Realloc at bad.go:45: the size is 64, not 128"
}

func realloc() {
	l := galloc.LayoutOf[small]()
	p := galloc.Alloc(l)
	q := galloc.Realloc(p, galloc.LayoutOf[large](), 128) // want "galloc.Realloc with another layout"
	if q != nil {
		galloc.Dealloc(q, galloc.Must(galloc.NewLayout(128, 8)))
	}
}

func allocator(a galloc.Allocator) {
	b, err := a.Allocate(galloc.Must(galloc.NewLayout(100, 16)))
	if err != nil {
		return
	}
	a.Deallocate(unsafe.Pointer(&b[0]), galloc.Must(galloc.NewLayout(64, 16))) // want "galloc.Allocator.Deallocate with another layout than galloc.Allocator.Allocate at .*: the size is 64, not 100"
}

func cast() {
	p := galloc.Must(galloc.New[large](nil))
	galloc.Free(nil, (*small)(unsafe.Pointer(p))) // want "galloc.Free with another layout than galloc.New"
}

func oneOfMany(n int) {
	s := galloc.Must(galloc.MakeSlice[large](nil, 4))
	galloc.Free(nil, &s[0]) // want "galloc.Free with another layout than galloc.MakeSlice at .*: the size is 24, not 96"
}

func shorter() {
	s := galloc.Must(galloc.MakeSlice[byte](nil, 10))
	galloc.FreeSlice(nil, s[:4:4]) // want "galloc.FreeSlice with another layout than galloc.MakeSlice at .*: the size is 4, not 10"
}

func later() {
	s := galloc.Must(galloc.MakeSlice[byte](nil, 10))
	galloc.FreeSlice(nil, s[1:]) // want "galloc.FreeSlice of an address inside of the memory that galloc.MakeSlice"
}

func inside(l galloc.Layout) {
	p := galloc.Alloc(l)
	galloc.Dealloc(unsafe.Add(p, 16), l) // want "galloc.Dealloc of an address inside of the memory"
}

func otherElements(n int) {
	p := galloc.Alloc(galloc.Must(galloc.ArrayLayout[uint32](n)))
	galloc.Dealloc(p, galloc.Must(galloc.ArrayLayout[[3]uint32](n))) // want "an element has size 12, not 4"
}

func twoAway() {
	p := lib.Make()
	galloc.Dealloc(p, galloc.LayoutOf[large]()) // want "galloc.Dealloc with another layout than lib.Make"
}

func helper(p *heap.Heap) {
	q := p.Alloc(galloc.LayoutOf[large]())
	lib.Drop(q) // want "lib.Drop with another layout than heap.Heap.Alloc at .*: the size is 16, not 24"
}

func generics() {
	p := lib.MakeOf[small]()
	lib.DropOf[lib.Node](p) // want "lib.DropOf with another layout than lib.MakeOf"
	q := mid.MakeInts(10)
	mid.Drop[int64](q, 8) // want "mid.Drop with another layout than mid.MakeInts at .*: the size is 64, not 80"
}

func variables() {
	p := galloc.Alloc(lib.Header())
	galloc.Dealloc(p, lib.NodeLayout) // want "the size is 16, not 64"
}

func deferred(l galloc.Layout) {
	p := galloc.Alloc(l)
	if p == nil {
		return
	}
	defer func() {
		galloc.Dealloc(p, galloc.Must(galloc.NewLayout(l.Size()+8, l.Align()))) // want "the size is more by 8"
	}()
	*(*byte)(p) = 1
}

type buffer struct {
	p unsafe.Pointer
	n int
}

func newBuffer() *buffer { return &buffer{p: galloc.Alloc(galloc.LayoutOf[small]())} }

func (b *buffer) close() {
	galloc.Dealloc(b.p, galloc.LayoutOf[large]()) // want "galloc.Dealloc with another layout than galloc.Alloc at bad.go"
}

func extended() {
	l, _, err := galloc.LayoutOf[uint32]().Extend(galloc.LayoutOf[uint64]())
	if err != nil {
		return
	}
	p := galloc.Alloc(l)
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(12, 8))) // want "the size is 12, not 16"
}

func inBranches(big bool) {
	l := galloc.LayoutOf[small]()
	if big {
		l = galloc.LayoutOf[large]()
	}
	p := galloc.Alloc(l)
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(l.Size(), 16))) // only sometimes
	q := galloc.Alloc(l)
	galloc.Dealloc(q, galloc.Must(galloc.NewLayout(l.Size()+1, l.Align()))) // want "the size is more by 1"
}
