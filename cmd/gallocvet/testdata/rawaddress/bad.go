// Package rawaddress has addresses as numbers, invented pointers and Go pointers in blocks, and
// correct code that looks like them.
package rawaddress

import (
	"fmt"
	"unsafe"

	"example.com/vet/rawaddress/lib"
	"example.com/vet/rawaddress/mid"
	"github.com/galloc-go/galloc"
)

func work() {}

func across(l galloc.Layout) {
	p := galloc.Alloc(l)
	address := uintptr(p)
	work()
	*(*byte)(unsafe.Pointer(address)) = 1 // want "the address of a block is kept as a number across a call, and made a pointer here"
}

func acrossInLoop(l galloc.Layout, n int) {
	at := uintptr(galloc.Alloc(l))
	for range n {
		*(*byte)(unsafe.Pointer(at)) = 1 // want "the address of a block is kept as a number across a call"
		at += 8
		work()
	}
}

type block struct{ address uintptr }

func newBlock(l galloc.Layout) *block { return &block{uintptr(galloc.Alloc(l))} }

func (b *block) first() byte {
	return *(*byte)(unsafe.Pointer(b.address)) // want "the address of a block is kept as a number in address"
}

var global uintptr

func set(l galloc.Layout) { global = uintptr(galloc.AllocZeroed(l)) + 8 }

func get() *int {
	return (*int)(unsafe.Pointer(global)) // want "the address of a block is kept as a number in global"
}

func returned(l galloc.Layout) unsafe.Pointer {
	return unsafe.Pointer(lib.Address(l)) // want "the address of a block is kept as a number by lib.Address"
}

func passed(l galloc.Layout) {
	p := galloc.Alloc(l)
	lib.Drop(uintptr(p), l) // want "the address of a block is passed as a number to lib.Drop, which makes a pointer of it"
}

func twoAway() {
	p := galloc.Alloc(galloc.LayoutOf[int]())
	mid.Free(uintptr(p)) // want "the address of a block is passed as a number to mid.Free"
}

func small() unsafe.Pointer {
	return unsafe.Pointer(uintptr(16)) // want "the pointer 16 is invented: a pointer below 4096 ends the program"
}

var sentinel = (*int)(unsafe.Pointer(uintptr(1))) // want "the pointer 1 is invented"

func dangling(l galloc.Layout) unsafe.Pointer {
	if l.Size() == 0 {
		return unsafe.Pointer(l.Align()) // want "the pointer to an alignment is invented"
	}
	return galloc.Alloc(l)
}

type record struct {
	id   int
	name string
	next *record
	tags []string
	more map[string]int
	f    func()
	any  any
}

func raw() *record { return (*record)(galloc.AllocZeroed(galloc.LayoutOf[record]())) }

func stores(name string) {
	r := (*record)(galloc.AllocZeroed(galloc.LayoutOf[record]()))
	r.name = name                        // want "a string of the caller is stored in a block"
	r.name = fmt.Sprint(r.id)            // want "the result of fmt.Sprint is stored in a block"
	r.next = &record{}                   // want "a pointer to a Go variable is stored in a block"
	r.tags = make([]string, r.id)        // want "a Go slice is stored in a block"
	r.tags = append([]string(nil), name) // want "a Go slice is stored in a block"
	r.more = map[string]int{}            // want "a map is stored in a block"
	r.f = func() { println(name) }       // want "a closure is stored in a block"
	r.any = r.id                         // want "an interface is stored in a block"
}

func whole(name string) {
	r := raw()
	*r = record{id: 1, name: "record " + name} // want "a string on the Go heap is stored in a block"
}

func elements(names []string) {
	p := galloc.Alloc(galloc.Must(galloc.ArrayLayout[string](len(names))))
	s := unsafe.Slice((*string)(p), len(names))
	copy(s, names)        // want "a string is stored in a block"
	s[0] = names[0] + "!" // want "a string on the Go heap is stored in a block"
}

func bytes(b []byte) {
	r := lib.Make()
	r.Name = string(b)                   // want "a string on the Go heap is stored in a block"
	r.SetName(string(b))                 // want "a string on the Go heap is stored in a block by lib.Record.SetName"
	lib.Link(r, new(lib.Record))         // want "a pointer to a Go variable is stored in a block by lib.Link"
	mid.Join(&lib.Record{}, mid.Alloc()) // want "a pointer to a Go variable is stored in a block by mid.Join"
}

type list struct{ head *record }

func newList() *list { return &list{head: raw()} }

func (l *list) push() {
	l.head.next = new(record) // want "a pointer to a Go variable is stored in a block"
}
