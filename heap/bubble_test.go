package heap_test

import (
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// A heap may be made, used and closed in any bubble of testing/synctest and outside. It returns
// memory by the clock of the program, after the bubble has ended too.
func TestAHeapMadeInABubbleServesTheProgram(t *testing.T) {
	l := layout(mib, 8)
	var h *heap.Heap
	synctest.Test(t, func(*testing.T) {
		h = galloc.Must(heap.New(heap.Options{Decay: time.Millisecond}))
		block := h.AllocZeroed(l)
		*(*byte)(block) = 1
		h.Dealloc(block, l)
		time.Sleep(time.Hour) // of the bubble
	})
	decays := func() {
		for h.Stats().Dirty != 0 {
			time.Sleep(time.Millisecond)
		}
	}
	decays()
	for range 2 {
		h.Dealloc(h.AllocZeroed(l), l)
		synctest.Test(t, func(*testing.T) { h.Dealloc(h.AllocZeroed(l), l) })
		decays()
	}
	synctest.Test(t, func(*testing.T) { h.Close() })
}

// The clock of a bubble begins in the year 2000, before any call that the program has made.
func TestARefusalInABubbleCallsOnSoftLimit(t *testing.T) {
	called := make(chan bool, 1<<10)
	h := open(t, heap.Options{
		Decay: -1, SoftLimit: 2 * mib, HardLimit: 2*mib + 1, OnSoftLimit: func(uintptr) { called <- true },
	})
	l := layout(10_000, 8)
	var blocks []unsafe.Pointer
	for block := h.Alloc(l); block != nil; block = h.Alloc(l) {
		blocks = append(blocks, block)
	}
	<-called
	synctest.Test(t, func(t *testing.T) {
		n := len(called)
		for range 100 { // the call before may still be ending
			blocks = append(blocks, h.Alloc(l))
			time.Sleep(time.Second)
			if len(called) > n {
				return
			}
		}
		t.Error("it was not called")
	})
	for _, block := range blocks {
		if block != nil {
			h.Dealloc(block, l)
		}
	}
}
