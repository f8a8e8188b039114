package samelayout

import (
	"unsafe"

	"example.com/vet/samelayout/lib"
	"example.com/vet/samelayout/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/pool"
)

type tag struct{ a, b uint32 }

func sameSize() {
	p := galloc.Alloc(galloc.LayoutOf[small]())
	galloc.Dealloc(p, galloc.LayoutOf[tag]()) // another type, the same layout
}

func written() {
	p := galloc.Alloc(galloc.LayoutOf[large]())
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(24, 8)))
}

func chosen(big bool) {
	l := galloc.LayoutOf[small]()
	if big {
		l = galloc.LayoutOf[large]()
	}
	p := galloc.Alloc(l)
	galloc.Dealloc(p, l)
}

func chosenBoth(big bool) {
	var p unsafe.Pointer
	var l galloc.Layout
	if big {
		l = galloc.LayoutOf[large]()
		p = galloc.Alloc(l)
	} else {
		l = galloc.LayoutOf[small]()
		p = galloc.Alloc(l)
	}
	galloc.Dealloc(p, l)
}

func grows(n int) {
	l := galloc.Must(galloc.ArrayLayout[int](n))
	p := galloc.Alloc(l)
	for range 3 {
		q := galloc.Realloc(p, l, 2*l.Size())
		if q == nil {
			break
		}
		p = q
		l = galloc.Must(galloc.NewLayout(2*l.Size(), l.Align()))
	}
	galloc.Dealloc(p, l)
}

func reallocFailed(p unsafe.Pointer) {
	l := galloc.Must(galloc.NewLayout(64, 8))
	q := galloc.Realloc(p, l, 128)
	if q == nil {
		galloc.Dealloc(p, l)
		return
	}
	galloc.Dealloc(q, galloc.Must(galloc.NewLayout(128, l.Align())))
}

func usable(a galloc.Allocator) {
	l := galloc.LayoutOf[large]()
	b, err := a.Allocate(l)
	if err != nil {
		return
	}
	// A layout with the usable size fits too.
	a.Deallocate(unsafe.Pointer(&b[0]), galloc.Must(galloc.NewLayout(uintptr(len(b)), l.Align())))
}

func resizes(a galloc.Allocator, n uintptr) {
	l := galloc.Must(galloc.NewLayout(64, 8))
	b, err := a.Allocate(l)
	if err != nil {
		return
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if galloc.Resize(a, p, l, 128) {
		a.Deallocate(p, galloc.Must(galloc.NewLayout(128, 8)))
		return
	}
	a.Deallocate(p, l)
}

func rebuilt(n int) {
	p := galloc.Alloc(galloc.Must(galloc.ArrayLayout[large](n)))
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(uintptr(n)*24, 8)))
	q := galloc.Alloc(galloc.Must(galloc.ArrayLayout[large](n + 1)))
	galloc.Dealloc(q, galloc.Must(galloc.ArrayLayout[large](1+n)))
}

func shift(n int) {
	p := galloc.Alloc(galloc.Must(galloc.NewLayout(uintptr(n)<<3, 8)))
	galloc.Dealloc(p, galloc.Must(galloc.ArrayLayout[uint64](n)))
}

func truncated() {
	s := galloc.Must(galloc.MakeSlice[byte](nil, 10))
	s = s[:0] // the capacity is the same
	galloc.FreeSlice(nil, s)
	t := galloc.Must(galloc.MakeSliceCap[byte](nil, 2, 10))
	galloc.FreeSlice(nil, t[:10:10])
}

func casts() {
	p := galloc.Must(galloc.New[small](nil))
	galloc.Free(nil, (*tag)(unsafe.Pointer(p)))
	q := galloc.Must(galloc.New[[4]large](nil))
	galloc.FreeSlice(nil, unsafe.Slice(&q[0], 4))
}

func first() {
	s := galloc.Must(galloc.MakeSlice[large](nil, 1))
	galloc.Free(nil, &s[0])
}

func generic[T any](n int) {
	p := galloc.Alloc(galloc.LayoutOf[T]())
	lib.DropOf[T](p)
	q := lib.MakeN[T](n)
	mid.Drop[T](q, n)
}

func pooled(p *pool.Pool) {
	b := p.Get()
	p.Put(b)
}

func helpers(n int) {
	p := lib.Make()
	galloc.Dealloc(p, lib.NodeLayout)
	q := mid.MakeInts(n)
	mid.Drop[float64](q, n)
	r := galloc.Alloc(lib.Header())
	galloc.Dealloc(r, lib.Header())
}

type text struct {
	p unsafe.Pointer
	l galloc.Layout
}

func newText(n uintptr) *text {
	l := galloc.Must(galloc.NewLayout(n, 1))
	return &text{galloc.Alloc(l), l}
}

func (t *text) close() { galloc.Dealloc(t.p, t.l) }

type either struct {
	p   unsafe.Pointer
	big bool
}

func newEither(big bool) *either {
	if big {
		return &either{galloc.Alloc(galloc.LayoutOf[large]()), true}
	}
	return &either{p: galloc.Alloc(galloc.LayoutOf[small]())}
}

func (e *either) close() {
	if e.big {
		galloc.Dealloc(e.p, galloc.LayoutOf[large]())
	} else {
		galloc.Dealloc(e.p, galloc.LayoutOf[small]())
	}
}

func loop(sizes []uintptr) {
	var p unsafe.Pointer
	last := uintptr(8)
	for n := last; n < 100; n++ {
		if p != nil {
			galloc.Dealloc(p, galloc.Must(galloc.NewLayout(last, 1)))
		}
		p = galloc.Alloc(galloc.Must(galloc.NewLayout(n, 1)))
		last = n
	}
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(last, 1)))
}

func aligned(l galloc.Layout) {
	m, err := l.AlignTo(64)
	if err != nil {
		return
	}
	p := galloc.Alloc(m)
	galloc.Dealloc(p, galloc.Must(galloc.NewLayout(l.Size(), m.Align())))
}

func ignored() {
	p := galloc.Alloc(galloc.LayoutOf[small]())
	//galloc:ignore samelayout the test wants the report of the heap
	galloc.Dealloc(p, galloc.LayoutOf[large]())
}
