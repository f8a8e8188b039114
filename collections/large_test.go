package collections_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// Elements of 70,000 bytes are larger than every class of small blocks.
func TestLargeElements(t *testing.T) {
	type large [70_000]byte
	number := func(i int) (l large) {
		l[0], l[len(l)-1] = byte(i), byte(i)
		return l
	}
	is := func(l *large, i int) bool { return l != nil && l[0] == byte(i) && l[len(l)-1] == byte(i) }
	a := alloctest.Track(galloc.System)
	m, tree := collections.NewMap[int, large](a), collections.NewBTree[int, large](a)
	keys, slab, s := collections.NewSet[large](a), collections.NewSlab[large](a), collections.NewStringMap[large](a)
	d, v := collections.NewDeque[large](a), collections.NewVec[large](a)
	var handles []collections.Handle[large]
	const n = 30
	for i := range n {
		m.Put(i, number(i))
		tree.Put(n-i, number(i))
		keys.Add(number(i))
		handles = append(handles, slab.Add(number(i)))
		s.Put(fmt.Sprint(i), number(i))
		d.PushFront(number(i))
		v.Push(number(i))
	}
	v.Append(v.Slice()[:2]...)
	d.Append(v.Slice()[:2]...)
	for i := range n {
		x, _ := tree.Delete(n - i)
		y, z := d.At(n-1-i), v.At(i)
		if !is(m.Ptr(i), i) || !is(&x, i) || !keys.Has(number(i)) || !is(slab.Ptr(handles[i]), i) ||
			!is(s.Ptr(fmt.Sprint(i)), i) || !is(&y, i) || !is(&z, i) {
			t.Fatal(i)
		}
		if i%2 == 0 {
			m.Delete(i)
			keys.Delete(number(i))
			slab.Delete(handles[i])
			s.Delete(fmt.Sprint(i))
		}
	}
	m.ShrinkToFit()
	keys.ShrinkToFit()
	s.ShrinkToFit()
	for i := 1; i < n; i += 2 {
		if !is(m.Ptr(i), i) || !keys.Has(number(i)) || !is(slab.Ptr(handles[i]), i) || !is(s.Ptr(fmt.Sprint(i)), i) {
			t.Fatal(i)
		}
	}
	for _, free := range []func(){m.Free, tree.Free, keys.Free, slab.Free, s.Free, d.Free, v.Free} {
		free()
	}
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// Changes of arrays of more than 256 KiB copy in pieces, in the right order.
func TestChangesOfManyElements(t *testing.T) {
	const n = 200_000 // of 8 bytes
	m := make([]int, n)
	for i := range m {
		m[i] = i
	}
	v, d, r := collections.NewVec[int](nil), collections.NewDeque[int](nil), collections.Array[int]{}
	defer v.Free()
	defer d.Free()
	defer r.Free(nil)
	same := func(what string) {
		t.Helper()
		front, back := d.Slices()
		if !slices.Equal(v.Slice(), m) || !slices.Equal(r.Slice(), m) || !slices.Equal(append(front[:len(front):len(front)], back...), m) {
			t.Fatal(what)
		}
	}
	v.Reserve(4 * n)
	d.Reserve(4 * n)
	r.Reserve(nil, 4*n)
	for range n { // so that the elements will wrap around
		d.PushBack(0)
		d.PushBack(0)
		d.PushBack(0)
		d.PopFront()
		d.PopFront()
		d.PopFront()
	}
	v.Append(m...)
	d.Append(m...)
	r.Append(nil, m...)
	same("Append")
	m = append(m, m[3:]...)
	v.Append(v.Slice()[3:]...)
	d.Append(v.Slice()[n:]...)
	r.Append(nil, r.Slice()[3:]...)
	same("Append of a view")
	m = slices.Insert(m, 5, slices.Clone(m[2:n])...)
	v.Insert(5, v.Slice()[2:n]...)
	d.Insert(5, v.Slice()[5:n+3]...)
	r.Insert(nil, 5, r.Slice()[2:n]...)
	same("Insert of a view")
	m = slices.Delete(m, 7, 8)
	v.Remove(7)
	d.Remove(7)
	r.Remove(7)
	same("Remove")
	// A panic in the callback moves the elements that were not visited.
	deleted := 0
	del := func(int) bool {
		if deleted++; deleted == 10 {
			panic("enough")
		}
		return true
	}
	for _, deleteFunc := range []func(func(int) bool){v.DeleteFunc, d.DeleteFunc, r.DeleteFunc} {
		deleted = 0
		func() {
			defer func() { _ = recover() }()
			deleteFunc(del)
		}()
	}
	m = m[9:]
	same("DeleteFunc with a panic")
	v.ShrinkToFit()
	r.ShrinkToFit(nil)
	m = append(m, m...)
	v.Append(v.Slice()...)
	front, back := d.Slices()
	d.Append(append(front[:len(front):len(front)], back...)...)
	r.Append(nil, r.Slice()...)
	same("Append of a view to a full array")
}
