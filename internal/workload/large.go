package workload

import "github.com/galloc-go/galloc"

var mallocLarge = Workload{
	Name: "malloc-large", About: "zeroed buffers of many megabytes", Op: "a buffer replaced",
	Params: []Param{
		{"buffers", 20, 1, maxSlots, "buffers of each thread"},
		{"replacements", 300, 1, maxCount, "operations of each thread"},
		{"min", 5 << 20, 1, maxSize, "size of the smallest"},
		{"max", 25 << 20, 2, maxSize, "size of the largest"},
	},
	build: func(_ *gang, v values) job {
		threads := v.int("threads")
		least, span := v.size("min"), v.u64("max")-v.u64("min")+1
		buffers := make([][]slot, threads)
		for i := range buffers {
			buffers[i] = newSlots(v.int("buffers"))
		}
		return job{
			threads: threads,
			setup: func(t *thread) {
				for i := range buffers[t.id] {
					fillZeroed(t, &buffers[t.id][i], least+uintptr(t.rng.below(span)))
				}
			},
			run: func(t *thread) {
				mine := buffers[t.id]
				for range v.u64("replacements") {
					s := &mine[t.rng.below(uint64(len(mine)))]
					t.empty(s)
					fillZeroed(t, s, least+uintptr(t.rng.below(span)))
				}
				t.ops += v.u64("replacements")
			},
			clean: func(t *thread) { t.emptyAll(buffers[t.id]) },
		}
	},
}

// fillZeroed fills s, and reads and writes a byte of each 4096.
func fillZeroed(t *thread, s *slot, size uintptr) {
	l, _ := galloc.NewLayout(size, minAlign)
	p := t.getZeroed(size, l)
	for i := uintptr(0); i < size; i += 4096 {
		b := byteAt(p, i)
		if *b != 0 {
			panic(failf("byte %d of a zeroed block of %d bytes is %d", i, size, *b))
		}
		*b = 1
	}
	s.p, s.l = p, l
}
