package workload

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

var cacheScratch = Workload{
	Name: "cache-scratch", About: "false sharing, if parts of a line are reused by the thread that frees them",
	Op:     "a pass over a block",
	Params: cacheParams,
	build:  func(g *gang, v values) job { return falseSharing(g, v, true) },
}

var cacheThrash = Workload{
	Name: "cache-thrash", About: "false sharing, if blocks of several threads are on one line",
	Op:     "a pass over a block",
	Params: cacheParams,
	build:  func(g *gang, v values) job { return falseSharing(g, v, false) },
}

var cacheParams = []Param{
	{"size", 1, 1, maxSize, "size of a block"},
	{"iterations", 200, 1, maxCount, "blocks of each thread"},
	{"writes", 100_000, 0, maxCount, "passes over a block, divided by threads"},
}

// falseSharing returns the job of both. If inherited, each thread first frees a block that the main
// thread allocated.
func falseSharing(g *gang, v values, inherited bool) job {
	threads, size := v.int("threads"), v.size("size")
	passes := v.u64("writes") / uint64(threads)
	var first []slot
	var j job
	if inherited {
		first = newSlots(threads)
		j.prepare = func() {
			for i := range first {
				g.threads[0].fill(&first[i], size)
			}
		}
	}
	j.threads = threads
	j.run = func(t *thread) {
		if inherited {
			t.empty(&first[t.id])
		}
		l, _ := galloc.NewLayout(size, minAlign)
		for range v.u64("iterations") {
			p := t.get(size, l)
			pass(p, size, passes)
			t.free(p, l)
			t.ops += passes
		}
	}
	return j
}

// pass adds 1 to every byte of a block of at least 1 byte, times times. It is not inlined, so that
// the compiler knows nothing about the block. It steps by address, as the loop in C does after
// compilation: some processors hand a store on to the next load without a delay only if the address
// is plain, and not a base and an index.
//
//go:noinline
func pass(p unsafe.Pointer, size uintptr, times uint64) {
	for range times {
		q := p
		for left := size; ; q = unsafe.Add(q, 1) { // SAFETY: there is a byte at q, as left > 0
			*(*byte)(q)++
			if left--; left == 0 {
				break
			}
		}
	}
}
