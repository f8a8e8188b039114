package wrap_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

func Example() {
	a := wrap.Stats(wrap.Limit(galloc.System, 1000))
	s, err := galloc.MakeSlice[byte](a, 800)
	fmt.Println(len(s), err)
	_, err = galloc.MakeSlice[byte](a, 800)
	fmt.Println(err)
	galloc.FreeSlice(a, s)

	limit, _ := wrap.Find[*wrap.Limiter](a)
	fmt.Println(limit.Used(), "of", limit.Limit())
	fmt.Println(a.Snapshot())
	// Output:
	// 800 <nil>
	// galloc: memory allocation of 800 bytes (align 1) failed: out of memory: a limit is reached
	// 0 of 1000
	// 0 blocks live, 0 bytes, peak 800; 1 allocated, 1 freed, 0 reallocated, 1 failed
}

func ExampleStats() {
	a := wrap.Stats(galloc.System)
	p, _ := galloc.New[[3]int64](a)
	d := a.During(func() {
		s, _ := galloc.MakeSlice[byte](a, 100)
		s, _ = galloc.GrowSlice(a, s, 1000)
		galloc.FreeSlice(a, s)
	})
	fmt.Println(d.Allocs, d.Reallocs, d.Frees, d.AllocatedBytes, d.LiveBytes())
	galloc.Free(a, p)
	// Output: 1 1 1 1000 0
}

func ExampleLimit() {
	a := wrap.Limit(galloc.System, 100)
	l := galloc.LayoutOf[[60]byte]()
	p := a.Alloc(l)
	fmt.Println(p != nil, a.Used(), a.Alloc(l) != nil)
	a.SetLimit(200)
	q := a.Alloc(l)
	fmt.Println(q != nil, a.Used())
	a.Dealloc(p, l)
	a.Dealloc(q, l)
	// Output:
	// true 60 false
	// true 120
}

func ExampleTag() {
	cache := wrap.Tag(galloc.System, "example/cache")
	index := wrap.Tag(galloc.System, "example/index")
	k, _ := galloc.New[[1000]byte](cache)
	v, _ := galloc.New[[24]byte](index)
	for name, s := range wrap.Tags() {
		if strings.HasPrefix(name, "example/") {
			fmt.Println(name, s.LiveBytes())
		}
	}
	galloc.Free(cache, k)
	galloc.Free(index, v)
	// Output:
	// example/cache 1000
	// example/index 24
}

func ExampleFallback() {
	h, err := heap.New(heap.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	first, next := wrap.Limit(h, 1<<20), wrap.Stats(galloc.System)
	a := wrap.Fallback(first, next)
	s, _ := galloc.MakeSlice[byte](a, 1000)
	s, _ = galloc.GrowSlice(a, s, 2<<20) // more than first has
	fmt.Println(first.Used(), next.Snapshot().LiveBytes())
	galloc.FreeSlice(a, s)
	// Output: 0 2097152
}

func ExampleSegregate() {
	small, large := wrap.Stats(galloc.System), wrap.Stats(galloc.System)
	a := wrap.Segregate(256, small, large)
	s, _ := galloc.MakeSlice[byte](a, 100)
	s, _ = galloc.GrowSlice(a, s, 1000) // moves
	fmt.Println(small.Snapshot().Live(), large.Snapshot().Live())
	galloc.FreeSlice(a, s)
	// Output: 0 1
}

func ExampleStackFallback() {
	next := wrap.Stats(galloc.System)
	a := wrap.StackFallback(make([]byte, 256), next)
	s, _ := galloc.MakeSlice[byte](a, 200)
	t, _ := galloc.MakeSlice[byte](a, 200)
	fmt.Println(next.Snapshot().Live())
	galloc.FreeSlice(a, t)
	galloc.FreeSlice(a, s)
	// Output: 1
}

func ExampleLock() {
	fmt.Println(wrap.Lock(wrap.Stats(galloc.GoHeap)))
	// Output: lock(stats(galloc.GoHeap))
}

func ExampleTrace() {
	var out bytes.Buffer
	a := wrap.Trace(galloc.System, &out)
	s, _ := galloc.MakeSlice[byte](a, 100)
	galloc.FreeSlice(a, s)
	fmt.Println(a.Close())
	fmt.Print(out.String())
	// Output:
	// <nil>
	// # malloctrace 1
	// c 0 1 100
	// f 0 1
}

func ExampleFind() {
	a := wrap.Stats(wrap.Lock(wrap.Limit(galloc.System, 1<<20)))
	limit, ok := wrap.Find[*wrap.Limiter](a)
	fmt.Println(ok, limit.Limit())
	_, ok = wrap.Find[*alloctest.Failer](a)
	fmt.Println(ok)
	// Output:
	// true 1048576
	// false
}
