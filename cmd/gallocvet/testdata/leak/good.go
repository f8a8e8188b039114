package leak

import (
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

func deferred(fail bool) error {
	n, err := galloc.New[node](nil)
	if err != nil {
		return err
	}
	defer galloc.Free(nil, n)
	if fail {
		return errFailed
	}
	n.id = 1
	return nil
}

func deferredClosure() {
	n := galloc.Must(galloc.New[node](nil))
	defer func() { galloc.Free(nil, n) }()
	n.id = 1
}

func returned() (*node, error) {
	n, err := galloc.New[node](nil)
	if err != nil {
		return nil, err
	}
	n.id = 1
	return n, nil
}

func stored(to *[]*node) {
	n := galloc.Must(galloc.New[node](nil))
	*to = append(*to, n)
}

func inField(h *struct{ n *node }) {
	n := galloc.Must(galloc.New[node](nil))
	h.n = n
}

func inMap(m map[int]*node) {
	n := galloc.Must(galloc.New[node](nil))
	m[1] = n
}

func sent(c chan *node) {
	c <- galloc.Must(galloc.New[node](nil))
}

func inArena() uint64 {
	a := bump.New(nil)
	defer a.Close()
	n := galloc.Must(galloc.New[node](a))
	return n.id
}

func collected() uint64 {
	n := galloc.Must(galloc.New[node](galloc.GoHeap))
	return n.id
}

func callersArena(a galloc.Allocator) uint64 {
	n := galloc.Must(galloc.New[node](a)) // the caller resets it
	return n.id
}

func nilOnly(l galloc.Layout) bool {
	p := galloc.Alloc(l)
	if p == nil {
		return false
	}
	galloc.Dealloc(p, l)
	return true
}

func flag(want bool) {
	var n *node
	if want {
		n = galloc.Must(galloc.New[node](nil))
	}
	if n != nil {
		galloc.Free(nil, n)
	}
}

func previous() {
	var last *node
	for range 10 {
		n := galloc.Must(galloc.New[node](nil))
		if last != nil {
			galloc.Free(nil, last)
		}
		last = n
	}
	if last != nil {
		galloc.Free(nil, last)
	}
}

func grown() {
	var s []int
	var err error
	for i := range 10 {
		if s, err = galloc.AppendSlice(nil, s, i); err != nil {
			break
		}
	}
	galloc.FreeSlice(nil, s)
}

func zeroValueFreed() int {
	var v collections.Vec[int]
	defer v.Free()
	v.Push(1)
	return v.Len()
}

type owner struct{ v collections.Vec[int] }

func (o *owner) add() { o.v.Push(1) }

func handedOver(register func(*collections.Vec[int])) {
	var v collections.Vec[int]
	v.Push(1)
	register(&v)
}

func freeAll(n *node) { galloc.Free(nil, n) }

func freedByHelper() {
	n := galloc.Must(galloc.New[node](nil))
	freeAll(n)
}

func asNumber(l galloc.Layout) uintptr {
	return uintptr(unsafe.Pointer(galloc.Alloc(l)))
}

func panics(fail bool) {
	n := galloc.Must(galloc.New[node](nil))
	if fail {
		panic("leak: failed")
	}
	galloc.Free(nil, n)
}
