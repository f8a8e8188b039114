package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/engine"
)

// holds are the times of critical sections, in ns. They are upper bounds: each is the time of a
// call that enters the section, and so includes the work before and after the lock is held.
type holds struct {
	centrals []centralHold // by size
	span     float64       // pages: a span allocated or freed
	large    float64       // pages: a block of 40 to 256 KiB allocated or freed
	equip    float64       // the first allocation of a P after its cache was taken away
}

// A centralHold is for the centrals of one class. Allocating or freeing n blocks takes fixed +
// n*each, or fixed + n*inOrder if the blocks are freed in the order in which they were allocated.
type centralHold struct {
	size          uintptr
	fixed         float64
	each, inOrder float64
	batch         float64 // blocks per lock in the measurement, for the table
}

const (
	align  = 8
	trials = 7 // the least time counts: disturbances only lengthen it
)

func measureHolds() (holds, error) {
	var h holds
	for _, size := range []uintptr{16, 64, 256, 1024, 4096, 8192} {
		c, err := measureCentral(size)
		if err != nil {
			return h, err
		}
		h.centrals = append(h.centrals, c)
	}
	h.large = measureLarge()
	h.span = measureSpan(h.centralFor(8192).fixed)
	h.equip = measureEquip()
	return h, nil
}

// centralFor returns the hold that was measured for the closest size, by ratio.
func (h *holds) centralFor(size uintptr) centralHold {
	return slices.MinFunc(h.centrals, func(a, b centralHold) int {
		distance := func(c centralHold) float64 { return math.Abs(math.Log2(float64(c.size) / float64(size))) }
		return int(math.Copysign(1, distance(a)-distance(b)))
	})
}

// A bench is a heap for a measurement. It never releases memory by itself.
type bench struct {
	heap   *engine.Heap
	random *rand.Rand
	stats  engine.Stats
}

func newBench(checked bool) *bench {
	return &bench{heap: engine.New(engine.Config{Checked: checked, Decay: -1}), random: rand.New(rand.NewPCG(41, 41))}
}

// counts returns how often the locks of centrals and the lock of the pages were taken so far, and
// how many blocks were moved.
func (b *bench) counts() (centrals, pages, blocks float64) {
	b.heap.ReadStats(&b.stats)
	for _, c := range b.stats.Classes {
		centrals += float64(c.Locks)
		blocks += float64(c.Refilled + c.Flushed)
	}
	return centrals, float64(b.stats.PageLocks), blocks
}

// measureCentral measures a section for one block, on a heap without caches, and for a batch, on a
// heap with caches.
func measureCentral(size uintptr) (centralHold, error) {
	one, _, err := perLock(size, true, true, 0)
	if err != nil {
		return centralHold{}, err
	}
	call := fastCall(size)
	random, n, err := perLock(size, false, true, call)
	if err != nil {
		return centralHold{}, err
	}
	ordered, m, err := perLock(size, false, false, call)
	if err != nil {
		return centralHold{}, err
	}
	c := centralHold{size: size, fixed: one, batch: n}
	if n > 1 && m > 1 {
		c.each, c.inOrder = max((random-one)/(n-1), 0), max((ordered-one)/(m-1), 0)
		c.fixed = max(one-c.each, 0)
	}
	return c, nil
}

// fastCall returns the time of a call that needs only the cache.
func fastCall(size uintptr) float64 {
	b := newBench(false)
	defer b.heap.Close()
	const n = 20_000
	least := math.Inf(1)
	for range trials {
		start := time.Now()
		for range n {
			b.heap.Free(b.heap.Alloc(size, align), size, align)
		}
		least = min(least, float64(time.Since(start).Nanoseconds())/(2*n))
	}
	return least
}

