package heap_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
)

func TestDefaultCannotBeClosed(t *testing.T) {
	if v, ok := mustPanic(t, heap.Default().Close).(string); !ok ||
		!strings.HasPrefix(v, "galloc/heap: Close of the default heap") {
		t.Errorf("it panics with %v", v)
	}
	heap.Default().Free(heap.Default().Alloc(layout(8, 8)))
}

func TestUseAfterClose(t *testing.T) {
	for _, used := range []bool{false, true} {
		var reported []heap.Misuse
		h, err := heap.New(heap.Options{
			SoftLimit: 100 << 20,
			OnMisuse:  func(m heap.Misuse) { reported = append(reported, m) },
		})
		if err != nil {
			t.Fatal(err)
		}
		small, large := layout(64, 8), layout(mib, 8)
		var p, q unsafe.Pointer
		if used {
			p, q = h.Alloc(small), h.Alloc(large)
			for range 300 { // so that there are free blocks and pages too
				h.Alloc(small)
				h.Free(h.Alloc(layout(5000, 8)))
				h.Free(h.Alloc(layout(200_000, 8)))
			}
		}
		h.Close()

		for what, f := range map[string]func(){
			"Close":    h.Close,
			"Trim":     func() { h.Trim() },
			"Stats":    func() { h.Stats() },
			"SetLimit": func() { h.SetLimit(0, 0, nil) },
		} {
			if v, ok := mustPanic(t, f).(string); !ok || v != "galloc/heap: "+what+" of a closed heap" {
				t.Errorf("%s panics with %v", what, v)
			}
		}
		for range 3 {
			for _, l := range []galloc.Layout{small, large, layout(5000, 8), layout(3000, 8), layout(100, 1<<20)} {
				if h.Alloc(l) != nil || h.AllocZeroed(l) != nil {
					t.Errorf("%v was allocated after Close", l)
				}
				if _, err := h.Allocate(l); !errors.Is(err, galloc.ErrOutOfMemory) {
					t.Errorf("%v: error %v", l, err)
				}
			}
		}
		if b, err := h.Allocate(layout(0, 8)); err != nil || len(b) != 0 {
			t.Error("size 0 failed")
		}
		if !used {
			continue
		}
		if h.Owns(p) || h.SizeOf(q) != 0 {
			t.Error("it owns blocks that are gone")
		}
		h.Dealloc(p, small)
		h.Dealloc(q, large)
		h.Free(p)
		if r := h.Realloc(q, large, 2*mib); r != nil {
			t.Error("a block that is gone was reallocated")
		}
		if len(reported) < 4 {
			t.Errorf("reported %v", reported)
		}
		for _, m := range reported {
			if m.Kind != heap.ForeignFree {
				t.Errorf("reported %v", m)
			}
		}
	}
}

// New heaps use the address space of closed ones, whatever those used it for.
func TestHeapsInARow(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 30 {
		h, err := heap.New(heap.Options{Checked: r.IntN(2) == 0})
		if err != nil {
			t.Fatal(err)
		}
		for range 200 {
			l := layout(1+uintptr(r.IntN(1<<r.IntN(21))), 1<<r.IntN(14))
			b, err := h.AllocateZeroed(l)
			if err != nil {
				t.Fatal(err)
			}
			if i := onlyByte(b, 0); i >= 0 {
				t.Fatalf("byte %d of %d is not zero", i, len(b))
			}
			fill(b, 1)
			if r.IntN(3) == 0 {
				h.Dealloc(unsafe.Pointer(&b[0]), l)
			}
		}
		most := 2
		if math.MaxInt == math.MaxInt32 {
			most = 4 // extents are short there
		}
		if s := h.Stats(); s.Extents > most {
			t.Fatalf("so much:\n%v", s)
		}
		h.Close()
	}
}

func TestCloseInvalidatesOnlyItsBlocks(t *testing.T) {
	a, b := open(t, heap.Options{}), open(t, heap.Options{})
	l := layout(10_000, 8)
	p := b.Alloc(l)
	fill(view(p, 10_000), 7)
	h, err := heap.New(heap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	fill(view(h.Alloc(l), 10_000), 8)
	h.Close()
	q := a.AllocZeroed(l)
	if onlyByte(view(p, 10_000), 7) >= 0 || onlyByte(view(q, 10_000), 0) >= 0 {
		t.Error("blocks of other heaps are not what they should be")
	}
	b.Free(p)
	a.Free(q)
}

// Heaps are closed at any time between or during ticks.
func TestCloseWhileTicking(t *testing.T) {
	keep := open(t, heap.Options{Decay: time.Millisecond})
	var wg sync.WaitGroup
	for g := range uint64(4) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, 3))
			for range 40 {
				h, err := heap.New(heap.Options{Decay: time.Millisecond})
				if err != nil {
					t.Error(err)
					return
				}
				end := time.Now().Add(time.Duration(r.IntN(3000)) * time.Microsecond)
				for time.Now().Before(end) {
					for _, a := range []*heap.Heap{h, keep} {
						b, err := a.AllocateZeroed(layout(uintptr(1+r.IntN(mib)), 8))
						if err != nil {
							t.Error(err)
							return
						}
						if b[0] != 0 || b[len(b)-1] != 0 {
							t.Error("not zero")
						}
						b[0], b[len(b)-1] = 1, 1
						a.Free(unsafe.Pointer(&b[0]))
					}
				}
				h.Close()
			}
		})
	}
	wg.Wait()
	// A tick may be running.
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		keep.Trim()
		s := keep.Stats()
		if s.Live == 0 && s.Footprint <= s.Metadata+remnant(s) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("in the end:\n%v", s)
		}
	}
}

// While there is nothing to release, no timer runs.
func TestTicksStop(t *testing.T) {
	for name, o := range map[string]heap.Options{
		"New":       {Decay: time.Millisecond},
		"PurgeLazy": {Decay: time.Millisecond, Purge: heap.PurgeLazy},
		// Less than a huge page stays dirty.
		"HugePages": {Decay: time.Millisecond, HugePages: true},
	} {
		t.Run(name, func(t *testing.T) {
			unit := uintptr(0)
			if o.HugePages {
				unit = vm.HugePageSize()
			}
			h := open(t, o)
			given := func() {
				t.Helper()
				for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
					s := h.Stats()
					if s.Dirty <= max(3*unit, remnant(s)) && s.Ticks > 0 && s.Cached == 0 {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("not released:\n%v", s)
					}
				}
			}
			p := h.Alloc(layout(mib, 8))
			h.Free(h.Alloc(layout(20*mib, 8)))
			given()
			var s heap.Stats
			for deadline := time.Now().Add(5 * time.Second); ; {
				s = h.Stats()
				time.Sleep(250 * time.Millisecond) // a thousand ticks
				if h.Stats().Ticks == s.Ticks {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("it ticks on and on:\n%v", s)
				}
			}
			if s.Live < mib {
				t.Errorf("memory in use was released:\n%v", s)
			}
			q := h.Alloc(layout(20*mib, 8))
			h.Free(p)
			h.Free(q) // starts the ticks again
			given()
		})
	}
}
