// Package lifetime has uses of memory after its end, and correct code that looks like them.
package lifetime

import (
	"bytes"
	"fmt"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

type node struct{ id, next uint64 }

func readAfterFree() uint64 {
	n := galloc.Must(galloc.New[node](nil))
	galloc.Free(nil, n)
	return n.id // want "memory is used after galloc.Free ended it at bad.go:"
}

func writeAfterFree(n *node) {
	galloc.Free(nil, n)
	n.id = 1 // want "memory is used after galloc.Free"
}

func freedTwice(n *node) {
	galloc.Free(nil, n)
	galloc.Free(nil, n) // want "galloc.Free ends memory again that galloc.Free ended"
}

func onOnePath(n *node, early bool) uint64 {
	if early {
		galloc.Free(nil, n)
	}
	return n.id // want "memory is used after galloc.Free"
}

func raw(l galloc.Layout) byte {
	p := galloc.Alloc(l)
	if p == nil {
		return 0
	}
	b := (*byte)(p)
	galloc.Dealloc(p, l)
	return *b // want "memory is used after galloc.Dealloc"
}

func afterRealloc(p unsafe.Pointer, l galloc.Layout) byte {
	q := galloc.Realloc(p, l, 100)
	if q == nil {
		return 0
	}
	*(*byte)(q) = 1
	return *(*byte)(p) // want "memory is used after galloc.Realloc"
}

func partOfSlice() {
	s, err := galloc.MakeSlice[int](nil, 10)
	if err != nil {
		return
	}
	part := s[2:4]
	galloc.FreeSlice(nil, s)
	part[0] = 1 // want "memory is used after galloc.FreeSlice"
}

func oldSlice(s []int) []int {
	t, err := galloc.GrowSlice(nil, s, 100)
	if err != nil {
		return s
	}
	s[0] = 1 // want "memory is used after galloc.GrowSlice"
	return t
}

func deferredAndNow(n *node) {
	defer galloc.Free(nil, n)
	if n.id == 0 {
		galloc.Free(nil, n) // want "galloc.Free ends memory that the deferred galloc.Free at bad.go:.* ends again"
	}
}

func returned() []int {
	s := galloc.Must(galloc.MakeSlice[int](nil, 10))
	defer galloc.FreeSlice(nil, s)
	return s[1:] // want "the result leads to memory that the deferred galloc.FreeSlice"
}

func field(h *struct{ n *node }) uint64 {
	galloc.Free(nil, h.n)
	return h.n.id // want "memory is used after galloc.Free"
}

func captured() {
	n := galloc.Must(galloc.New[node](nil))
	show := func() { fmt.Println(n.id) }
	galloc.Free(nil, n)
	n.id = 2 // want "memory is used after galloc.Free"
	show()
}

func free(n *node) { galloc.Free(nil, n) }

func byHelper(n *node) uint64 {
	free(n)
	return n.id // want "memory is used after lifetime.free"
}

func inLoop(n *node) {
	for range 3 {
		galloc.Free(nil, n) // want "galloc.Free ends the same memory again in the next iteration"
	}
}

func viewOfVec(v *collections.Vec[int]) int {
	p := v.Ptr(0)
	v.Push(1)
	return *p // want "the result of collections.Vec.Ptr at bad.go:.* is used after collections.Vec.Push ended it"
}

func sliceOfVec() int {
	var v collections.Vec[int]
	defer v.Free()
	v.Push(1)
	s := v.Slice()
	v.Append(2, 3)
	return s[0] // want "is used after collections.Vec.Append ended it"
}

func viewOfMap(m *collections.TextMap) {
	v, _ := m.Get("tea")
	m.Put("coffee", "black")
	fmt.Println(v) // want "the result of collections.TextMap.Get at .* is used after collections.TextMap.Put"
}

func viewReturned() []int {
	var v collections.Vec[int]
	defer v.Free()
	v.Push(1)
	return v.Slice() // want "the result leads to memory of collections.Vec.Slice, which the deferred collections.Vec.Free"
}

func box() uint64 {
	b, err := galloc.NewBox(nil, node{})
	if err != nil {
		return 0
	}
	p := b.Get()
	b.Free()
	return p.id // want "is used after galloc.Box.Free ended it"
}

func arena() uint64 {
	a := bump.New(nil)
	defer a.Close()
	n, err := galloc.New[node](a)
	if err != nil {
		return 0
	}
	a.Reset()
	return n.id // want "the result of galloc.New at .* is used after bump.Arena.Reset ended it"
}

func rewound(a *bump.Arena) uint64 {
	m := a.Mark()
	n, err := galloc.New[node](a)
	if err != nil {
		return 0
	}
	a.Rewind(m)
	return n.id // want "is used after bump.Arena.Rewind ended it"
}

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func pooledBytes() []byte {
	b := buffers.Get().(*bytes.Buffer)
	b.Reset()
	b.WriteString("x")
	out := b.Bytes()
	buffers.Put(b)
	return out // want "memory is used after sync.Pool.Put"
}

func pooledDeferred() []byte {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	return b.Bytes() // want "the result leads to memory that the deferred sync.Pool.Put"
}

func pooledTwice(fail bool) {
	b := buffers.Get().(*bytes.Buffer)
	if fail {
		buffers.Put(b)
	}
	buffers.Put(b) // want "sync.Pool.Put ends memory again"
}

var slices = sync.Pool{New: func() any { return new([]byte) }}

func pooledSlice() byte {
	p := slices.Get().(*[]byte)
	b := append((*p)[:0], 1)
	*p = b
	slices.Put(p)
	return b[0] // want "memory is used after sync.Pool.Put"
}

func usedByGoroutine() {
	n := galloc.Must(galloc.New[node](nil))
	go func() { n.id = 1 }() // want "the goroutine may use memory after galloc.Free has ended it at bad.go:.*: nothing waits for it"
	galloc.Free(nil, n)
}

func readByGoroutine(print func(*node)) {
	n := galloc.Must(galloc.New[node](nil))
	defer galloc.Free(nil, n)
	go print(n) // want "the goroutine may use memory after galloc.Free has ended it"
}

func arenaOfGoroutine() {
	a := bump.New(nil)
	n, err := galloc.New[node](a)
	if err != nil {
		return
	}
	go func() { println(n.id) }() // want "the goroutine may use the result of galloc.New at .* after bump.Arena.Close has ended it"
	a.Close()
}

var latest *node

func storedBeforeClose() {
	a := bump.New(nil)
	defer a.Close() // want "the variable latest keeps memory of galloc.New, which the deferred bump.Arena.Close"
	n, err := galloc.New[node](a)
	if err != nil {
		return
	}
	latest = n
}

type request struct{ first *node }

func storedInParameter(r *request) error {
	a := bump.New(nil)
	defer a.Close()
	n, err := galloc.New[node](a)
	if err != nil {
		return err
	}
	r.first = n
	return nil // want "a field of r keeps memory of galloc.New, which the deferred bump.Arena.Close"
}

func viewOfString(s collections.String) string {
	v := s.View()
	s.Free(nil)
	return v // want "the result of collections.String.View at .* is used after collections.String.Free ended it"
}

func comparedRealloc(p unsafe.Pointer, l galloc.Layout) bool {
	q := galloc.Realloc(p, l, 100)
	if q == nil {
		return false
	}
	galloc.Dealloc(p, l) // want "galloc.Dealloc ends memory again that galloc.Realloc ended"
	return true
}

func comparedGrow(a galloc.Allocator, p unsafe.Pointer, from, to galloc.Layout) error {
	if _, err := galloc.Grow(a, p, from, to); err != nil {
		return err
	}
	a.Deallocate(p, from) // want "Deallocate ends memory again that galloc.Grow ended"
	return nil
}

func closureTwice() {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	free()
	free() // want "the call ends memory again that galloc.Free ended at bad.go:"
}

func usedAfterClosure() uint64 {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	free()
	return n.id // want "memory is used after galloc.Free ended it"
}

func closureAndFree(early bool) {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	if early {
		free()
	}
	galloc.Free(nil, n) // want "galloc.Free ends memory again that galloc.Free ended"
}

func closureAndDefer(early bool) {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	defer free()
	if early {
		free() // want "the call ends memory that the deferred galloc.Free at .* ends again"
	}
}

func keptFromLoop(m *collections.StringMap[int]) string {
	last := ""
	for k := range m.Keys() {
		last = k
	}
	m.Delete("a")
	return last // want "the result of collections.StringMap.Keys at .* is used after collections.StringMap.Delete ended it"
}

func foundInLoop(m *collections.TextMap, match func(string) bool) {
	var found string
	for k, v := range m.All() {
		if match(v) {
			found = k
			break
		}
	}
	m.Delete(found)
	println(found) // want "the result of collections.TextMap.All at .* is used after collections.TextMap.Delete ended it"
}

func poppedInLoop(m *collections.StringMap[int], next *collections.StringMap[int]) {
	for m.Len() > 0 {
		k, v, _ := m.PopAny()
		next.Put(k, v)
		m.Delete("a")
		println(k) // want "the result of collections.StringMap.PopAny at .* is used after collections.StringMap.Delete ended it"
	}
}

func deletedText(m *collections.TextMap) string {
	old, _ := m.Delete("a")
	m.Delete("b")
	return old // want "the result of collections.TextMap.Delete at .* is used after collections.TextMap.Delete ended it"
}
