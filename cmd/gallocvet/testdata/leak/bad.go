// Package leak has memory that is not freed on some path, and correct code that looks like it.
package leak

import (
	"errors"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
)

type node struct{ id, next uint64 }

var errFailed = errors.New("failed")

func errorReturn(fail bool) error {
	n, err := galloc.New[node](nil) // want "the memory of galloc.New is not freed by the return at bad.go:"
	if err != nil {
		return err
	}
	if fail {
		return errFailed
	}
	galloc.Free(nil, n)
	return nil
}

func secondFails() error {
	a, err := galloc.MakeSlice[int](nil, 10) // want "the memory of galloc.MakeSlice is not freed"
	if err != nil {
		return err
	}
	b, err := galloc.MakeSlice[int](nil, 10)
	if err != nil {
		return err
	}
	galloc.FreeSlice(nil, b)
	galloc.FreeSlice(nil, a)
	return nil
}

func never() uint64 {
	n := galloc.Must(galloc.New[node](galloc.Global)) // want "the memory of galloc.New is not freed"
	return n.id
}

func raw(l galloc.Layout, fail bool) bool {
	p := galloc.Alloc(l) // want "the memory of galloc.Alloc is not freed"
	if p == nil {
		return false
	}
	if fail {
		return false
	}
	galloc.Dealloc(p, l)
	return true
}

func everyIteration() {
	for i := range 10 {
		n, err := galloc.New[node](nil) // want "the memory of galloc.New is not freed (before the next iteration|by the return)"
		if err != nil {
			continue
		}
		n.id = uint64(i)
	}
}

func breaks(all []int) {
	for _, i := range all {
		s := galloc.Must(galloc.MakeSlice[int](nil, 10)) // want "the memory of galloc.MakeSlice is not freed"
		if i == 0 {
			break
		}
		galloc.FreeSlice(nil, s)
	}
}

func zeroValue() int {
	var v collections.Vec[int] // want "the memory of v is not freed"
	v.Push(1)
	return v.Len()
}

func zeroValueOnError(fail bool) error {
	var m collections.TextMap // want "the memory of m is not freed"
	m.Put("tea", "green")
	if fail {
		return errFailed
	}
	m.Free()
	return nil
}

func constructor(fail bool) error {
	m, err := collections.MakeMap[int, int](nil, 10) // want "the memory of collections.MakeMap is not freed"
	if err != nil {
		return err
	}
	m.Put(1, 2)
	if fail {
		return errFailed
	}
	m.Free()
	return nil
}

func otherAllocator(a galloc.Allocator, fail bool) error {
	n, err := galloc.New[node](a) // want "the memory of galloc.New is not freed"
	if err != nil {
		return err
	}
	if fail {
		return errFailed
	}
	galloc.Free(a, n)
	return nil
}

func ofHeap() {
	n, err := galloc.New[node](heap.Default()) // want "the memory of galloc.New is not freed"
	if err != nil {
		return
	}
	n.id = 1
}

func create() *node { return galloc.Must(galloc.New[node](nil)) }

func byHelper() uint64 {
	n := create() // want "the memory of leak.create is not freed"
	return n.id
}

func read(n *node) uint64 { return n.id }

func borrowed() uint64 {
	n := galloc.Must(galloc.New[node](nil)) // want "the memory of galloc.New is not freed"
	return read(n)
}

func sizes(l galloc.Layout) uintptr {
	p := unsafe.Pointer(galloc.AllocZeroed(l)) // want "the memory of galloc.AllocZeroed is not freed"
	if p != nil {
		*(*byte)(p) = 1
	}
	return l.Size()
}
