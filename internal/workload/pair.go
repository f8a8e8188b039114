package workload

import "github.com/galloc-go/galloc"

var pair = Workload{
	Name: "pair", About: "one block allocated and freed, again and again", Op: "an allocation with its free",
	Params: pairParams,
	build: func(_ *gang, v values) job {
		size, times := v.size("size"), pairTimes(v)
		return job{
			threads: v.int("threads"),
			run: func(t *thread) {
				l, _ := galloc.NewLayout(size, minAlign)
				for range times {
					p := t.get(size, l)
					*byteAt(p, 0) = 1
					t.free(p, l)
				}
				t.ops += times
			},
		}
	},
}

var batch = Workload{
	Name: "batch", About: "many blocks of one size allocated, then freed in the same order",
	Op:     "an allocation with its free",
	Params: append(pairParams[:len(pairParams):len(pairParams)], Param{"count", 1000, 1, maxSlots, "blocks at a time"}),
	build: func(_ *gang, v values) job {
		size, rounds := v.size("size"), pairTimes(v)/v.u64("count")
		blocks := make([][]slot, v.int("threads"))
		for i := range blocks {
			blocks[i] = newSlots(v.int("count"))
		}
		return job{
			threads: v.int("threads"),
			run: func(t *thread) {
				mine := blocks[t.id]
				l, _ := galloc.NewLayout(size, minAlign)
				for range rounds {
					for i := range mine {
						p := t.get(size, l)
						*byteAt(p, 0) = 1
						mine[i].p = p
					}
					for i := range mine {
						t.free(mine[i].p, l)
					}
				}
				t.ops += rounds * v.u64("count")
			},
		}
	},
}

var pairParams = []Param{
	{"size", 64, 1, maxSize, "size of a block"},
	{"iterations", 5_000_000, 1, maxCount, "operations of each thread; from 32 KiB on, divided by size/16384"},
}

func pairTimes(v values) uint64 {
	n := v.u64("iterations")
	if size := v.u64("size"); size >= 32<<10 {
		n /= size / (16 << 10)
	}
	return n
}
