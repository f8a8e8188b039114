package workload

import (
	"errors"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

var slots = Workload{
	Name: "slots", About: "blocks of many sizes with random lifetimes, freed by their thread or by any",
	Op: "a block replaced",
	Params: []Param{
		{"slots", 1000, 1, maxSlots, "slots of each thread"},
		{"iterations", 1_000_000, 1, maxCount, "operations of each thread"},
		{"min", 16, 8, maxSize, "size of the smallest"},
		{"max", 2048, 16, maxSize, "no block is larger; sizes are divided evenly among the powers of two"},
		{"across", 0, 0, 1, "1: the threads share all slots"},
	},
	check: checkOctaves,
	build: func(_ *gang, v values) job {
		if v.u64("across") == 1 {
			return acrossJob(v)
		}
		sizes := newOctaves(v.u64("min"), v.u64("max"))
		tables := newSizedTables(v.int("threads"), v.int("slots"))
		return job{
			threads: v.int("threads"),
			setup: func(t *thread) {
				for i := range tables[t.id] {
					tables[t.id][i].put(t, sizes.draw(&t.rng))
				}
			},
			run: func(t *thread) {
				table, r := tables[t.id], t.rng
				for range v.u64("iterations") {
					s := &table[r.below(uint64(len(table)))]
					s.empty(t)
					s.put(t, sizes.draw(&r))
				}
				t.rng = r
				t.ops += v.u64("iterations")
			},
			clean: func(t *thread) { emptySized(t, tables[t.id]) },
		}
	},
}

// acrossJob is slots with across=1. The first word of a block is its size, since a thread knows
// nothing else of a block that it takes out of a slot.
func acrossJob(v values) job {
	sizes := newOctaves(v.u64("min"), v.u64("max"))
	each := v.int("slots")
	table := make([]unsafe.Pointer, v.int("threads")*each)
	clear(table) // as in newSlots
	put := func(t *thread, r *rng) unsafe.Pointer {
		size := sizes.draw(r)
		l, _ := galloc.NewLayout(size, minAlign)
		p := t.get(size, l)
		wordsOf(p, 1)[0] = uint64(size)
		touchPages(p, 4096, size)
		return p
	}
	take := func(t *thread, p unsafe.Pointer) {
		l, _ := galloc.NewLayout(uintptr(wordsOf(p, 1)[0]), minAlign)
		t.free(p, l)
	}
	return job{
		threads: v.int("threads"),
		setup: func(t *thread) {
			for i := range table[t.id*each : (t.id+1)*each] {
				table[t.id*each+i] = put(t, &t.rng)
			}
		},
		run: func(t *thread) {
			r := t.rng
			for range v.u64("iterations") {
				s := &table[r.below(uint64(len(table)))]
				take(t, atomic.SwapPointer(s, put(t, &r)))
			}
			t.rng = r
			t.ops += v.u64("iterations")
		},
		clean: func(t *thread) {
			for i := t.id * each; i < (t.id+1)*each; i++ {
				take(t, table[i])
			}
		},
	}
}

// put puts a block of size bytes into s, and touches its pages.
func (s *sized) put(t *thread, size uintptr) {
	l, _ := galloc.NewLayout(size, minAlign)
	s.p, s.size = t.get(size, l), size
	touchPages(s.p, 0, size)
}

// touchPages writes to each 4096th byte of a block from an offset on, and to its last byte. The
// first word may be its size.
func touchPages(p unsafe.Pointer, from, size uintptr) {
	for i := from; i < size; i += 4096 {
		*byteAt(p, i) = 1
	}
	if size > 8 {
		*byteAt(p, size-1) = 1
	}
}

// newSizedTables returns a table for each thread, which has been touched.
func newSizedTables(threads, slots int) [][]sized {
	tables := make([][]sized, threads)
	for i := range tables {
		tables[i] = make([]sized, slots)
		clear(tables[i]) // as in newSlots
	}
	return tables
}

func emptySized(t *thread, table []sized) {
	for i := range table {
		if s := &table[i]; s.p != nil {
			s.empty(t)
		}
	}
}

// octaves draws sizes from least to below least<<n, each power of two as often as another.
type octaves struct{ least, n uint64 }

func newOctaves(least, most uint64) octaves {
	o := octaves{least: least}
	for least<<(o.n+1) <= most {
		o.n++
	}
	return o
}

func (o octaves) draw(r *rng) uintptr {
	low := o.least << r.below(o.n)
	return uintptr(low + r.below(low))
}

// checkOctaves refuses a range of sizes without an octave.
func checkOctaves(v values) error {
	if v.u64("max") < 2*v.u64("min") {
		return errors.New("max must be at least twice min")
	}
	return nil
}
