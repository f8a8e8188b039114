package collections_test

import (
	"fmt"
	"log"
	"slices"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
)

// An Array, unlike a Vec, can be a value in a map.
func ExampleArray() {
	var groups collections.Map[int, collections.Array[float64]]
	for _, x := range []float64{1.5, 2.25, 1.75, 3, 2.5} {
		list, _ := groups.GetOrPut(int(x))
		list.Push(nil, x) // nil: on galloc.Global, as groups is
	}
	list, _ := groups.Get(1)
	fmt.Println(list, groups.Len())
	groups.FreeFunc(func(_ *int, list *collections.Array[float64]) { list.Free(nil) })
	// Output: [1.5 1.75] 3
}

func ExampleMakeArray() {
	r, err := collections.MakeArray[byte](nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Free(nil)
	r.Append(nil, 1, 2, 3)
	fmt.Println(r, r.Cap() >= 100)
	// Output: [1 2 3] true
}

func ExampleCollectArray() {
	r, err := collections.CollectArray(nil, slices.Values([]int{1, 2, 3}))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Free(nil)
	fmt.Println(r)
	// Output: [1 2 3]
}

// A tree in an arena, whose memory is freed at once.
func ExampleNewPtr() {
	type node struct {
		left, right collections.Ptr[node]
		key         int
	}
	arena := bump.New(nil)
	defer arena.Close()
	var root collections.Ptr[node]
	for _, key := range []int{2, 1, 3} {
		at := &root
		for n := at.Get(); n != nil; n = at.Get() {
			if at = &n.right; key < n.key {
				at = &n.left
			}
		}
		*at = galloc.Must(collections.NewPtr(arena, node{key: key}))
	}
	n := root.Get()
	fmt.Println(n.left.Get().key, n.key, n.right.Get().key)
	// Output: 1 2 3
}

func ExamplePtrTo() {
	type job struct{ id int }
	p, err := galloc.New[job](nil) // not new(job), which the garbage collector would free
	if err != nil {
		log.Fatal(err)
	}
	var queue collections.Deque[collections.Ptr[job]]
	defer queue.Free()
	queue.PushBack(collections.PtrTo(p))
	next, _ := queue.PopFront()
	fmt.Println(next.Get() == p)
	next.Free(nil)
	// Output: true
}

func ExampleNewSlice() {
	type row struct{ cells collections.Slice[float32] }
	arena := bump.New(nil)
	defer arena.Close()
	var rows collections.Vec[row]
	defer rows.Free()
	rows.Push(row{galloc.Must(collections.NewSlice(arena, []float32{0.5, 1.5}))})
	rows.At(0).cells.Slice()[0]++
	fmt.Println(rows.At(0).cells)
	// Output: [1.5 1.5]
}

func ExampleSliceTo() {
	arena := bump.New(nil)
	defer arena.Close()
	primes := galloc.Must(galloc.MakeSlice[int](arena, 3))
	copy(primes, []int{2, 3, 5})
	s := collections.SliceTo(primes[1:])
	fmt.Println(s, s.Len())
	// Output: [3 5] 2
}

// An LRU cache of two entries.
func ExampleNewLinkedMap() {
	cache := collections.NewLinkedMap[int, int](nil)
	defer cache.Free()
	square := func(x int) int {
		if v := cache.MoveToBack(x); v != nil {
			return *v
		}
		if cache.Len() == 2 {
			cache.PopFront() // the least recently used
		}
		cache.Put(x, x*x)
		return x * x
	}
	square(1)
	square(2)
	square(1)
	square(3)
	fmt.Println(cache)
	// Output: map[1:1 3:9]
}

func ExampleMakeLinkedMap() {
	m, err := collections.MakeLinkedMap[int, int](nil, 100)
	if err != nil {
		log.Fatal(err)
	}
	defer m.Free()
	m.Put(1, 10) // does not allocate
	fmt.Println(m, m.Cap() >= 100)
	// Output: map[1:10] true
}

func ExampleCollectLinkedMap() {
	m, err := collections.CollectLinkedMap(nil, slices.All([]string{"", "", ""}))
	fmt.Println(m, err != nil) // a Go string cannot be a value
	n, err := collections.CollectLinkedMap(nil, slices.All([]byte("abc")))
	if err != nil {
		log.Fatal(err)
	}
	defer n.Free()
	n.MoveToFront(2)
	fmt.Println(n)
	// Output:
	// <nil> true
	// map[2:99 0:97 1:98]
}

// A handle of an entry is a stable reference without the key.
func ExampleLinkedMap_Handle() {
	stock := collections.NewLinkedMap[uint64, int](nil)
	defer stock.Free()
	stock.Put(4006381333931, 12)
	var orders collections.Vec[collections.Handle[int]]
	defer orders.Free()
	if h, ok := stock.Handle(4006381333931); ok {
		orders.Push(h)
	}
	for _, h := range orders.Slice() {
		if key, n := stock.Entry(h); n != nil {
			*n--
			fmt.Println(key, *n)
		}
	}
	stock.Delete(4006381333931)
	_, n := stock.Entry(orders.At(0))
	fmt.Println(n)
	// Output:
	// 4006381333931 11
	// <nil>
}
