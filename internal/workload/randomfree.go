package workload

var randomFree = Workload{
	Name: "random-free", About: "a large heap, freed in random order", Op: "a block allocated and freed",
	Params: []Param{
		{"blocks", 800_000, 1, maxSlots, "blocks of each thread"},
		{"min", 16, 8, maxSize, "size of the smallest"},
		{"max", 1024, 16, maxSize, "no block is larger; sizes are divided evenly among the powers of two"},
		{"rounds", 1, 1, maxCount, "times that all blocks are allocated and freed"},
	},
	check: checkOctaves,
	build: func(_ *gang, v values) job {
		sizes := newOctaves(v.u64("min"), v.u64("max"))
		tables := newSizedTables(v.int("threads"), v.int("blocks"))
		orders := make([][]uint32, v.int("threads"))
		for i := range orders {
			orders[i] = make([]uint32, v.int("blocks"))
		}
		return job{
			threads: v.int("threads"),
			setup: func(t *thread) {
				order := orders[t.id]
				for i := range order {
					order[i] = uint32(i)
				}
				for i := len(order) - 1; i > 0; i-- {
					j := t.rng.below(uint64(i + 1))
					order[i], order[j] = order[j], order[i]
				}
			},
			run: func(t *thread) {
				table, order, r := tables[t.id], orders[t.id], t.rng
				for range v.u64("rounds") {
					for i := range table {
						table[i].put(t, sizes.draw(&r))
					}
					for _, i := range order {
						table[i].empty(t)
					}
				}
				t.rng = r
				t.ops += v.u64("rounds") * uint64(len(table))
			},
			clean: func(*thread) {},
		}
	},
}
