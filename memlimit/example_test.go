package memlimit_test

import (
	"fmt"
	"log"
	"os"
	"runtime/debug"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/memlimit"
)

// A service as the package comment has it, with a cache of one block.
func Example() {
	g, err := memlimit.Start(memlimit.Options{Limit: 1 << 30})
	if err != nil {
		log.Fatal(err)
	}
	defer g.Close()

	cached := galloc.Must(galloc.MakeSlice[byte](nil, 1<<20))
	g.Register("cache", 1, func(want uint64) (freed uint64) {
		freed = uint64(cap(cached))
		galloc.FreeSlice(nil, cached)
		cached = nil
		return freed
	})

	const n = 64 << 10
	block, err := memlimit.Retry(g, n, func() ([]byte, error) {
		if cached != nil { // as if the memory had run out
			return nil, galloc.ErrOutOfMemory
		}
		return galloc.MakeSlice[byte](nil, n)
	})
	fmt.Println(len(block), err, g.Snapshot().Shrinkers[0].Calls)
	galloc.FreeSlice(nil, block)
	// Output: 65536 <nil> 1
}

// GOMEMLIMIT follows the off-heap memory while the Governor runs, and is restored.
func ExampleStart() {
	before := debug.SetMemoryLimit(-1)
	mapped := uint64(0)
	g, err := memlimit.Start(memlimit.Options{Limit: 4 << 30, OffHeap: func() uint64 { return mapped }})
	if err != nil {
		log.Fatal(err)
	}
	at := debug.SetMemoryLimit(-1)
	mapped = 1 << 30
	g.Update()
	fmt.Println(debug.SetMemoryLimit(-1) < at-1<<29, g.Snapshot().OffHeap >= 1<<30)
	g.Close()
	fmt.Println(debug.SetMemoryLimit(-1) == before)
	// Output:
	// true true
	// true
}

func ExampleSystemLimit() {
	n, err := memlimit.SystemLimit() // as in automemlimit's WithProvider(memlimit.SystemLimit)
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // not on Linux
	}
	available, err := memlimit.Available()
	fmt.Println(available <= n, err == nil || n == 0)
	// Output: true true
}
