package collections_test

import (
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/wrap"
)

// A view ends with the next Put, which may move all entries.
func Example_viewAcrossPut() {
	var m collections.Map[int, int]
	defer m.Free()
	m.Put(1, 10)

	// Wrong: if the table grows, p points into memory that was freed.
	//
	//	p := m.Ptr(1)
	//	m.Put(2, 20)
	//	*p++
	//
	// Right: look it up again, or put first.
	m.Put(2, 20)
	*m.Ptr(1)++

	// Wrong: the text that v shows may have moved.
	//
	//	v, _ := names.Get("a")
	//	names.Put("b", "Bert")
	//	fmt.Println(v)
	//
	// Right: copy it. A Put may read a view of the map itself.
	var names collections.TextMap
	defer names.Free()
	names.Put("a", "Ada")
	v, _ := names.Get("a")
	v = strings.Clone(v)
	names.Put("b", v)
	fmt.Println(*m.Ptr(1), v)

	// In a LinkedMap and a Slab nothing moves: a pointer is valid until its own entry is deleted.
	var l collections.LinkedMap[int, int]
	defer l.Free()
	p, _ := l.GetOrPut(1)
	l.Put(2, 20)
	*p = 11
	fmt.Println(&l)
	// Output:
	// 11 Ada
	// map[1:11 2:20]
}

// A collection in a struct is on galloc.Global, wherever the struct is: its zero value knows no
// other allocator. To put it on another one, make it there and keep the pointer.
func Example_embedding() {
	a := wrap.Stats(galloc.System)

	// Wrong: v is on galloc.Global. And *NewVec(a) cannot be copied into it, as go vet reports.
	//
	//	type index struct{ v collections.Vec[int] }
	//	var x index
	//
	// Right, for a struct on the Go heap:
	type index struct{ v *collections.Vec[int] }
	x := index{collections.NewVec[int](a)}
	x.v.Append(1, 2, 3)
	fmt.Println(a.Snapshot().Live(), x.v)
	x.v.Free()

	// A struct off the Go heap cannot contain a Vec, which the first insertion reports. It can
	// contain an Array, and the allocator comes with each call.
	type group struct{ Members collections.Array[int] }
	groups := collections.NewMap[int, group](a)
	g, _ := groups.GetOrPut(1)
	g.Members.Push(a, 7)
	fmt.Println(a.Snapshot().Live(), groups)

	// Wrong: a copy of the group does not follow the Array when it grows.
	//
	//	g, _ := groups.Get(1)
	//	g.Members.Push(a, 8)
	//
	// Right: change it where it is.
	groups.Ptr(1).Members.Push(a, 8)
	fmt.Println(groups.Ptr(1).Members)
	groups.FreeFunc(func(_ *int, g *group) { g.Members.Free(a) })
	fmt.Println(a.Snapshot().Live())
	// Output:
	// 1 [1 2 3]
	// 2 map[1:{[7]}]
	// [7 8]
	// 0
}

// Metadata beside the text: a struct with a String is the value of a StringMap.
func ExampleStringMap_metadata() {
	type item struct {
		expires int64
		text    collections.String
	}
	var items collections.StringMap[item]
	set := func(key, text string, expires int64) {
		s := galloc.Must(collections.NewString(nil, text))
		it, _ := items.GetOrPut(key)
		it.text.Free(nil) // the old one
		*it = item{expires, s}
	}
	set("a", "first", 10)
	set("a", "second", 20)
	it := items.Ptr("a")
	it.expires++ // without touching the text
	fmt.Println(it.expires, it.text.View())
	items.FreeFunc(func(_ string, it *item) { it.text.Free(nil) })
	// Output: 21 second
}
