// Package copied has copies of what owns memory, and correct code that looks like them.
package copied

import (
	"fmt"
	"slices"

	"example.com/vet/copied/lib"
	"example.com/vet/copied/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/pool"
)

func assigned() int {
	var v collections.Vec[int]
	defer v.Free()
	v.Push(1)
	w := v // want "a collections.Vec\\[int\\] is copied after its first use"
	w.Push(2)
	return w.Len()
}

func consume(m collections.Map[int, int]) int { return m.Len() }

func passed(m *collections.Map[int, int]) int {
	return consume(*m) // want "a collections.Map\\[int, int\\] is copied"
}

type index struct {
	name  string
	words collections.TextMap
}

func whole(i *index) index {
	return *i // want "a collections.TextMap is copied"
}

func returned() index {
	var i index
	i.words.Put("tea", "green")
	return i // want "a collections.TextMap is copied"
}

func ranged(all []index) (n int) {
	for _, i := range all { // want "a collections.TextMap is copied"
		n += i.words.Len()
	}
	return n
}

func boxed() int {
	b, err := galloc.NewBox(nil, 1)
	if err != nil {
		return 0
	}
	c := b // want "a galloc.Box\\[int\\] is copied"
	c.Free()
	defer b.Free()
	return *b.Get()
}

func inMap(all map[string]index) int {
	i := all["tea"] // want "a collections.TextMap is copied"
	i.words.Put("tea", "black")
	return i.words.Len()
}

func printed(s *collections.Set[int]) {
	fmt.Println(*s) // want "a collections.Set\\[int\\] is copied"
}

func arena() uintptr {
	var a bump.Arena
	a.Alloc(galloc.LayoutOf[int]())
	b := a // want "a bump.Arena is copied"
	return uintptr(b.Used())
}

type holder struct{ p pool.Pool }

func pooled(h *holder) {
	var other holder
	other.p = h.p // want "a pool.Pool is copied"
	_ = other.p.Get()
}

func own(c *lib.Counting) galloc.GlobalAlloc {
	d := *c // want "a lib.Counting is copied"
	return &d
}

func snapshot(v *collections.Vec[int]) int {
	w := lib.Snapshot(v) // want "a collections.Vec\\[int\\] is copied by lib.Snapshot"
	return w.Len()
}

func twoAway(all []index) string {
	i := mid.First(1, all) // want "a collections.TextMap is copied by mid.First"
	return i.name
}

func cloned(all []index) []index {
	return slices.Clone(all) // want "a collections.TextMap is copied by slices.Clone"
}

func appended(all []index) []index {
	return append([]index(nil), all...) // want "a collections.TextMap is copied by append"
}

func inLoop() {
	var d collections.Deque[int]
	var kept []collections.Deque[int]
	for i := range 3 {
		d.PushBack(i)
		kept = append(kept, d) // want "a collections.Deque\\[int\\] is copied"
	}
	println(len(kept))
}

func sent(c chan collections.Bytes, b *collections.Bytes) {
	c <- *b // want "a collections.Bytes is copied"
}

var global collections.Slab[int]

func fromGlobal() int {
	s := global // want "a collections.Slab\\[int\\] is copied"
	return s.Len()
}
