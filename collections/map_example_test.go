package collections_test

import (
	"fmt"
	"log"
	stdmaps "maps"
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
	if p := m.Ptr(place{1, 2}); p != nil {
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
	// The resources that the values own are released with them.
	open := map[int32]bool{7: true, 8: true}
	var handles collections.Map[int, int32]
	for h := range open {
		handles.Put(int(h)*10, h)
	}
	handles.FreeFunc(func(_ *int, h *int32) { delete(open, *h) })
	fmt.Println(len(open), handles.Len())
	// Output: 0 0
}

func ExampleMakeMap() {
	m, err := collections.MakeMap[uint32, uint32](nil, 1000)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	fmt.Println(m.Cap() >= 1000, m.Len())
	// Output: true 0
}

func ExampleCollectMap() {
	m, err := collections.CollectMap(nil, slices.All([]float64{1.5, 2.5, 3.5}))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	m.DeleteFunc(func(i int, x float64) bool { return i > 0 })
	fmt.Println(m)
	// Output: map[0:1.5]
}

func ExampleMakeStringMap() {
	m, err := collections.MakeStringMap[int](nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	m.Put("answer", 42)
	fmt.Println(m)
	// Output: map[answer:42]
}

func ExampleCollectStringMap() {
	m, err := collections.CollectStringMap(nil, stdmaps.All(map[string]int{"one": 1}))
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	v, ok := m.Delete("one")
	fmt.Println(v, ok, m.Len())
	// Output: 1 true 0
}

func ExampleMakeTextMap() {
	m, err := collections.MakeTextMap(nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	m.Put("colour", "blue")
	fmt.Println(m)
	// Output: map[colour:blue]
}

func ExampleCollectTextMap() {
	a, err := collections.CollectTextMap(nil, stdmaps.All(map[string]string{"key": "value"}))
	if err != nil {
		log.Fatal(err)
	}
	defer a.Free()
	b := a.Clone()
	defer b.Free()
	fmt.Println(a.Equal(b))
	b.Put("key", "other")
	fmt.Println(a.Equal(b))
	// Output:
	// true
	// false
}

func ExampleMakeSet() {
	s, err := collections.MakeSet[rune](nil, 10)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Free()
	fmt.Println(s.Add('a'), s.Add('a'), s.Has('b'))
	// Output: true false false
}

func ExampleCollectSet() {
	s, err := collections.CollectSet(nil, slices.Values([]int{3, 1, 3}))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Free()
	fmt.Println(slices.Sorted(s.All()))
	// Output: [1 3]
}

func ExampleMakeInterner() {
	in, err := collections.MakeInterner(nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer in.Free()
	in.Intern("GET")
	id, ok := in.Lookup("GET")
	fmt.Println(id, ok, in)
	// Output: 0 true [GET]
}

func ExampleMakeBytes() {
	b, err := collections.MakeBytes(nil, 64)
	if err != nil {
		log.Fatal(err)
	}
	defer b.Free()
	fmt.Fprintf(b, "%d bytes", 64)
	b.WriteRune('…')
	fmt.Println(b)
	// Output: 64 bytes…
}

func ExampleString_Equal() {
	x, err := collections.NewString(nil, "text")
	if err != nil {
		log.Fatal(err)
	}
	defer x.Free(nil)
	y := x.Clone(nil)
	defer y.Free(nil)
	fmt.Println(x.Equal(y), x.Compare(y)) // x == y does not compile
	// Output: true 0
}
