package collections_test

import (
	"fmt"
	"slices"

	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

func ExampleMap() {
	var squares collections.Map[int, int] // on the global allocator
	defer squares.Free()
	for i := range 1000 {
		squares.Put(i, i*i)
	}
	v, ok := squares.Get(31)
	fmt.Println(v, ok, squares.Len())
	// Output: 961 true 1000
}

func ExampleNewMap() {
	arena := bump.New(nil)
	defer arena.Close()
	type place struct{ x, y int32 }
	m := collections.NewMap[place, byte](arena)
	m.Reserve(100)
	m.Put(place{1, 2}, 'x')
	if p := m.GetPtr(place{1, 2}); p != nil {
		*p = 'y'
	}
	for k, v := range m.All() {
		fmt.Printf("%d %d %c\n", k.x, k.y, v)
	}
	// Output: 1 2 y
}

func ExampleNewStringMap() {
	counts := collections.NewStringMap[int](nil)
	defer counts.Free()
	for _, word := range []string{"to", "be", "or", "not", "to", "be"} {
		n, _ := counts.GetOrPut(word)
		*n++
	}
	n, _ := counts.GetBytes([]byte("be"))
	fmt.Println(n, slices.Sorted(counts.Keys()))
	// Output: 2 [be not or to]
}

func ExampleNewTextMap() {
	capitals := collections.NewTextMap(nil)
	defer capitals.Free()
	capitals.Put("France", "Paris")
	capitals.Put("Peru", "Lima")
	v, ok := capitals.Get("Peru") // a view: valid until the entry is changed or removed
	fmt.Println(v, ok)
	// Output: Lima true
}

func ExampleNewSet() {
	a, b := collections.NewSet[int](nil), collections.NewSet[int](nil)
	defer a.Free()
	defer b.Free()
	for i := range 10 {
		a.Add(i)
		b.Add(2 * i)
	}
	fmt.Println(slices.Sorted(a.Intersection(b)))
	// Output: [0 2 4 6 8]
}

func ExampleMap_FreeFunc() {
	// What the values own is released with them.
	open := map[int32]bool{7: true, 8: true}
	var handles collections.Map[int, int32]
	for h := range open {
		handles.Put(int(h)*10, h)
	}
	handles.FreeFunc(func(_ *int, h *int32) { delete(open, *h) })
	fmt.Println(len(open), handles.Len())
	// Output: 0 0
}
