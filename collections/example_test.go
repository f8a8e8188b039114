package collections_test

import (
	"cmp"
	"fmt"
	"path"
	"path/filepath"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/wrap"
)

func ExampleNewVec() {
	v := collections.NewVec[float64](nil) // as new(collections.Vec[float64])
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

// Who forgets Free is told where: by Leaks, and in a test by CheckLeaks.
func ExampleNewVec_leak() {
	d := wrap.Debug(galloc.System)
	v := collections.NewVec[int64](d)
	v.Append(1, 2, 3)
	for _, leak := range d.Leaks(0) {
		at := leak.Stack.Place() // and at.Line; fmt.Print(leak) has all, with the stack
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
		name collections.String // a string would be refused
		size int
	}
	var cities collections.Vec[city]
	cities.Push(city{collections.NewString(nil, "Bruges"), 118_000})
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
		next  collections.Handle[node] // in place of a pointer
	}
	s := collections.NewSlab[node](nil)
	defer s.Free()
	second := s.Insert(node{value: 2})
	first := s.Insert(node{value: 1, next: second})
	fmt.Println(s.Get(s.Get(first).next).value)
	s.Remove(second)
	s.Insert(node{value: 3}) // in the slot that second had
	fmt.Println(s.Get(s.Get(first).next))
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
	r := collections.NewRc(nil, [3]int{1, 2, 3})
	s := r.Share()
	r.Get()[0] = 7
	fmt.Println(s.Get(), s.Owners())
	fmt.Println(r.Free(nil), s.Free(nil))
	// Output:
	// &[7 2 3] 2
	// false true
}

func ExampleNewArc() {
	r := collections.NewArc(nil, [1 << 10]byte{})
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
