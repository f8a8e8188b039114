package collections_test

import (
	"fmt"
	stdmaps "maps"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// All that one collection gives can be put into another.
func TestSequencesArePutInto(t *testing.T) {
	alloctest.CheckFailures(t, func(a galloc.Allocator) error {
		model := map[int]int{}
		texts := map[string]string{}
		for i := range 60 {
			model[i] = i * i
			texts[fmt.Sprint(i)] = strings.Repeat("x", i)
		}
		inOrder := func(yield func(int, int) bool) { // the same each time
			for i := range 60 {
				if !yield(i, model[i]) {
					return
				}
			}
		}
		textsInOrder := func(yield func(string, string) bool) {
			for i := range 60 {
				if k := fmt.Sprint(i); !yield(k, texts[k]) {
					return
				}
			}
		}
		m, s, x := collections.NewMap[int, int](a), collections.NewStringMap[int](a), collections.NewTextMap(a)
		b, f := collections.NewBTree[int, int](a), collections.NewBTreeFunc[int, int](a, func(x, y int) int { return x - y })
		d := collections.NewDeque[int](a)
		defer m.Free()
		defer s.Free()
		defer x.Free()
		defer b.Free()
		defer f.Free()
		defer d.Free()
		d.Clear()
		lengths := func(yield func(string, int) bool) {
			for k, v := range textsInOrder {
				if !yield(k, len(v)) {
					return
				}
			}
		}
		for _, err := range []error{m.TryPutSeq(inOrder), b.TryPutSeq(inOrder), f.TryPutSeq(inOrder), s.TryPutSeq(lengths), x.TryPutSeq(textsInOrder)} {
			if err != nil {
				return err
			}
		}
		if err := d.TryPushFront(-1); err != nil {
			return err
		}
		if err := d.TryExtend(b.Values()); err != nil {
			if d.Len() != 1 || d.At(0) != -1 {
				t.Errorf("%d elements after Extend has failed", d.Len())
			}
			return err
		}
		if !stdmaps.Equal(stdmaps.Collect(m.All()), model) || !stdmaps.Equal(stdmaps.Collect(b.All()), model) ||
			!stdmaps.Equal(stdmaps.Collect(f.All()), model) || !stdmaps.Equal(stdmaps.Collect(x.All()), texts) ||
			s.Len() != 60 || d.Len() != 61 || d.At(60) != 59*59 {
			t.Error("not what was put in")
		}
		// Of themselves.
		for _, err := range []error{m.TryPutSeq(m.All()), b.TryPutSeq(b.All()), s.TryPutSeq(s.All()), x.TryPutSeq(x.All()), d.TryExtend(d.Values())} {
			if err != nil {
				return err
			}
		}
		if !stdmaps.Equal(stdmaps.Collect(m.All()), model) || !stdmaps.Equal(stdmaps.Collect(x.All()), texts) || d.Len() != 122 {
			t.Error("put into itself, a map is another one")
		}
		return nil
	})
}

// The plain ones end as the others do.
func TestPlainSequences(t *testing.T) {
	defer galloc.SetAllocErrorHook(galloc.TakeAllocErrorHook())
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	pairs, texts := stdmaps.All(map[int]int{1: 2}), stdmaps.All(map[string]string{"a": "b"})
	for what, f := range map[string]func(a galloc.Allocator){
		"Map":       func(a galloc.Allocator) { collections.NewMap[int, int](a).PutSeq(pairs) },
		"StringMap": func(a galloc.Allocator) { collections.NewStringMap[int](a).PutSeq(stdmaps.All(map[string]int{"a": 1})) },
		"TextMap":   func(a galloc.Allocator) { collections.NewTextMap(a).PutSeq(texts) },
		"BTree":     func(a galloc.Allocator) { collections.NewBTree[int, int](a).PutSeq(pairs) },
		"Deque":     func(a galloc.Allocator) { collections.NewDeque[int](a).Extend(slices.Values([]int{1})) },
		"Bytes":     func(a galloc.Allocator) { collections.NewStringMap[int](a).GetOrPutBytes(nil) },
		"BTreeFunc": func(a galloc.Allocator) {
			collections.NewBTreeFunc[int, int](a, func(x, y int) int { return x - y }).PutSeq(pairs)
		},
	} {
		func() {
			defer func() {
				if e, _ := recover().(*galloc.AllocError); e == nil || e.Layout().Size() == 0 {
					t.Errorf("%s: %v", what, e)
				}
			}()
			f(galloc.Null)
			t.Errorf("%s: no panic", what)
		}()
	}
}

func TestKeysThatAreBytes(t *testing.T) {
	var s collections.StringMap[int]
	var x collections.TextMap
	defer s.Free()
	defer x.Free()
	key := []byte("key")
	if err := s.TryPutBytes(key, 1); err != nil {
		t.Error(err)
	}
	if err := x.TryPutBytes(key, []byte("value")); err != nil {
		t.Error(err)
	}
	if p, found := s.GetOrPutBytes(key); !found || *p != 1 {
		t.Error("GetOrPutBytes")
	}
	if p, found, err := s.TryGetOrPutBytes([]byte("other")); found || err != nil || *p != 0 {
		t.Error("TryGetOrPutBytes")
	}
	if v, _ := x.Get("key"); v != "value" {
		t.Errorf("%q", v)
	}
	key[0] = 'h' // the maps have copies
	if s.DeleteBytes(key) || x.DeleteBytes(key) || !s.DeleteBytes([]byte("key")) || !x.DeleteBytes([]byte("key")) || s.Len() != 1 || x.Len() != 0 {
		t.Error("DeleteBytes")
	}
}

// Views of a collection may be given to its own methods.
func TestViewsGivenToTheirOwners(t *testing.T) {
	a := alloctest.Failing(0)
	x := collections.NewTextMap(a)
	for i := range 200 {
		x.Put(fmt.Sprint("key ", i, strings.Repeat("k", i)), fmt.Sprint("value ", i, strings.Repeat("v", i*3)))
	}
	want := stdmaps.Collect(func(yield func(string, string) bool) {
		for k, v := range x.All() {
			yield(strings.Clone(k), strings.Clone(v))
		}
	})
	get := func(k string) string {
		v, ok := x.Get(k)
		if !ok {
			t.Fatalf("%q is not there", k)
		}
		return v
	}
	for k, v := range want {
		x.Put(k, get(k))      // its own value
		x.Put(get(k), get(k)) // its value as a key, and as the value of that
		x.Put(get(v), k)      // as the key whose own value this is
		x.Put(get(v), get(v)) // k as a key, which is known
		x.Put(get(k)[1:], v)  // a part
		x.Put(k, get(v)[2:])  // of another entry
		if get(k) != k[2:] || get(v) != k || get(k[1:]) != v {
			t.Fatalf("%q has %q, %q has %q", k, get(k), v, get(v))
		}
		if !x.Delete(get(k[1:])) || !x.Delete(k[1:]) {
			t.Fatal("Delete")
		}
	}
	for k := range x.All() {
		k2 := strings.Clone(k)
		x.Put(k, k)
		if v, _ := x.Get(k2); v != k2 {
			t.Fatalf("%q has %q", k2, v)
		}
		if !x.Delete(k) { // a view of what it frees
			t.Fatalf("%q is not there", k2)
		}
	}
	if x.Len() != 0 {
		t.Errorf("%d entries", x.Len())
	}
	x.Free()

	s := collections.NewStringMap[int](a)
	for i := range 100 {
		s.Put(fmt.Sprint(i, strings.Repeat("k", i)), i)
	}
	for k, v := range s.All() {
		s.Put(k, v+1)
		p, found := s.GetOrPut(k[:len(k)/2]) // a part of it, which is a key or not
		if !found {
			*p = -1
		}
	}
	keys := slices.Collect(s.Keys())
	for _, k := range keys {
		if !s.Delete(k) {
			t.Fatalf("%q is not there", k)
		}
	}
	s.Free()

	in := collections.NewInterner(a)
	in.Intern(strings.Repeat("0123456789", 100))
	for i := range 900 {
		whole := in.View(0)
		id := in.Intern(whole[i : i+20+i/40])
		if in.View(id) != strings.Repeat("0123456789", 100)[i:i+20+i/40] || in.Intern(in.View(id)) != id {
			t.Fatal(i)
		}
	}
	in.Free()

	b := collections.NewBytes(a)
	b.AppendString("abc")
	for range 5 { // it writes to itself, with and without room
		n := b.Len()
		if w, err := b.WriteTo(b); err != nil || int(w) != n || b.Len() != 2*n {
			t.Errorf("%d bytes written of %d, %v", w, n, err)
		}
	}
	c := b.Clone()
	if b.View() != strings.Repeat("abc", 32) || c.View() != b.View() || c.Cap() != c.Len() {
		t.Errorf("%q, its copy has a capacity of %d", b.View(), c.Cap())
	}
	b.Free()
	c.Clear()
	c.AppendString("ab")
	d := c.Clone()
	if d.View() != "ab" || d.Cap() != 2 {
		t.Errorf("%q with a capacity of %d", d.View(), d.Cap())
	}
	c.Free()
	d.Free()
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}

// Elements of 70,000 bytes, larger than any class of small blocks.
func TestLargeElements(t *testing.T) {
	type large [70_000]byte
	number := func(i int) (l large) {
		l[0], l[len(l)-1] = byte(i), byte(i)
		return l
	}
	is := func(l *large, i int) bool { return l != nil && l[0] == byte(i) && l[len(l)-1] == byte(i) }
	a := alloctest.Failing(0)
	m, tree := collections.NewMap[int, large](a), collections.NewBTree[int, large](a)
	keys, slab, s := collections.NewSet[large](a), collections.NewSlab[large](a), collections.NewStringMap[large](a)
	d, v := collections.NewDeque[large](a), collections.NewVec[large](a)
	var handles []collections.Handle[large]
	const n = 30
	for i := range n {
		m.Put(i, number(i))
		tree.Put(n-i, number(i))
		keys.Add(number(i))
		handles = append(handles, slab.Insert(number(i)))
		s.Put(fmt.Sprint(i), number(i))
		d.PushFront(number(i))
		v.Push(number(i))
	}
	v.Append(v.Slice()[:2]...)
	d.Append(v.Slice()[:2]...)
	for i := range n {
		x, _ := tree.Take(n - i)
		y, z := d.At(n-1-i), v.At(i)
		if !is(m.GetPtr(i), i) || !is(&x, i) || !keys.Has(number(i)) || !is(slab.Get(handles[i]), i) || !is(s.GetPtr(fmt.Sprint(i)), i) ||
			!is(&y, i) || !is(&z, i) {
			t.Fatal(i)
		}
		if i%2 == 0 {
			m.Delete(i)
			keys.Delete(number(i))
			slab.Remove(handles[i])
			s.Delete(fmt.Sprint(i))
		}
	}
	m.ShrinkToFit()
	keys.ShrinkToFit()
	s.ShrinkToFit()
	for i := 1; i < n; i += 2 {
		if !is(m.GetPtr(i), i) || !keys.Has(number(i)) || !is(slab.Get(handles[i]), i) || !is(s.GetPtr(fmt.Sprint(i)), i) {
			t.Fatal(i)
		}
	}
	for _, free := range []func(){m.Free, tree.Free, keys.Free, slab.Free, s.Free, d.Free, v.Free} {
		free()
	}
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}
