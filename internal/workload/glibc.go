package workload

import "github.com/galloc-go/galloc"

var glibcSimple = Workload{
	Name: "glibc-simple", About: "small blocks of one size, freed half in order and half in reverse",
	Op: "a block allocated and freed",
	Params: []Param{
		{"size", 32, 2, maxSize / 2, "size of a block; half and twice the size are used, too"},
		{"total", 400_000, 1, maxCount, "blocks of each size, for each number of live blocks"},
	},
	build: func(_ *gang, v values) job {
		threads := v.int("threads")
		blocks := make([][]slot, threads)
		for i := range blocks {
			blocks[i] = newSlots(int(glibcNumbers[len(glibcNumbers)-1]))
		}
		return job{
			threads: threads,
			run: func(t *thread) {
				size := v.size("size")
				for _, s := range [...]uintptr{size / 2, size, size * 2} {
					for _, n := range glibcNumbers {
						rounds := v.u64("total") / n
						for range rounds {
							halfAndHalf(t, blocks[t.id][:n], s)
						}
						t.ops += rounds * n
					}
				}
			},
		}
	},
}

var glibcNumbers = [...]uint64{25, 100, 400, 1600}

func halfAndHalf(t *thread, blocks []slot, size uintptr) {
	l, _ := galloc.NewLayout(size, minAlign)
	for i := range blocks {
		p := t.get(size, l)
		clear(bytesOf(p, size))
		blocks[i].p = p
	}
	half := len(blocks) / 2
	for i := range half {
		t.free(blocks[i].p, l)
	}
	for i := len(blocks) - 1; i >= half; i-- {
		t.free(blocks[i].p, l)
	}
}

var glibcThread = Workload{
	Name: "glibc-thread", About: "a working set of each thread, mostly small", Op: "a block replaced",
	Params: []Param{
		{"iterations", 1_000_000, 1, maxCount, "operations of each thread"},
		{"slots", 1024, 1, maxSlots, "blocks of each thread"},
	},
	build: func(g *gang, v values) job {
		threads := v.int("threads")
		tables := make([][]slot, threads)
		for i := range tables {
			tables[i] = newSlots(v.int("slots"))
		}
		sizes := glibcSizes(g.seed(-1))
		return job{
			threads: threads,
			run: func(t *thread) {
				slots, r := tables[t.id], t.rng
				for range v.u64("iterations") {
					s := &slots[r.below(uint64(len(slots)))]
					if s.p != nil {
						t.free(s.p, s.l)
					}
					size := sizes[r.below(uint64(len(sizes)))]
					l, _ := galloc.NewLayout(size, minAlign)
					s.p, s.l = t.get(size, l), l
					for k := uintptr(0); k < size; k += 64 {
						*byteAt(s.p, k) = 1
					}
				}
				t.rng = r
				t.ops += v.u64("iterations")
			},
			clean: func(t *thread) { t.emptyAll(tables[t.id]) },
		}
	},
}

// glibcSizes returns sizes from 4 to 32768, each half as frequent as one of half the size.
func glibcSizes(r rng) *[8000]uintptr {
	var sizes [8000]uintptr
	const smallest, largest = 4, 32768
	for i := range sizes {
		u := float64(r.next()>>11) / (1 << 53)
		// The conversion prevents fusing.
		sizes[i] = uintptr(1 / (1.0/smallest - float64(u*(1.0/smallest-1.0/largest))))
	}
	return &sizes
}
