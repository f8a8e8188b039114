package galloc_test

import (
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/vm"
)

// No block is handed out twice, and none is lost, while the runtime does to goroutines in Alloc and
// Dealloc all that it can: more of them run than there are Ps, it collects garbage, changes the
// number of Ps, and interrupts them to see where they are.
func TestAllocIsNotDisturbed(t *testing.T) {
	if runtime.GOARCH == "wasm" {
		t.Skip("nothing is concurrent there")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	if err := pprof.StartCPUProfile(io.Discard); err == nil {
		defer pprof.StopCPUProfile()
	}
	steps := uint64(3_000_000)
	if vm.GoMemory { // it is the race detector's turn
		steps = 100_000
	}
	var working sync.WaitGroup
	var done atomic.Bool
	disturbed := make(chan struct{})
	go func() {
		defer close(disturbed)
		for i := 0; !done.Load(); i++ {
			runtime.GOMAXPROCS(1 + i%5)
			runtime.GC()
			_ = runtime.Stack(make([]byte, 4096), true)
		}
	}()
	var exchange [64]atomic.Pointer[[2]uint64]
	l := testLayout(24, 8)
	for g := range uint64(8) {
		working.Go(func() {
			r := rand.New(rand.NewPCG(g, 7))
			var held []*[2]uint64
			for i := range steps {
				if len(held) < 40 && r.Uint32()%2 == 0 {
					p := (*[2]uint64)(galloc.Alloc(l))
					p[0], p[1] = g<<32|i, ^(g<<32 | i)
					held = append(held, p)
					continue
				}
				if len(held) == 0 {
					continue
				}
				p := held[len(held)-1]
				held = held[:len(held)-1]
				if r.Uint32()%4 == 0 { // another goroutine frees it
					p = exchange[r.Uint32()%64].Swap(p)
				}
				if p == nil {
					continue
				}
				if p[0] != ^p[1] {
					t.Errorf("a block of two owners: %#x, %#x", p[0], ^p[1])
					return
				}
				p[0], p[1] = 0, 1
				galloc.Dealloc(unsafe.Pointer(p), l)
			}
			for _, p := range held {
				galloc.Dealloc(unsafe.Pointer(p), l)
			}
		})
	}
	working.Wait()
	done.Store(true)
	<-disturbed
	for i := range exchange {
		if p := exchange[i].Load(); p != nil {
			galloc.Dealloc(unsafe.Pointer(p), l)
		}
	}
}
