package heap_test

import (
	"errors"
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

// These tests measure the memory of a heap as the system counts it.

func needPages(t *testing.T) {
	if vm.GoMemory {
		t.Skip("memory of the Go heap does not go back")
	}
}

// memory returns the address space and the memory of the process, in bytes.
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
	// Purged memory is zero, as fresh memory is.
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
	h.Alloc(layout(mib, 8)) // the block must move
	b = galloc.Must(h.GrowZeroed(unsafe.Pointer(&b[0]), l, large))
	if r := resident(); b[100*mib] != 0 || r > before+16*mib {
		t.Errorf("%d bytes of memory were touched", r-before)
	}
}

func TestCloseReleasesMemory(t *testing.T) {
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
	t.Setenv("MALLOC_ARENA_MAX", "1") // C's malloc takes 64 MiB for each thread otherwise
	runChild(t, "address space of many heaps").mustPass(t)
}

func addressSpaceOfManyHeaps() {
	use := func() {
		h, err := heap.New(heap.Options{})
		if err != nil {
			die("%v", err)
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
	if limit := uintptr(100 * mib); after > before+limit { // the Go heap reserves 64 MiB at a time
		die("the address space has grown from %d MiB to %d", before/mib, after/mib)
	}
}

// Under a limit on address space, reservations become smaller. In the end allocations fail, and
// nothing crashes.
func TestLittleAddressSpace(t *testing.T) {
	needPages(t)
	t.Setenv("MALLOC_ARENA_MAX", "1") // C's malloc takes 64 MiB for each thread otherwise
	runChild(t, "little address space, Default").mustPass(t)
	runChild(t, "little address space, New").mustPass(t)
}

// Freed memory leaves the process within the decay period, without a call.
func TestMemoryDecays(t *testing.T) {
	needPages(t)
	runChild(t, "decay").mustPass(t)
}

func littleAddressSpace(h *heap.Heap) {
	const room, most = 200, 2000 // MiB
	debug.SetGCPercent(-1)       // the Go heap has all the memory that it needs from now on
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
		var last *unsafe.Pointer // a chain of small blocks, until memory runs out
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
		// An extent is at most a quarter of the address space that was left (vm.Share), so a block
		// of a quarter of all need not fit where extents begin at 16 MiB.
		part := uintptr(4)
		if bits.UintSize == 32 {
			part = 8
		}
		p := h.AllocZeroed(layout(uintptr(n)*mib/part, 8))
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

	children["address space of many heaps"] = addressSpaceOfManyHeaps
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
		fmt.Printf("from %d KiB to %d, and back to %d after %v\n", start>>10, full>>10, resident()>>10,
			time.Since(freed))
		if full < start+50*mib {
			die("that is too little to show anything")
		}
	}
}

// dataSize returns what RLIMIT_DATA and strict overcommit count, in bytes.
func dataSize() uintptr {
	var f [6]uintptr
	text, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(text), &f[0], &f[1], &f[2], &f[3], &f[4], &f[5])
	}
	if err != nil {
		panic(err)
	}
	return f[5] * uintptr(os.Getpagesize())
}

// Memory that was returned to the system does not count against RLIMIT_DATA, wherever the blocks
// are that are left, and can be allocated again.
func TestReturnedMemoryIsNotCommitted(t *testing.T) {
	needPages(t)
	total := uintptr(1 << 30)
	if testing.Short() {
		total = 256 * mib
	}
	for name, c := range map[string]struct {
		size, kept uintptr            // bytes, blocks of 64
		free       func(h *heap.Heap) // or nil, if the decay frees
	}{
		"one block":          {total, 64, func(h *heap.Heap) { h.Trim() }},
		"blocks of 16 MiB":   {16 * mib, 64, func(h *heap.Heap) { h.Trim() }},
		"the last kept":      {16 * mib, 63, func(h *heap.Heap) { h.Trim() }},
		"the middle kept":    {16 * mib, 31, func(h *heap.Heap) { h.Trim() }},
		"small blocks":       {16 << 10, 64, func(h *heap.Heap) { h.Trim() }},
		"the last is small":  {16 << 10, 63, func(h *heap.Heap) { h.Trim() }},
		"without a call":     {16 * mib, 31, nil},
		"one, without call ": {total, 64, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, heap.Options{Decay: 20 * time.Millisecond})
			before := dataSize()
			l, n := layout(c.size, 8), total/c.size
			ps := make([]unsafe.Pointer, n)
			for round := range 2 {
				for i := range ps {
					ps[i] = h.AllocZeroed(l)
					if at := onlyByte(view(ps[i], 4096), 0); at >= 0 {
						t.Fatalf("byte %d of a zeroed block", at)
					}
					view(ps[i], c.size)[c.size/2] = 1
				}
				if d := dataSize() - before; d < total {
					t.Fatalf("%d bytes are committed", d)
				}
				keep := c.kept * n / 64
				for i, p := range ps {
					if uintptr(i) != keep {
						h.Dealloc(p, l)
					}
				}
				deadline := time.Now()
				if c.free != nil {
					c.free(h)
				} else {
					deadline = deadline.Add(10 * time.Second)
				}
				committed := func() int { return int(dataSize() - before) }
				for committed() > 96*mib && time.Now().Before(deadline) {
					time.Sleep(time.Millisecond)
				}
				if d := committed(); d > 96*mib {
					t.Errorf("round %d: %d MiB are committed still\n%v", round, d/mib, h.Stats())
				}
				if keep < n {
					h.Dealloc(ps[keep], l)
				}
			}
		})
	}
}

