package workload

import "github.com/galloc-go/galloc"

var growth = Workload{
	Name: "growth", About: "vectors that double by realloc, among short strings", Op: "a step of a vector and a string replaced",
	Params: []Param{
		{"vectors", 1000, 1, maxSlots, "vectors of each thread, and strings"},
		{"iterations", 1_000_000, 1, maxCount, "operations of each thread"},
		{"min", 16, 8, maxSize, "a vector begins with this size to twice as much"},
		{"max", 65536, 16, maxSize, "no vector grows beyond"},
	},
	check: checkOctaves,
	build: func(_ *gang, v values) job {
		least := v.u64("min")
		limits, lengths := newOctaves(least, v.u64("max")), newOctaves(16, 1024)
		vectors := make([][]vector, v.int("threads"))
		for i := range vectors {
			vectors[i] = make([]vector, v.int("vectors"))
			clear(vectors[i]) // as in newSlots
		}
		texts := newSizedTables(v.int("threads"), v.int("vectors"))
		return job{
			threads: v.int("threads"),
			setup: func(t *thread) {
				for i := range texts[t.id] {
					texts[t.id][i].put(t, lengths.draw(&t.rng))
				}
			},
			run: func(t *thread) {
				mine, strings, r := vectors[t.id], texts[t.id], t.rng
				for range v.u64("iterations") {
					switch w := &mine[r.below(uint64(len(mine)))]; {
					case w.p == nil:
						w.limit = limits.draw(&r)
						w.put(t, uintptr(least+r.below(least)))
					case 2*w.size <= w.limit:
						w.double(t)
					default:
						w.empty(t)
					}
					s := &strings[r.below(uint64(len(strings)))]
					s.empty(t)
					s.put(t, lengths.draw(&r))
				}
				t.rng = r
				t.ops += v.u64("iterations")
			},
			clean: func(t *thread) {
				emptySized(t, texts[t.id])
				for i := range vectors[t.id] {
					if w := &vectors[t.id][i]; w.p != nil {
						w.empty(t)
					}
				}
			},
		}
	},
}

// A vector grows up to its limit.
type vector struct {
	sized
	limit uintptr
}

// double doubles the size of v.
func (v *vector) double(t *thread) {
	l, _ := galloc.NewLayout(v.size, minAlign)
	v.p = t.resize(v.p, l, 2*v.size)
	touchPages(v.p, v.size, 2*v.size)
	v.size *= 2
}
