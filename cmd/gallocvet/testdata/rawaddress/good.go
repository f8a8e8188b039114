package rawaddress

import (
	"fmt"
	"unsafe"

	"example.com/vet/rawaddress/lib"
	"example.com/vet/rawaddress/mid"
	"github.com/galloc-go/galloc"
)

func oneExpression(p unsafe.Pointer, l galloc.Layout) unsafe.Pointer {
	q := galloc.Alloc(l)
	return unsafe.Pointer(uintptr(q) &^ (l.Align() - 1))
}

func printed(l galloc.Layout) {
	p := galloc.Alloc(l)
	address := uintptr(p)
	fmt.Printf("%#x\n", address)
	galloc.Dealloc(p, l)
}

func checked(l galloc.Layout) bool {
	p := galloc.Alloc(l)
	defer galloc.Dealloc(p, l)
	return uintptr(p)%l.Align() == 0
}

var seen = map[uintptr]bool{}

func keyed(l galloc.Layout) unsafe.Pointer {
	p := galloc.Alloc(l)
	seen[uintptr(p)] = true
	work()
	return p
}

func hashed(l galloc.Layout) uintptr {
	p := galloc.Alloc(l)
	return lib.Hash(uintptr(p))
}

func withAdd(l galloc.Layout, i int) unsafe.Pointer {
	p := galloc.Alloc(l)
	work()
	return unsafe.Add(p, i)
}

func ofGo(b []byte) uintptr {
	address := uintptr(unsafe.Pointer(&b[0]))
	work()
	return address
}

type span struct{ start, end uintptr }

func (s *span) record(l galloc.Layout) unsafe.Pointer {
	p := galloc.Alloc(l)
	s.start, s.end = uintptr(p), uintptr(p)+l.Size()
	return p
}

func (s *span) contains(p unsafe.Pointer) bool { return uintptr(p)-s.start < s.end-s.start }

func empty(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return l.Dangling()
	}
	return unsafe.Pointer(uintptr(0)) // nil
}

func offHeapList() *record {
	var head *record
	for i := range 3 {
		r := raw()
		r.id = i
		r.next = head       // from block to block
		r.name = "constant" // in the program's data
		r.f = work
		r.any = "text"
		head = r
	}
	return head
}

var static record

func staticData() {
	r := raw()
	r.next = &static // never collected
	r.next = nil
}

func view() {
	r := raw()
	l := galloc.Must(galloc.NewLayout(100, 1))
	p := galloc.Alloc(l)
	r.name = unsafe.String((*byte)(p), 100) // text in a block
	r.tags = unsafe.Slice((*string)(galloc.Alloc(l)), 6)
}

func onGoHeap() {
	r := galloc.Must(galloc.New[record](galloc.GoHeap))
	r.name = fmt.Sprint(1)
	r.next = new(record)
}

func goRecord(name string) *record {
	r := &record{name: name}
	r.next = new(record)
	r.more = map[string]int{}
	return r
}

func helpers(name string) {
	r := new(lib.Record)
	r.SetName(name)
	lib.Link(r, new(lib.Record))
	mid.Join(lib.Make(), mid.Alloc())
	mid.Alloc().SetName("constant")
}

func numbers(n int) {
	s := unsafe.Slice((*uintptr)(galloc.Alloc(galloc.Must(galloc.ArrayLayout[uintptr](n)))), n)
	s[0] = uintptr(unsafe.Pointer(&s[0]))
}

func unknown(next *record) {
	r := raw()
	r.next = next // may be in a block too
}

func ignored() {
	r := raw()
	//galloc:ignore rawaddress main keeps the record too
	r.next = &record{}
}
