package copied

import (
	"example.com/vet/copied/lib"
	"example.com/vet/copied/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

func beforeUse() int {
	var v collections.Vec[int]
	w := v // both are empty
	w.Push(1)
	v.Push(2)
	defer v.Free()
	defer w.Free()
	return v.Len() + w.Len()
}

func newIndex(name string) index {
	i := index{name: name}
	return i // not used yet
}

func literal() *index {
	i := index{name: "tea"}
	p := &i
	p.words.Put("tea", "green")
	return p
}

func dereferenced(a galloc.Allocator) *index {
	return &index{words: *collections.NewTextMap(a)} // nothing else leads to it
}

func movedOut(i *index) collections.TextMap {
	old := i.words
	i.words = collections.TextMap{}
	return old
}

func swapped(a, b *index) { a.words, b.words = b.words, a.words }

func elements(all []index) {
	for k := range all {
		all[k].words.Clear()
	}
	all[0], all[1] = all[1], all[0]
}

func pointers(all []*index) (n int) {
	for _, i := range all {
		n += i.words.Len()
	}
	return n
}

func moveBox(h *struct{ b galloc.Box[int] }) error {
	b, err := galloc.NewBox(nil, 1)
	if err != nil {
		return err
	}
	h.b = b // and b is not used again
	return nil
}

func cloneOf(v *collections.Vec[int]) *collections.Vec[int] {
	w := v
	return w.Clone()
}

func values(r *collections.Rc[int], s collections.String) (collections.Rc[int], collections.String) {
	return r.Share(), s // values that may be copied
}

func named() (i index) {
	i.words.Put("tea", "green")
	return
}

func keys(all map[string]*index) (names []string) {
	for name := range all {
		names = append(names, name)
	}
	return names
}

func handles(h collections.Handle[int]) collections.Handle[int] {
	g := h
	return g
}

func stateless(t *lib.Tagged) galloc.GlobalAlloc {
	u := *t // has nothing that changes
	u.Name = "copy"
	return &u
}

func systems() galloc.GlobalAlloc {
	s := galloc.System
	return s
}

func taken(v *collections.Vec[int], all []index) (collections.Vec[int], index) {
	w := new(collections.Vec[int])
	lib.Swap(v, w)
	return lib.Take(w), mid.Of(all)
}

func onlyName(i *index) string {
	name := i.name
	return name
}

func compared(i, j *index) bool { return i == j }

func ignored(v *collections.Vec[int]) int {
	w := *v //galloc:ignore copied only read, before v changes
	return w.Len()
}
