// Package mmm selects an allocator of its own, which knows its blocks. Its path is between those of aaa and zzz, and so
// is its initialization.
package mmm

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
var multiple_global_allocators = &selection

var selection = galloc.Selection{
	Path: "github.com/galloc-go/galloc/testdata/selection/mmm",
	New:  choose,
}

func init() { selection.Check() }

// initialized is false as long as this package is not.
var initialized = len(os.Args) > 0

func choose() galloc.GlobalAlloc {
	fmt.Println("New, before the package is initialized:", !initialized)
	switch os.Getenv("MMM") {
	case "nil":
		return nil
	case "global":
		return galloc.AsGlobal(&galloc.Global)
	case "use":
		galloc.Alloc(galloc.Must(galloc.NewLayout(8, 8)))
	}
	return &owner{blocks: map[unsafe.Pointer]galloc.Layout{}}
}

// owner ends the program when it is given a block that is not its own.
type owner struct {
	mu     sync.Mutex
	blocks map[unsafe.Pointer]galloc.Layout
}

func (o *owner) Alloc(l galloc.Layout) unsafe.Pointer {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := galloc.System.Alloc(l)
	o.blocks[p] = l
	return p
}

func (o *owner) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.blocks[p] != l {
		fmt.Printf("foreign block %p\n", p)
		os.Exit(1)
	}
	delete(o.blocks, p)
	galloc.System.Dealloc(p, l)
}
