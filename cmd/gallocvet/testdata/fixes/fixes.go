// Package fixes has mistakes with suggested fixes. fixes.golden is the package after them.
package fixes

import (
	"bytes"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

type node struct{ id, next uint64 }

type edge struct{ from, to uint32 }

func try(v *collections.Vec[int], m *collections.Map[int, int]) bool {
	v.TryPush(1)
	_ = v.TryAppend(2, 3)
	put, _ := m.TryPutIfAbsent(1, 2)
	return put
}

func noTwin(v *collections.Vec[int]) {
	defer v.TryReserve(10) // no fix
}

func must() uint64 {
	n, _ := galloc.New[node](nil)
	defer galloc.Free(nil, n)
	return n.id
}

func null(l galloc.Layout) {
	p := galloc.Alloc(l)
	*(*byte)(p) = 1
	galloc.Dealloc(p, l)
}

func layout() {
	l := galloc.LayoutOf[node]()
	p := galloc.Alloc(l)
	if p == nil {
		return
	}
	galloc.Dealloc(p, galloc.LayoutOf[edge]())
	q := galloc.AllocZeroed(galloc.LayoutOf[edge]())
	galloc.Dealloc(q, l)
}

func dangling(l galloc.Layout) unsafe.Pointer {
	return unsafe.Pointer(uintptr(l.Align()))
}

func collection() int {
	var v collections.Vec[int]
	v.Push(1)
	return v.Len()
}

func value() (uint64, error) {
	n, err := galloc.New[node](galloc.Global)
	if err != nil {
		return 0, err
	}
	return n.id, nil
}

func slice(n int) int {
	s := galloc.Must(galloc.MakeSlice[int](nil, n))
	s[0] = 1
	return len(s)
}

func onePath(fail bool) int {
	s := galloc.Must(galloc.MakeSlice[int](nil, 10)) // freed on the other: no fix
	if fail {
		return 0
	}
	galloc.FreeSlice(nil, s)
	return 1
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func pooled() []byte {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	b.WriteString("x")
	return b.Bytes()
}