// The memory of holes does not count either, and the pages are zero when they are allocated again.
func TestHolesAreNotCommitted(t *testing.T) {
	needPages(t)
	h := open(t, heap.Options{Decay: -1})
	before := dataSize()
	const total, size, kept = 128 * mib, 64 << 10, 16 // bytes, bytes, one in
	l := layout(size, 8)
	ps := make([]unsafe.Pointer, total/size)
	for round := range 3 {
		for i := range ps {
			if ps[i] != nil {
				continue
			}
			ps[i] = h.AllocZeroed(l)
			if at := onlyByte(view(ps[i], size), 0); at >= 0 {
				t.Fatalf("byte %d of a zeroed block", at)
			}
			fill(view(ps[i], size), byte(i))
		}
		for i, p := range ps {
			if i%kept == round {
				continue
			}
			if at := onlyByte(view(p, size), byte(i)); at >= 0 {
				t.Fatalf("byte %d of block %d has changed", at, i)
			}
			h.Dealloc(p, l)
			ps[i] = nil
		}
		h.Trim()
		if d := dataSize() - before; d > total/4 { // kept, and committed ahead
			t.Errorf("round %d: %d MiB are committed still\n%v", round, d/mib, h.Stats())
		}
	}
	for _, p := range ps {
		if p != nil {
			h.Dealloc(p, l)
		}
	}
}

// What was never touched costs little: address space is no memory.
func TestMoreThanTheMachineHas(t *testing.T) {
	needPages(t)
	if bits.UintSize == 32 {
		t.Skip("no address space")
	}
	h := open(t, heap.Options{Overcommit: true})
	tib := uintptr(mib) << (bits.UintSize / 64 * 20) // a constant does not compile on 32 bits
	l := layout(tib, 8)
	b, err := h.Allocate(l)
	if err != nil {
		t.Skip(err)
	}
	b[5] = 1
	purges := h.Stats().Purges
	h.Deallocate(unsafe.Pointer(&b[0]), l)
	if s := h.Stats(); s.Footprint > 256*mib {
		t.Errorf("the footprint is %d MiB after the block was freed", s.Footprint/mib)
	}
	h.Trim()
	// Not in pieces, which takes seconds.
	if n := h.Stats().Purges - purges; n > 8 {
		t.Errorf("free and Trim took %d calls of the system", n)
	}
	if s := h.Stats(); s.Footprint > 2*mib {
		t.Errorf("%d KiB stay\n%v", s.Footprint>>10, s)
	}
}

// A block that is larger than the machine is refused, unless the heap or the system overcommits,
// and nothing changes.
func TestABlockLargerThanTheMachineIsRefused(t *testing.T) {
	needPages(t)
	tib := uintptr(mib) << (bits.UintSize / 64 * 20)
	text, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	if err != nil || text[0] != '0' || vm.IsPlausible(tib) || bits.UintSize == 32 {
		t.Skipf("the system has other rules, or a TiB: %s, %v", text, err)
	}
	h := open(t, heap.Options{})
	old := layout(mib, 8)
	b := galloc.Must(h.Allocate(old))
	p := unsafe.Pointer(&b[0])
	before := h.Stats()
	_, err = h.Allocate(layout(tib, 8))
	_, grown := h.Grow(p, old, layout(tib, 8))
	if !errors.Is(err, galloc.ErrSystem) || !errors.Is(grown, galloc.ErrSystem) || h.AllocZeroed(layout(tib, 8)) != nil ||
		h.Realloc(p, old, tib) != nil || h.Resize(p, old, tib) {
		t.Errorf("%v, %v", err, grown)
	}
	if s := h.Stats(); s.Footprint != before.Footprint || s.Reserved != before.Reserved || s.Live != before.Live {
		t.Errorf("the refusals have changed\n%vto\n%v", before, s)
	}
}
