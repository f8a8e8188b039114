package collections_test

import (
	"cmp"
	"fmt"
	"log"
	stdmaps "maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/memcheck"
)

func ExampleNewVec() {
	v := collections.NewVec[float64](nil) // or new(collections.Vec[float64])
	defer v.Free()
	v.Append(1.5, 2.5)
	v.Push(3.5)
	for i, x := range v.Slice() {
		fmt.Println(i, x)
	}
	last, _ := v.Pop()
	fmt.Println(last, v.Len())
	// Output:
	// 0 1.5
	// 1 2.5
	// 2 3.5
	// 3.5 2
}

// A Checker finds a Vec that was not freed.
func ExampleNewVec_leak() {
	d := memcheck.New(galloc.System, memcheck.Options{})
	v := collections.NewVec[int64](d)
	v.Append(1, 2, 3)
	for _, leak := range d.Leaks(0) {
		at := leak.Stack.Place() // at.Line too; fmt.Print(leak) prints it all, with the stack
		fmt.Printf("%d bytes by %s in %s\n", leak.Bytes, path.Base(at.Function), filepath.Base(at.File))
	}
	v.Free()
	fmt.Println(len(d.Leaks(0)), "leaks")
	// Output:
	// 32 bytes by collections_test.ExampleNewVec_leak in example_test.go
	// 0 leaks
}

func ExampleNewBytes() {
	b := collections.NewBytes(nil)
	fmt.Fprintf(b, "%d words", 2)
	s := b.TakeString() // b is empty now
	defer s.Free(nil)
	fmt.Println(s.View(), s.Len(), b.Len())
	// Output: 2 words 7 0
}

func ExampleNewString() {
	type city struct {
		name collections.String // a Go string would fail with ErrPointers
		size int
	}
	var cities collections.Vec[city]
	cities.Push(city{galloc.Must(collections.NewString(nil, "Bruges")), 118_000})
	fmt.Println(cities.At(0).name.View())
	cities.FreeFunc(func(c *city) { c.name.Free(nil) })
	// Output: Bruges
}

func ExampleNewDeque() {
	d := collections.NewDeque[int](nil)
	defer d.Free()
	d.Append(1, 2, 3)
	d.PushFront(0)
	first, _ := d.PopFront()
	fmt.Println(first, d.At(0), d.Len())
	// Output: 0 1 3
}

func ExampleNewSlab() {
	type node struct {
		value int
		next  collections.Handle[node] // instead of a pointer
	}
	s := collections.NewSlab[node](nil)
	defer s.Free()
	second := s.Add(node{value: 2})
	first := s.Add(node{value: 1, next: second})
	fmt.Println(s.Ptr(s.Ptr(first).next).value)
	s.Delete(second)
	s.Add(node{value: 3}) // in the former slot of second
	fmt.Println(s.Ptr(s.Ptr(first).next))
	// Output:
	// 2
	// <nil>
}

func ExampleNewBTree() {
	b := collections.NewBTree[int, float64](nil)
	defer b.Free()
	for _, year := range []int{1989, 1969, 2009, 1999} {
		b.Put(year, float64(year)/1000)
	}
	for year, v := range b.Range(1980, 2000) {
		fmt.Println(year, v)
	}
	for year := range b.Descend(1989) {
		fmt.Println(year)
	}
	// Output:
	// 1989 1.989
	// 1999 1.999
	// 1989
	// 1969
}

func ExampleNewBTreeFunc() {
	type point struct{ x, y int }
	b := collections.NewBTreeFunc[point, uint8](nil, func(p, q point) int {
		return cmp.Or(cmp.Compare(p.x, q.x), cmp.Compare(p.y, q.y))
	})
	defer b.Free()
	b.Put(point{2, 1}, 1)
	b.Put(point{1, 2}, 2)
	for p := range b.Keys() {
		fmt.Println(p)
	}
	// Output:
	// {1 2}
	// {2 1}
}

func ExampleNewRc() {
	r, err := collections.NewRc(nil, [3]int{1, 2, 3})
	if err != nil {
		log.Fatal(err)
	}
	s := r.Share()
	r.Get()[0] = 7
	fmt.Println(s.Get(), s.Owners())
	fmt.Println(r.Free(nil), s.Free(nil))
	// Output:
	// &[7 2 3] 2
	// false true
}

