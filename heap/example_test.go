package heap_test

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

func ExampleNew() {
	h, err := heap.New(heap.Options{Checked: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close() // releases all memory, whether or not it was freed
	l := galloc.LayoutOf[[1000]byte]()
	b, err := h.Allocate(l)
	fmt.Println(len(b) >= 1000, err)
	h.Deallocate(unsafe.Pointer(&b[0]), l)
	fmt.Println(h)
	// Output:
	// true <nil>
	// separate galloc heap (checked)
}

func ExampleNew_misuse() {
	h, err := heap.New(heap.Options{
		Checked:  true,
		OnMisuse: func(m heap.Misuse) { fmt.Println("reported:", m.Kind) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	l := galloc.LayoutOf[uint64]()
	p, q := h.Alloc(l), h.Alloc(l)
	h.Dealloc(p, l)
	h.Dealloc(p, l)
	h.Dealloc(q, galloc.LayoutOf[[100]byte]())
	h.Dealloc(q, l) // the call before had no effect
	// Output:
	// reported: double free
	// reported: wrong layout
}

func ExampleDefault() {
	h := heap.Default()
	before := h.Stats().LiveBlocks
	s, err := galloc.MakeSlice[float64](h, 1_000_000)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.Stats().LiveBlocks-before, h.Owns(unsafe.Pointer(&s[0])))
	galloc.FreeSlice(h, s)
	// Output: 1 true
}

// Values and slices on a separate heap are freed together.
func ExampleHeap() {
	type point struct{ x, y float64 }
	h, err := heap.New(heap.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	p := galloc.Must(galloc.New[point](h))
	p.x = 1
	s := galloc.Must(galloc.MakeSlice[point](h, 1000))
	s = galloc.Must(galloc.GrowSlice(h, s, 100_000))
	s[99_999] = *p
	fmt.Println(len(s), s[0], s[99_999])
	// Output: 100000 {0 0} {1 0}
}

// A cache gives up its memory when the heap asks for it. OnSoftLimit runs in a separate goroutine,
// so the cache has a mutex.
func ExampleHeap_SetLimit() {
	h, err := heap.New(heap.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	const mib = 1 << 20
	var mu sync.Mutex
	cache := galloc.Must(galloc.MakeSlice[byte](h, 3*mib)) // memory that the program can do without
	dropped := make(chan bool, 1)
	h.SetLimit(4*mib, 8*mib, func(uintptr) {
		mu.Lock()
		defer mu.Unlock()
		if cache != nil {
			galloc.FreeSlice(h, cache)
			cache = nil
			dropped <- true
		}
	})
	s := galloc.Must(galloc.MakeSlice[byte](h, 2*mib))
	fmt.Println("dropped the cache:", <-dropped)
	_, err = galloc.MakeSlice[byte](h, 8*mib)
	fmt.Println(err)
	galloc.FreeSlice(h, s)
	// Output:
	// dropped the cache: true
	// galloc: memory allocation of 8388608 bytes (align 1) failed: out of memory: a limit is reached
}

func ExampleHeap_Stats() {
	h, err := heap.New(heap.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	l := galloc.LayoutOf[[64]byte]()
	for range 1000 {
		h.Alloc(l)
	}
	s := h.Stats()
	fmt.Println(s.LiveBlocks, "blocks,", s.Live, "bytes; is the footprint larger?", s.Footprint > s.Live)
	// Output: 1000 blocks, 64000 bytes; is the footprint larger? true
}

// Free needs no layout, as free in C.
func ExampleHeap_Free() {
	h := heap.Default()
	p := h.Alloc(galloc.LayoutOf[[100]byte]())
	fmt.Println(h.SizeOf(p) >= 100)
	h.Free(p)
	// Output: true
}
