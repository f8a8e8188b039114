package lifetime

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

func flag(n *node, early bool) uint64 {
	freed := false
	if early {
		galloc.Free(nil, n)
		freed = true
	}
	if freed {
		return 0
	}
	return n.id
}

func sameCondition(n *node, early bool) {
	if early {
		galloc.Free(nil, n)
	}
	println("between")
	if !early {
		n.id = 1
		galloc.Free(nil, n)
	}
}

func cleared(n *node, early bool) {
	if early {
		galloc.Free(nil, n)
		n = nil
	}
	if n != nil {
		n.id = 1
	}
}

func replaced(n *node) uint64 {
	galloc.Free(nil, n)
	n = galloc.Must(galloc.New[node](nil))
	defer galloc.Free(nil, n)
	return n.id
}

func copied(n *node) uint64 {
	id := n.id
	galloc.Free(nil, n)
	return id
}

func compared(n, m *node) bool {
	galloc.Free(nil, n)
	return n == m
}

func eachInLoop(all []*node) {
	for _, n := range all {
		galloc.Free(nil, n)
	}
}

func list(first *node, next func(*node) *node) {
	for n := first; n != nil; {
		following := next(n)
		galloc.Free(nil, n)
		n = following
	}
}

func failedRealloc(p unsafe.Pointer, l galloc.Layout) unsafe.Pointer {
	q := galloc.Realloc(p, l, 100)
	if q == nil {
		*(*byte)(p) = 1
		galloc.Dealloc(p, l)
		return nil
	}
	return q
}

func failedGrow(s []int) []int {
	t, err := galloc.GrowSlice(nil, s, 100)
	if err != nil {
		galloc.FreeSlice(nil, s)
		return nil
	}
	return t
}

func sameVariable(s []int) []int {
	var err error
	for i := range 10 {
		if s, err = galloc.AppendSlice(nil, s, i); err != nil {
			return s
		}
	}
	return s
}

func deferredOnError(n *node, check func() error) (err error) {
	defer func() {
		if err != nil {
			galloc.Free(nil, n)
		}
	}()
	if err := check(); err != nil {
		return err
	}
	return nil
}

func fieldReplaced(h *struct{ n *node }) uint64 {
	old := h.n
	h.n = galloc.Must(galloc.New[node](nil))
	galloc.Free(nil, old)
	return h.n.id
}

func fieldSet(h *struct{ n *node }) uint64 {
	galloc.Free(nil, h.n)
	h.n = galloc.Must(galloc.New[node](nil))
	return h.n.id
}

func emptyAgain() int {
	var v collections.Vec[int]
	v.Push(1)
	v.Free()
	v.Push(2) // an empty Vec is ready for use
	defer v.Free()
	return v.Len()
}

func viewAgain(v *collections.Vec[int]) int {
	p := v.Ptr(0)
	*p = 1
	v.Push(1)
	p = v.Ptr(0)
	return *p
}

func ownView(v *collections.Vec[int]) {
	v.Append(v.Slice()...) // as documented
}

func otherVec(v, w *collections.Vec[int]) int {
	p := v.Ptr(0)
	w.Push(1)
	return *p
}

func slab(s *collections.Slab[int], h collections.Handle[int]) int {
	p := s.Ptr(h)
	s.Add(1) // elements of a Slab do not move
	return *p
}

func beforeMark(a *bump.Arena) uint64 {
	n, err := galloc.New[node](a)
	if err != nil {
		return 0
	}
	m := a.Mark()
	a.Alloc(galloc.LayoutOf[node]())
	a.Rewind(m)
	return n.id
}

func pooledString() string {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	return b.String() // a copy
}

func pooledClone() []byte {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	return bytes.Clone(b.Bytes())
}

func pooledDetached() []byte {
	p := slices.Get().(*[]byte)
	b := *p
	*p = nil
	slices.Put(p)
	return b
}

func pooledOnError(fail bool) (*bytes.Buffer, error) {
	b := buffers.Get().(*bytes.Buffer)
	if fail {
		buffers.Put(b)
		return nil, errors.New("failed")
	}
	return b, nil
}

func ignored(n *node) bool {
	galloc.Free(nil, n)
	galloc.Free(nil, n) //galloc:ignore lifetime the test wants a double free
	return true
}

func waited() {
	n := galloc.Must(galloc.New[node](nil))
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		n.id = 1
	}()
	all.Wait()
	galloc.Free(nil, n)
}

