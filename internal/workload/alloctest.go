package workload

import (
	"math/bits"

	"github.com/galloc-go/galloc"
)

var allocTest = Workload{
	Name: "alloc-test", About: "half-full tables of blocks, of which a few are popular", Op: "a block freed or allocated",
	Params: []Param{
		{"iterations", 2_000_000, 1, maxCount, "operations of each thread"},
		{"slots", 262_144, 16, maxSlots, "places for blocks of each thread"},
	},
	build: func(_ *gang, v values) job {
		threads := v.int("threads")
		tables := make([][]slot, threads)
		for i := range tables {
			tables[i] = newSlots(v.int("slots"))
		}
		levels := newLevels(v.u64("slots"))
		return job{
			threads: threads,
			setup: func(t *thread) {
				for i := range tables[t.id] {
					if t.rng.next()&1 == 1 {
						fillMarked(t, &tables[t.id][i])
					}
				}
			},
			run: func(t *thread) {
				sum := uint64(0)
				for range v.u64("iterations") {
					s := &tables[t.id][levels.choose(t.rng.next())]
					if s.p == nil {
						fillMarked(t, s)
						continue
					}
					for _, b := range bytesOf(s.p, s.size) {
						sum += uint64(b)
					}
					l, _ := galloc.NewLayout(s.size, minAlign)
					t.free(s.p, l)
					s.p = nil
				}
				t.ops += v.u64("iterations")
				t.sum = sum
			},
			clean: func(t *thread) { t.emptyAll(tables[t.id]) },
		}
	},
}

// fillMarked fills s with a block of 4 to 1024 bytes, small ones more often, each byte of which is its size.
func fillMarked(t *thread, s *slot) {
	k := bits.TrailingZeros64(t.rng.next() | 128)
	size := uintptr(8<<k) - uintptr(t.rng.below(4<<k))
	l, _ := galloc.NewLayout(size, minAlign)
	s.p, s.size = t.get(size, l), size
	setAll(bytesOf(s.p, size), byte(size))
}

// popularity is how often each level is chosen, in millionths; and, from its end to its front, how many of the slots are in it.
var popularity = [...]uint64{262_144, 393_216, 245_760, 81_920, 15_360, 1_536, 64}

// levels are the slots in order of popularity: few of them are chosen often.
type levels [len(popularity)]struct {
	below        uint64 // the level is chosen by 32 bits that are below this, and not below that of the one before it
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
