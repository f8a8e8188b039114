package heap_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"syscall" //nolint:depguard // for a limit on a child process of the test
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
)

// What a heap costs, as the system sees it.

func needPages(t *testing.T) {
	if vm.GoMemory {
		t.Skip("memory of the Go heap does not go back")
	}
}

// memory returns how much address space the process has, and how much memory, in bytes.
func memory() (size, resident uintptr) {
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident)
	}
	if err != nil {
		panic(err)
	}
	return size * uintptr(os.Getpagesize()), resident * uintptr(os.Getpagesize())
}

func resident() uintptr {
	_, r := memory()
	return r
}

func TestFreshZeroedMemoryIsNotTouched(t *testing.T) {
	needPages(t)
	size := uintptr(1) << 30
	if bits.UintSize == 32 {
		size = 1 << 28
	}
	h := open(t, heap.Options{})
	debug.FreeOSMemory()
	before := resident()
	b, err := h.AllocateZeroed(layout(size, 8))
	p := h.AllocZeroed(layout(size/4, 8))
	if err != nil || p == nil {
		t.Fatal(err, p)
	}
	if r := resident(); r > before+16*mib {
		t.Errorf("%d bytes of memory were touched", r-before)
	}
	if b[0] != 0 || b[size/2] != 0 || b[size-1] != 0 {
		t.Error("not zero")
	}
	b[size/2] = 1
	// What was purged is as good as fresh.
	h.Free(unsafe.Pointer(&b[0]))
	h.Trim()
	b, err = h.AllocateZeroed(layout(size, 8))
	if err != nil || b[size/2] != 0 {
		t.Errorf("not zero, or %v", err)
	}
	if r := resident(); r > before+16*mib {
		t.Errorf("%d bytes of memory were touched", r-before)
	}
}

func TestGrownZeroedMemoryIsNotTouched(t *testing.T) {
	needPages(t)
	h := open(t, heap.Options{})
	debug.FreeOSMemory()
	before := resident()
	l, large := layout(mib, 8), layout(200*mib, 8)
	b := galloc.Must(h.AllocateZeroed(l))
	h.Alloc(layout(mib, 8)) // in the way: the block has to move
	b = galloc.Must(h.GrowZeroed(unsafe.Pointer(&b[0]), l, large))
	if r := resident(); b[100*mib] != 0 || r > before+16*mib {
		t.Errorf("%d bytes of memory were touched", r-before)
	}
}

func TestCloseGivesBackMemory(t *testing.T) {
	needPages(t)
	for _, o := range []heap.Options{{}, {Purge: heap.PurgeLazy}, {HugePages: true}, {Checked: true, Decay: -1}} {
		h, err := heap.New(o)
		if err != nil {
			t.Fatal(err)
		}
		debug.FreeOSMemory()
		before := resident()
		for range 32 {
			fill(view(h.Alloc(layout(mib, 8)), mib), 1)
		}
		for range 32 * 1024 {
			fill(view(h.Alloc(layout(1024, 8)), 1024), 1)
		}
		full := resident()
		h.Close()
		if after := resident(); full < before+50*mib || after > before+8*mib {
			t.Errorf("%v: from %d MiB to %d, after Close %d", h, before/mib, full/mib, after/mib)
		}
	}
}

