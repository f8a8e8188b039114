package galloc_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// counted is a GlobalAlloc that knows its figures.
type counted struct{ counting }

func (c *counted) ReadStats() galloc.Stats { return galloc.Stats{Live: 1, LiveBlocks: 2, Footprint: 3} }

// wrapped is a GlobalAlloc that wraps an Allocator.
type wrapped struct{ plain }

func (w wrapped) Alloc(l galloc.Layout) unsafe.Pointer {
	b, err := w.Allocate(l)
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}

func (w wrapped) Dealloc(p unsafe.Pointer, l galloc.Layout) { w.Deallocate(p, l) }

// expectHeap ends the child with an error if ReadStats does not see a block of 1000 bytes.
func expectHeap() {
	p := galloc.Must(galloc.New[[1000]byte](nil))
	before := galloc.Must(galloc.ReadStats())
	galloc.Free(nil, p)
	after := galloc.Must(galloc.ReadStats())
	if os.Getenv("GALLOC") == "debug" { // the block is in quarantine
		after.LiveBlocks, after.Live = after.LiveBlocks-1, after.Live-1000
	}
	if before.LiveBlocks != after.LiveBlocks+1 || before.Live < after.Live+1000 || before.Footprint < before.Live || before.Live == 0 {
		fail("%+v, then %+v", before, after)
	}
}

func expectCounted() {
	if s, err := galloc.ReadStats(); err != nil || s != (galloc.Stats{Live: 1, LiveBlocks: 2, Footprint: 3}) {
		fail("%+v, %v", s, err)
	}
}

func init() {
	for name, a := range map[string]func() galloc.GlobalAlloc{
		"heap":               nil,
		"another heap":       func() galloc.GlobalAlloc { return galloc.Must(heap.New(heap.Options{})) },
		"wrapper of a heap":  func() galloc.GlobalAlloc { return wrapped{plain{heap.Default()}} },
		"adapted heap":       func() galloc.GlobalAlloc { return galloc.AsGlobal(plain{heap.Default()}) },
		"counted":            func() galloc.GlobalAlloc { return new(counted) },
		"wrapper of counted": func() galloc.GlobalAlloc { return wrapped{plain{galloc.AsAllocator(new(counted))}} },
		"System":             func() galloc.GlobalAlloc { return galloc.System },
	} {
		children["stats of "+name] = func() {
			if a != nil {
				galloc.RegisterGlobal(a())
			}
			switch name {
			case "System":
				if _, err := galloc.ReadStats(); !errors.Is(err, errors.ErrUnsupported) {
					fail("%v", err)
				}
				fmt.Println("unsupported")
			case "counted", "wrapper of counted":
				expectCounted()
			default:
				expectHeap()
			}
			os.Exit(0)
		}
	}
}

func TestReadStats(t *testing.T) {
	for name, env := range map[string]string{
		"heap": "", "another heap": "", "wrapper of a heap": "", "adapted heap": "", "counted": "", "wrapper of counted": "", "System": "",
	} {
		if o := runChild(t, "stats of "+name, "GALLOC="+env); o.err != nil {
			t.Errorf("%s: %v\n%s", name, o.err, o.stderr)
		}
	}
	// A block that is sampled is not in the heap, so hardly any is.
	for _, env := range []string{"debug", "debug,sample=4294967295"} {
		if o := runChild(t, "stats of heap", "GALLOC="+env); o.err != nil {
			t.Errorf("GALLOC=%s: %v\n%s", env, o.err, o.stderr)
		}
	}
}