func ExampleNewArc() {
	r, err := collections.NewArc(nil, [1 << 10]byte{})
	if err != nil {
		log.Fatal(err)
	}
	done := make(chan bool)
	go func(mine collections.Arc[[1 << 10]byte]) {
		fmt.Println(len(mine.Get()))
		mine.Free(nil)
		done <- true
	}(r.Share())
	<-done
	fmt.Println(r.Free(nil))
	// Output:
	// 1024
	// true
}

func ExampleNewInterner() {
	in := collections.NewInterner(nil)
	defer in.Free()
	for _, s := range []string{"GET", "POST", "GET"} {
		fmt.Println(in.Intern(s))
	}
	fmt.Println(in.View(1), in.Len())
	// Output:
	// 0
	// 1
	// 0
	// POST 2
}

func ExampleMakeVec() {
	v, err := collections.MakeVec[byte](nil, 4096)
	if err != nil {
		log.Fatal(err) // no memory
	}
	defer v.Free()
	fmt.Println(v.Len(), v.Cap() >= 4096)
	// Output: 0 true
}

func ExampleVec_Resize() {
	v := collections.NewVec[int](nil)
	defer v.Free()
	v.Append(1, 2)
	v.Resize(4)
	fmt.Println(v)
	v.Resize(1)
	fmt.Println(v)
	// Output:
	// [1 2 0 0]
	// [1]
}

func ExampleBTree_DeleteRange() {
	var sessions collections.BTree[int64, int] // by the time when they end
	defer sessions.Free()
	for i := range 10 {
		sessions.Put(int64(i)*100, i)
	}
	fmt.Println(sessions.DeleteRange(0, 750), &sessions)
	// Output: 8 map[800:8 900:9]
}

func ExampleBTree_Pointers() {
	var byLetter collections.BTree[rune, int]
	defer byLetter.Free()
	byLetter.Put('a', 1)
	byLetter.Put('b', 2)
	for _, n := range byLetter.Pointers() {
		*n *= 10
	}
	fmt.Println(&byLetter)
	// Output: map[97:10 98:20]
}

func ExampleCollectVec() {
	v, err := collections.CollectVec(nil, slices.Values([]int{3, 1, 2}))
	if err != nil {
		log.Fatal(err)
	}
	defer v.Free()
	slices.Sort(v.Slice())
	fmt.Println(v)
	// Output: [1 2 3]
}

func ExampleMakeDeque() {
	d, err := collections.MakeDeque[int](nil, 8)
	if err != nil {
		log.Fatal(err)
	}
	defer d.Free()
	d.Append(1, 2, 4)
	d.Insert(2, 3)
	fmt.Println(d)
	fmt.Println(d.Remove(0), d)
	// Output:
	// [1 2 3 4]
	// 1 [2 3 4]
}

func ExampleCollectDeque() {
	d, err := collections.CollectDeque(nil, slices.Values([]int{1, 2, 3}))
	if err != nil {
		log.Fatal(err)
	}
	defer d.Free()
	d.Swap(0, 2)
	fmt.Println(d)
	// Output: [3 2 1]
}

func ExampleMakeSlab() {
	s, err := collections.MakeSlab[int](nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Free()
	h := s.Add(7) // does not allocate
	x, ok := s.Delete(h)
	fmt.Println(x, ok, s.Has(h))
	// Output: 7 true false
}

func ExampleCollectBTree() {
	b, err := collections.CollectBTree(nil, stdmaps.All(map[int]float64{3: 0.3, 1: 0.1, 2: 0.2}))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Free()
	fmt.Println(b)
	// Output: map[1:0.1 2:0.2 3:0.3]
}

func ExampleCollectBTreeFunc() {
	b, err := collections.CollectBTreeFunc(nil, func(x, y int) int { return y - x }, slices.All([]rune("abc")))
	if err != nil {
		log.Fatal(err)
	}
	defer b.Free()
	b.DeleteFunc(func(_ int, r rune) bool { return r == 'b' })
	fmt.Printf("%c\n", slices.Collect(b.Values()))
	fmt.Println(b)
	// Output:
	// [c a]
	// map[2:99 0:97]
}