func deferredWait(work func(*node)) {
	n := galloc.Must(galloc.New[node](nil))
	defer galloc.Free(nil, n)
	var all sync.WaitGroup
	defer all.Wait()
	all.Add(1)
	go func() {
		defer all.Done()
		work(n)
	}()
}

func received(work func(*node)) uint64 {
	a := bump.New(nil)
	defer a.Close()
	n := galloc.Must(galloc.New[node](a))
	done := make(chan bool)
	go func() {
		work(n)
		close(done)
	}()
	<-done
	return n.id
}

func ownedByGoroutine(work func(*node)) {
	n := galloc.Must(galloc.New[node](nil))
	go func() {
		defer galloc.Free(nil, n)
		work(n)
	}()
}

func clearedBeforeClose() {
	a := bump.New(nil)
	defer a.Close()
	n := galloc.Must(galloc.New[node](a))
	latest = n
	println(latest.id)
	latest = nil
}

func (r *request) answer(a *bump.Arena) {
	r.first = galloc.Must(galloc.New[node](a)) // the caller resets a
}

func afterReset() uint64 {
	a := bump.New(nil)
	defer a.Close()
	id := galloc.Must(galloc.New[node](a)).id
	a.Reset()
	n := galloc.Must(galloc.New[node](a))
	return n.id + id
}

type writer struct{ output bytes.Buffer }

var writers = sync.Pool{New: func() any { return new(writer) }}

func detachedByDefer(text string) []byte {
	w := writers.Get().(*writer)
	defer func() {
		w.output = bytes.Buffer{} // the caller keeps the bytes
		writers.Put(w)
	}()
	w.output.WriteString(text)
	return w.output.Bytes()
}

// A program that expects Realloc to fail.
func expectedFailure(p unsafe.Pointer, l galloc.Layout, report func(string)) {
	if galloc.Realloc(p, l, 1<<60) != nil {
		report("2^60 bytes")
	}
	galloc.Dealloc(p, l)
}

func expectedError(a galloc.Allocator, p unsafe.Pointer, from, to galloc.Layout, report func(string)) {
	if _, err := galloc.Grow(a, p, from, to); err == nil {
		report("Grow succeeds")
	}
	a.Deallocate(p, from)
}

func failedAndFreed(p unsafe.Pointer, l galloc.Layout) bool {
	ok := galloc.Realloc(p, l, 100) != nil
	if !ok {
		galloc.Dealloc(p, l)
	}
	return ok
}

func closureOfTwo() {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	free()
	n = galloc.Must(galloc.New[node](nil))
	free()
}

func closureOnce(early bool) {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	if early {
		free()
		return
	}
	n.id = 1
	free()
}

func closureThatClears() {
	n := galloc.Must(galloc.New[node](nil))
	free := func() {
		if n != nil {
			galloc.Free(nil, n)
			n = nil
		}
	}
	defer free()
	free()
}

func closureSetByAnother() {
	n := galloc.Must(galloc.New[node](nil))
	free := func() { galloc.Free(nil, n) }
	again := func() { n = galloc.Must(galloc.New[node](nil)) }
	free()
	again()
	free()
}

func closureOfEach(all []*node) {
	for _, n := range all {
		free := func() { galloc.Free(nil, n) }
		free()
	}
}

// Within an iteration nothing moves, and the key of a removed entry stays valid.
func deletedInLoop(m *collections.StringMap[int]) {
	for k, v := range m.All() {
		if v == 0 {
			m.Delete(k)
			println(k)
		}
	}
}

func clonedFromLoop(m *collections.TextMap) string {
	first := ""
	for k := range m.Keys() {
		first = strings.Clone(k)
		break
	}
	m.Delete(first)
	return first
}

func countedInLoop(m *collections.TextMap) (n int, longest int) {
	for k, v := range m.All() {
		n++
		longest = max(longest, len(k)+len(v))
	}
	m.Clear()
	return n, longest
}

func emptied(m *collections.StringMap[collections.String], use func(string)) {
	for {
		k, v, ok := m.PopAny()
		if !ok {
			break
		}
		use(k)
		m.Delete("a")
		use(v.View()) // v is a copy of the value
		v.Free(nil)
	}
}

func keptOfOther(m, other *collections.TextMap) string {
	last := ""
	for k := range m.Keys() {
		last = k
	}
	other.Delete("a")
	return last
}
