package nocycle

import (
	"sync"
	"unsafe"

	"example.com/vet/nocycle/lib"
	"example.com/vet/nocycle/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

// notRegistered is an allocator on the global one, which is fine.
type notRegistered struct{ base }

func (notRegistered) Alloc(l galloc.Layout) unsafe.Pointer { return galloc.Alloc(l) }

type onSystem struct{ base }

func (onSystem) Alloc(l galloc.Layout) unsafe.Pointer { return galloc.System.Alloc(l) }

type onHeap struct{ base }

func (onHeap) Alloc(l galloc.Layout) unsafe.Pointer { return heap.Default().Alloc(l) }

type typedOnSystem struct{ base }

func (typedOnSystem) Alloc(l galloc.Layout) unsafe.Pointer {
	h, err := galloc.New[header](galloc.System)
	if err != nil {
		return nil
	}
	return unsafe.Pointer(h)
}

type ownVec struct {
	base
	mu   sync.Mutex
	free *collections.Vec[uintptr]
}

func newOwnVec() *ownVec { return &ownVec{free: collections.NewVec[uintptr](galloc.System)} }

func (o *ownVec) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	o.mu.Lock()
	o.free.Push(l.Size())
	o.mu.Unlock()
	o.base.Dealloc(p, l)
}

type ownArena struct {
	base
	mu sync.Mutex
	a  *bump.Arena
}

func (x *ownArena) Alloc(l galloc.Layout) unsafe.Pointer {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.a.Alloc(l)
}

type described struct{ base }

func (d described) Alloc(l galloc.Layout) unsafe.Pointer {
	if len(galloc.DescribeGlobal()) == 0 || galloc.Global.String() == "" {
		return nil
	}
	return d.base.Alloc(galloc.Must(galloc.NewLayout(mid.Double(l.Size()), l.Align())))
}

// Report is not called by the global allocator.
func (described) Report() int { return lib.Scratch(100) }

type onParameter struct{ base }

func (o onParameter) Alloc(l galloc.Layout) unsafe.Pointer {
	if lib.On(galloc.System, 10) == 0 {
		return nil
	}
	return o.base.Alloc(l)
}

// stopping ends the program.
type stopping struct{ base }

func (s stopping) Alloc(l galloc.Layout) unsafe.Pointer {
	p := s.base.Alloc(l)
	if p == nil {
		galloc.HandleAllocError(l)
	}
	return p
}

func registerGood(which int) {
	switch which {
	case 0:
		galloc.RegisterGlobal(onSystem{})
	case 1:
		galloc.RegisterGlobal(onHeap{})
	case 2:
		galloc.RegisterGlobal(typedOnSystem{})
	case 3:
		galloc.RegisterGlobal(newOwnVec())
	case 4:
		galloc.RegisterGlobal(&ownArena{a: bump.New(galloc.System)})
	case 5:
		galloc.RegisterGlobal(described{})
	case 6:
		galloc.RegisterGlobal(onParameter{})
	case 7:
		galloc.RegisterGlobal(&inner{galloc.System})
	case 8:
		galloc.RegisterGlobal(lib.NewWrap(heap.Default()))
	case 9:
		galloc.RegisterGlobal(galloc.AsGlobal(wrap.Stats(heap.Default())))
	case 10:
		galloc.RegisterGlobal(stopping{})
	case 11:
		galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap))
	case 12:
		//galloc:ignore nocycle the test wants the panic of RegisterGlobal
		galloc.RegisterGlobal(&inner{galloc.Global})
	}
	// Before it is registered, and after, the program itself uses the global allocator.
	p := galloc.Must(galloc.New[header](nil))
	galloc.Free(nil, p)
}
