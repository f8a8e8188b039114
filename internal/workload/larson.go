package workload

import "github.com/galloc-go/galloc"

// larson is a server whose threads end and leave their blocks to the threads after them.
var larson = Workload{
	Name: "larson", About: "a server whose threads end and leave their blocks to the next",
	Op: "a block freed and replaced",
	Params: []Param{
		{"blocks", 5000, 1, maxSlots, "blocks of each thread"},
		{"min", 8, 2, maxSize, "size of the smallest"},
		{"max", 1000, 3, maxSize, "all sizes are less"},
		{"rounds", 20, 1, maxCount, "replacements of a generation, divided by blocks"},
		{"generations", 10, 1, 1 << 30, "successive threads"},
		{"sized", 0, 0, 1, "0: free without the layout, if the allocator can"},
	},
	build: func(g *gang, v values) job {
		threads, blocks := v.int("threads"), v.int("blocks")
		least, span := v.size("min"), v.u64("max")-v.u64("min")
		times := v.u64("rounds") * v.u64("blocks")
		slots := make([][]slot, threads) // each thread's part is a separate array
		for i := range slots {
			slots[i] = newSlots(blocks)
		}
		j := job{
			threads: threads, generations: v.int("generations"),
			prepare: func() { shuffledBlocks(g.threads[0], g.seed(-1), slots, least, span) },
			run: func(t *thread) {
				replaceAtRandom(t, slots[t.id], least, span, times)
				t.ops += times
			},
			clean: func(t *thread) { t.emptyAll(slots[t.id]) },
		}
		if v.u64("sized") == 0 {
			j.free = freeUnsized
		}
		return j
	},
}

// shuffledBlocks fills the slots, shuffles the blocks across them, and replaces each about four
// times.
func shuffledBlocks(t *thread, r rng, slots [][]slot, least uintptr, span uint64) {
	for _, part := range slots {
		for i := range part {
			t.fill(&part[i], least+uintptr(r.below(span)))
		}
	}
	per := uint64(len(slots[0]))
	n := per * uint64(len(slots))
	at := func(i uint64) *slot { return &slots[i/per][i%per] }
	for i := n - 1; i > 0; i-- {
		a, b := at(i), at(r.below(i+1))
		*a, *b = *b, *a
	}
	for range 4 * n {
		s := at(r.below(n))
		t.empty(s)
		t.fill(s, least+uintptr(r.below(span)))
	}
}

func replaceAtRandom(t *thread, slots []slot, least uintptr, span, times uint64) {
	r, n := t.rng, uint64(len(slots))
	for range times {
		s := &slots[r.below(n)]
		t.free(s.p, s.l)
		size := least + uintptr(r.below(span))
		l, _ := galloc.NewLayout(size, minAlign)
		p := t.get(size, l)
		*byteAt(p, 0) = byte(size)
		*byteAt(p, 1) = 'b'
		s.p, s.l = p, l
	}
	t.rng = r
}
