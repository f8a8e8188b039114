package workload

import (
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

var allocTest = Workload{
	Name: "alloc-test", About: "half-full tables of blocks, a few of them popular", Op: "a block freed or allocated",
	Params: []Param{
		{"iterations", 2_000_000, 1, maxCount, "operations of each thread"},
		{"slots", 262_144, 16, maxSlots, "slots of each thread"},
	},
	build: func(_ *gang, v values) job {
		threads := v.int("threads")
		tables := newSizedTables(threads, v.int("slots"))
		levels := newLevels(v.u64("slots"))
		return job{
			threads: threads,
			setup: func(t *thread) {
				for i := range tables[t.id] {
					if t.rng.next()&1 == 1 {
						tables[t.id][i].fill(t, &t.rng)
					}
				}
			},
			run: func(t *thread) {
				table, r, sum := tables[t.id], t.rng, uint64(0)
				for range v.u64("iterations") {
					s := &table[levels.choose(r.next())]
					if s.p == nil {
						s.fill(t, &r)
						continue
					}
					for i := uintptr(0); i < s.size; i += 64 {
						sum += uint64(*byteAt(s.p, i))
					}
					s.empty(t)
				}
				t.rng = r
				t.ops += v.u64("iterations")
				t.sum = sum
			},
			clean: func(t *thread) { emptySized(t, tables[t.id]) },
		}
	},
}

// A sized is a slot with a size instead of a layout: there are many, and they take less of the
// cache.
type sized struct {
	p    unsafe.Pointer
	size uintptr
}

// fill fills s with a block of 4 to 1024 bytes, small ones more often, and clears it.
func (s *sized) fill(t *thread, r *rng) {
	k := bits.TrailingZeros64(r.next() | 128)
	size := uintptr(8<<k) - uintptr(r.below(4<<k))
	l, _ := galloc.NewLayout(size, minAlign)
	s.p, s.size = t.get(size, l), size
	clear(bytesOf(s.p, size))
}

func (s *sized) empty(t *thread) {
	l, _ := galloc.NewLayout(s.size, minAlign)
	t.free(s.p, l)
	s.p = nil
}

// popularity is how often each level is chosen, in millionths. Read backwards, it is the share of
// the slots in each level.
var popularity = [...]uint64{262_144, 393_216, 245_760, 81_920, 15_360, 1_536, 64}

// levels are the slots in order of popularity: a few are chosen often.
type levels [len(popularity)]struct {
	// The level is chosen by 32 bits below this, and not below the previous level's.
	below        uint64
	first, count uint64
}

func newLevels(slots uint64) (l levels) {
	last := len(l) - 1
	var sum, first uint64
	for k := range l {
		sum += popularity[k]
		l[k].below = sum << 32 / 1_000_000
		l[k].first = first
		l[k].count = max(slots*popularity[last-k]/1_000_000, 1)
		if k == last {
			l[k].below, l[k].count = 1<<32, slots-first
		}
		first += l[k].count
	}
	return l
}

func (l *levels) choose(r uint64) uint64 {
	k := 0
	for r>>32 >= l[k].below {
		k++
	}
	return l[k].first + r&(1<<32-1)*l[k].count>>32
}
