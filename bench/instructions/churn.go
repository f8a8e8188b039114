package main

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/buddy"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/tlsf"
)

// churn performs random operations on an allocator with a region of 32 MiB, of which about 20 MiB
// are in use, in 10,000 blocks.
const (
	churnRegion = 32 << 20
	churnSlots  = 20_000
	churnMin    = 16       // bytes; sizes from 16 to 32 are as frequent as from 8 to 16 KiB
	churnMax    = 16 << 10 // bytes
)

var churned = []string{"tlsf", "buddy", "heap"}

func newChurned(name string) (galloc.Allocator, error) {
	switch name {
	case "tlsf":
		return tlsf.New(nil, churnRegion, tlsf.Options{Touch: true})
	case "buddy":
		return buddy.New(nil, churnRegion, buddy.Options{})
	case "heap":
		return heap.Default(), nil
	}
	return nil, fmt.Errorf("unknown allocator %q: use one of %q", name, churned)
}

// runChurn is the command that worst steps through. It calls a random one of every
// operations/samples operations through the functions at the end of this file, and is the same each
// time.
func runChurn(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: instructions churn NAME OPERATIONS SAMPLES")
	}
	operations, err := strconv.Atoi(args[1])
	samples, err2 := strconv.Atoi(args[2])
	if err != nil || err2 != nil || samples < 1 || operations < samples {
		return fmt.Errorf("%q: OPERATIONS and SAMPLES must be numbers, and OPERATIONS at least SAMPLES", args[1:])
	}
	a, err := newChurned(args[0])
	if err != nil {
		return err
	}
	return churn(a, operations, operations/samples)
}

func churn(a galloc.Allocator, operations, every int) error {
	type block struct {
		p unsafe.Pointer
		l galloc.Layout
	}
	slots := make([]block, churnSlots)
	r := rand.New(rand.NewPCG(1, 2))
	random := func() galloc.Layout {
		size := uintptr(churnMin * math.Exp2(r.Float64()*math.Log2(churnMax/churnMin)))
		align := uintptr(16)
		if r.IntN(16) == 0 {
			align <<= r.IntN(9) // to 4096
		}
		return galloc.Must(galloc.NewLayout(size, align))
	}
	chosen := 0
	for i := range operations {
		if i%every == 0 {
			chosen = i + r.IntN(every)
		}
		b := &slots[r.IntN(len(slots))]
		switch {
		case b.p == nil:
			l := random()
			do := galloc.Allocator.Allocate
			if i == chosen {
				do = sampledAllocate
			}
			if m, err := do(a, l); err == nil {
				*b = block{unsafe.Pointer(unsafe.SliceData(m)), l}
			}
		case r.IntN(10) == 0:
			n := random()
			do := galloc.Resize
			if i == chosen {
				do = sampledResize
			}
			if do(a, b.p, b.l, n.Size()) {
				b.l = galloc.Must(galloc.NewLayout(n.Size(), b.l.Align()))
			}
		default:
			if i == chosen {
				sampledDeallocate(a, b.p, b.l)
			} else {
				a.Deallocate(b.p, b.l)
			}
			b.p = nil
		}
	}
	for _, b := range slots {
		if b.p != nil {
			a.Deallocate(b.p, b.l)
		}
	}
	return nil
}

// Stepping begins at these functions. They are not inlined, so that each has an address.

//go:noinline
func sampledAllocate(a galloc.Allocator, l galloc.Layout) ([]byte, error) { return a.Allocate(l) }

//go:noinline
func sampledDeallocate(a galloc.Allocator, p unsafe.Pointer, l galloc.Layout) { a.Deallocate(p, l) }

//go:noinline
func sampledResize(a galloc.Allocator, p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return galloc.Resize(a, p, l, newSize)
}

// sampled has the names of these functions as symbols.
var sampled = []string{"main.sampledAllocate", "main.sampledDeallocate", "main.sampledResize"}