// perLock returns the time of a visit to a central, with blocks freed in random order or not, and
// the number of blocks moved per visit. Every other block stays allocated, so that few spans are
// allocated or freed. call is the time of the call itself.
func perLock(size uintptr, checked, shuffled bool, call float64) (cost, batch float64, err error) {
	b := newBench(checked)
	defer b.heap.Close()
	n := int(min(4096, 8<<20/size))
	var stay, leave []unsafe.Pointer
	for range n {
		stay = append(stay, b.heap.Alloc(size, align))
		leave = append(leave, b.heap.Alloc(size, align))
	}
	defer func() {
		for _, p := range slices.Concat(stay, leave) {
			b.heap.Free(p, size, align)
		}
	}()
	cycle := func() {
		for _, p := range leave {
			b.heap.Free(p, size, align)
		}
		for i := range leave {
			leave[i] = b.heap.Alloc(size, align)
		}
	}
	cost = math.Inf(1)
	for trial := range 3 + trials {
		if shuffled {
			b.random.Shuffle(n, func(i, j int) { leave[i], leave[j] = leave[j], leave[i] })
		}
		locks, pages, blocks := b.counts()
		start := time.Now()
		cycle()
		took := float64(time.Since(start).Nanoseconds())
		locks1, pages1, blocks1 := b.counts()
		if trial < 3 {
			continue // magazines grow at first
		}
		if pages1-pages > (locks1-locks)/100 || locks1 == locks {
			return 0, 0, fmt.Errorf("blocks of %d bytes: %v visits to centrals and %v to the pages, "+
				"where there should be almost none: the heap has changed", size, locks1-locks, pages1-pages)
		}
		if c := (took - call*2*float64(n)) / (locks1 - locks); c < cost {
			cost, batch = c, (blocks1-blocks)/(locks1-locks)
		}
	}
	return max(cost, 0), batch, nil
}

// replace keeps 512 blocks alive, of sizes from size, and replaces them at random. It returns the
// least time per lock of the pages, without the time of the locks of the centrals, central each.
func replace(b *bench, size func() uintptr, central float64) float64 {
	defer b.heap.Close()
	const live, n = 512, 4000
	var blocks [live]unsafe.Pointer
	var sizes [live]uintptr
	next := make([]int, n)
	least := math.Inf(1)
	for trial := range 1 + trials {
		nextSizes := make([]uintptr, n)
		for i := range next {
			next[i], nextSizes[i] = b.random.IntN(live), size()
		}
		locks, pages, _ := b.counts()
		start := time.Now()
		for i, at := range next {
			if blocks[at] != nil {
				b.heap.Free(blocks[at], sizes[at], align)
			}
			sizes[at] = nextSizes[i]
			blocks[at] = b.heap.Alloc(sizes[at], align)
		}
		took := float64(time.Since(start).Nanoseconds())
		locks1, pages1, _ := b.counts()
		if trial > 0 {
			least = min(least, (took-central*(locks1-locks))/(pages1-pages))
		}
	}
	for i, p := range blocks {
		if p != nil {
			b.heap.Free(p, sizes[i], align)
		}
	}
	return max(least, 0)
}

func measureLarge() float64 {
	b := newBench(true) // so that nothing is stashed
	return replace(b, func() uintptr { return uintptr(40+b.random.IntN(217)) << 10 }, 0)
}

// measureSpan replaces blocks of 24 to 32 KiB. A span has few of them, so that spans are allocated
// and freed.
func measureSpan(central float64) float64 {
	b := newBench(true)
	return replace(b, func() uintptr { return uintptr(24+b.random.IntN(9)) << 10 }, central)
}

func measureEquip() float64 {
	b := newBench(false)
	stays := b.heap.Alloc(64, align)
	least := math.Inf(1)
	for range 100 {
		b.heap.Trim()
		start := time.Now()
		p := b.heap.Alloc(64, align)
		least = min(least, float64(time.Since(start).Nanoseconds()))
		b.heap.Free(p, 64, align)
	}
	b.heap.Free(stays, 64, align)
	b.heap.Close()
	return least
}
