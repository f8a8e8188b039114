// Command map keeps a million accounts in a map that the garbage collector does not see: it has
// nothing to scan there, however large the map is.
//
//	go run ./examples/map
package main

import (
	"fmt"
	"runtime"

	"github.com/galloc-go/galloc/collections"
)

// account has no Go pointers, as all keys and values of such a map.
type account struct {
	cents  int64
	orders uint32
}

func main() {
	var accounts collections.Map[uint64, account] // the zero value is ready to use
	defer accounts.Free()                         // the memory is the program's to free

	before := goHeap()
	for id := range uint64(1_000_000) {
		accounts.Put(id, account{cents: int64(id), orders: 1})
	}
	a, ok := accounts.Get(77)
	fmt.Println(accounts.Len(), a, ok)
	fmt.Println("the Go heap has grown by more than 1 MB:", goHeap() > before+1<<20)
}

// goHeap returns the bytes of the objects on the Go heap.
func goHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