func TestManyHeapsTakeNoMoreAddressSpaceThanOne(t *testing.T) {
	needPages(t)
	use := func() {
		h, err := heap.New(heap.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for size := uintptr(8); size < 4*mib; size *= 2 {
			fill(view(h.Alloc(layout(size, 8)), size), 1)
		}
		h.Close()
	}
	use()
	before, _ := memory()
	for range 100 {
		use()
	}
	after, _ := memory()
	if limit := uintptr(100 * mib); after > before+limit { // Go's own heap takes 64 MiB at a time
		t.Errorf("the address space has grown from %d MiB to %d", before/mib, after/mib)
	}
}

// Under a limit on address space, reservations get smaller; in the end there is no memory,
// and no crash.
func TestLittleAddressSpace(t *testing.T) {
	needPages(t)
	runChild(t, "little address space, Default").mustPass(t)
	runChild(t, "little address space, New").mustPass(t)
}

// What was freed has left the process when the decay period is over, with nobody asking for
// it.
func TestMemoryDecays(t *testing.T) {
	needPages(t)
	runChild(t, "decay").mustPass(t)
}

func littleAddressSpace(h *heap.Heap) {
	const room, most = 200, 2000 // MiB
	debug.SetGCPercent(-1)       // what the Go heap needs from now on, it has
	size, _ := memory()
	limit := syscall.Rlimit{Cur: uint64(size + room*mib), Max: uint64(size + room*mib)}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		die("Setrlimit: %v", err)
	}
	var ps [most]unsafe.Pointer
	l := layout(mib, 8)
	for round := range 3 {
		n, small := 0, 0
		for ; n < most; n++ {
			p := h.Alloc(l)
			if p == nil {
				break
			}
			fill(view(p, mib), byte(n))
			ps[n] = p
		}
		if _, err := h.Allocate(layout(64*mib, 8)); err == nil {
			die("memory from nowhere")
		}
		var last *unsafe.Pointer // a chain of small blocks, out of what there is, until that is used up too
		for {
			p := (*unsafe.Pointer)(h.Alloc(layout(30_000, 8)))
			if p == nil {
				break
			}
			*p = unsafe.Pointer(last)
			last = p
			small++
		}
		fmt.Println(h, "round", round, "got", n, "blocks of a MiB,", small, "small ones")
		if n == most || n < room/4 {
			die("that cannot be:\n%v", h.Stats())
		}
		for i, p := range ps[:n] {
			if at := onlyByte(view(p, mib), byte(i)); at >= 0 {
				die("block %d has changed at %d", i, at)
			}
			h.Dealloc(p, l)
		}
		for last != nil {
			p := last
			last = (*unsafe.Pointer)(*p)
			h.Free(unsafe.Pointer(p))
		}
		p := h.AllocZeroed(layout(uintptr(n)*mib/4, 8))
		if p == nil {
			die("nothing to be had of %d MiB that were freed\n%v", n, h.Stats())
		}
		h.Free(p)
	}
}

func init() {
	for name, h := range map[string]func() *heap.Heap{
		"little address space, Default": heap.Default,
		"little address space, New":     func() *heap.Heap { return galloc.Must(heap.New(heap.Options{})) },
	} {
		children[name] = func() { littleAddressSpace(h()) }
	}

	children["decay"] = func() {
		const decay = 200 * time.Millisecond
		h, err := heap.New(heap.Options{Decay: decay})
		if err != nil {
			die("%v", err)
		}
		type block struct {
			p unsafe.Pointer
			l galloc.Layout
		}
		blocks := make([]block, 90_000)
		for i := range blocks {
			blocks[i].l = layout(8, 8) // it is touched before the start
		}
		r := rand.New(rand.NewPCG(1, 1))
		h.Free(h.Alloc(layout(8, 8)))
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
		start := resident()
		for i := range blocks {
			size := 1 + uintptr(r.IntN(1<<r.IntN(13)))
			if i%1000 == 0 {
				size = mib / 2
			}
			l := layout(size, 8)
			p := h.AllocZeroed(l)
			fill(view(p, size), 1)
			blocks[i] = block{p, l}
		}
		full := resident()
		for _, i := range r.Perm(len(blocks)) {
			h.Dealloc(blocks[i].p, blocks[i].l)
		}
		freed := time.Now()
		for resident() > start+2*mib {
			if time.Since(freed) > 10*time.Second {
				die("from %d KiB to %d, and only back to %d\n%v", start>>10, full>>10, resident()>>10, h.Stats())
			}
			time.Sleep(5 * time.Millisecond)
		}
		fmt.Printf("from %d KiB to %d, and back to %d after %v\n", start>>10, full>>10, resident()>>10, time.Since(freed))
		if full < start+50*mib {
			die("that is too little to show anything")
		}
	}
}
