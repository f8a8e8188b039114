package heap_test

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/vm"
)

// kinds has options of heaps that must keep the contract.
var kinds = map[string]heap.Options{
	"New":       {},
	"Checked":   {Checked: true},
	"PurgeLazy": {Purge: heap.PurgeLazy, Decay: time.Millisecond},
	"HugePages": {HugePages: true, Decay: time.Millisecond},
	"Tight":     {SoftLimit: 4 << 20, HardLimit: 32 << 20, Decay: time.Millisecond},
	"Hoarding":  {Decay: -1},
}

// exceptions returns o, and the rules that cannot hold while the engine checks itself.
func exceptions(o ...alloctest.Option) []alloctest.Option {
	if engine.Invariants {
		o = append(o, alloctest.GoGarbage)
	}
	return o
}

func TestHeapsKeepTheContract(t *testing.T) {
	for name, o := range kinds {
		t.Run(name, func(t *testing.T) {
			if vm.GoMemory && (name == "PurgeLazy" || name == "HugePages" || name == "Hoarding") {
				t.Skip("it is no other than New on Go memory")
			}
			h := open(t, o)
			alloctest.Run(t, func() galloc.Allocator { return h }, exceptions()...)
			if name == "New" && !vm.GoMemory {
				alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return h }, exceptions()...)
			}
			h.Trim() // misuse of blocks in caches is reported here
			if s := h.Stats(); s.Live != 0 || s.LiveBlocks != 0 || s.Misuses != 0 {
				t.Errorf("when everything is freed:\n%v", s)
			}
		})
	}
	t.Run("Default", func(t *testing.T) {
		if vm.GoMemory {
			t.Skip("package galloc tests it, under the name of Global")
		}
		alloctest.Run(t, func() galloc.Allocator { return heap.Default() }, exceptions()...)
	})
	t.Run("AfterTrim", func(t *testing.T) { // memory is purged before it is used again
		if vm.GoMemory {
			t.Skip("a purge clears there, which Tight has shown")
		}
		h := open(t, heap.Options{})
		alloctest.Run(t, func() galloc.Allocator { h.Trim(); return h }, exceptions()...)
		alloctest.Run(t, func() galloc.Allocator { h.Trim(); return h }, exceptions(alloctest.SingleGoroutine)...)
	})
}

// Package galloc calls the engine of a registered heap directly.
func TestRegisteredHeapKeepsTheContract(t *testing.T) {
	if vm.GoMemory {
		t.Skip("package galloc tests its default, which is a heap")
	}
	if registered == nil {
		runChild(t, "registered", "-test.v=true", "-test.run=^TestRegisteredHeapKeepsTheContract$").mustPass(t)
		return
	}
	if name := galloc.DescribeGlobal(); !strings.HasPrefix(name,
		"separate galloc heap (checked, decay 5ms), registered at ") {
		t.Errorf("the name is %q", name)
	}
	p, err := galloc.New[[100]byte](nil)
	if err != nil || !registered.Owns(unsafe.Pointer(p)) {
		t.Fatalf("the global allocator returned %p, %v, which is not from the heap", p, err)
	}
	registered.Free(unsafe.Pointer(p)) // a block of one interface is freed through the other
	alloctest.Run(t, func() galloc.Allocator { return galloc.Global }, exceptions()...)
	if s := registered.Stats(); s.Live != 0 || s.RunsAllocated == 0 || s.Misuses != 0 {
		t.Errorf("when everything is freed:\n%v", s)
	}
}

func init() {
	children["registered"] = func() {
		h, err := heap.New(heap.Options{Checked: true, Decay: 5 * time.Millisecond})
		if err != nil {
			die("%v", err)
		}
		galloc.RegisterGlobal(h)
		registered = h
	}
}

func FuzzHeap(f *testing.F) {
	h := open(f, heap.Options{HardLimit: 8 << 20, Decay: time.Millisecond})
	alloctest.Fuzz(f, func() galloc.Allocator { return h })
}

func FuzzChecked(f *testing.F) {
	h := open(f, heap.Options{Checked: true})
	alloctest.Fuzz(f, func() galloc.Allocator { return h })
}
