package collections_test

import (
	"fmt"
	stdmaps "maps"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// Methods of a collection accept views of it.
func TestMethodsAcceptTheirViews(t *testing.T) {
	a := alloctest.Track(galloc.System)
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
		x.Put(k, get(k))      // the value of k
		x.Put(get(k), get(k)) // the value of k as a key and as its value
		x.Put(get(v), k)      // the value of v, which is k, as a key
		x.Put(get(v), get(v)) // k, which is present, as a key and its value
		x.Put(get(k)[1:], v)  // a part of a value
		x.Put(k, get(v)[2:])  // a part of the value of another key
		if get(k) != k[2:] || get(v) != k || get(k[1:]) != v {
			t.Fatalf("%q has %q, %q has %q", k, get(k), v, get(v))
		}
		if !deleted(x.Delete(get(k[1:]))) || !deleted(x.Delete(k[1:])) {
			t.Fatal("Delete")
		}
	}
	for k := range x.All() {
		k2 := strings.Clone(k)
		x.Put(k, k)
		if v, _ := x.Get(k2); v != k2 {
			t.Fatalf("%q has %q", k2, v)
		}
		if !deleted(x.Delete(k)) { // a view of the text that Delete frees
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
		p, found := s.GetOrPut(k[:len(k)/2]) // a part of a key, which may itself be a key
		if !found {
			*p = -1
		}
	}
	var keys []string // Delete may move the remaining keys
	for k := range s.Keys() {
		keys = append(keys, strings.Clone(k))
	}
	for _, k := range keys {
		if !deleted(s.Delete(k)) {
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
	for range 5 { // writes to itself, with and without room
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
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
