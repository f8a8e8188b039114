package buddy

import "math/bits"

// Two sets of numbers below a bound, in words of the table. Both have room for one more number,
// because has is called for the buddy of the last block, which may be past the region.

// flat is a bitmap.
type flat struct{ words []uint64 }

func flatWords(bound uintptr) int { return int(bound/64 + 1) }

// carve uses the first words of table for s and returns the rest. The words must be zero before s
// is used.
func (s *flat) carve(table []uint64, bound uintptr) []uint64 {
	n := flatWords(bound)
	s.words = table[:n:n]
	return table[n:]
}

func (s *flat) has(i uintptr) bool { return s.words[i/64]>>(i%64)&1 != 0 }
func (s *flat) add(i uintptr)      { s.words[i/64] |= 1 << (i % 64) }
func (s *flat) remove(i uintptr)   { s.words[i/64] &^= 1 << (i % 64) }

// tree is a set that finds its lowest number. Level 0 has a bit for each number, and each higher
// level has a bit for each nonzero word of the level below, up to a single word:
//
//	level[h+1] has bit w  ⇔  level[h].words[w] != 0
type tree struct {
	level  [maxLevels]flat
	levels int
}

const maxLevels = 6 // enough for 64^6 numbers, more than 1<<maxOrders

func treeWords(bound uintptr) int {
	words := 0
	for {
		n := flatWords(bound)
		words += n
		if n == 1 {
			return words
		}
		bound = uintptr(n)
	}
}

func (t *tree) carve(table []uint64, bound uintptr) []uint64 {
	for t.levels = 0; ; {
		s := &t.level[t.levels]
		table = s.carve(table, bound)
		t.levels++
		if len(s.words) == 1 {
			return table
		}
		bound = uintptr(len(s.words))
	}
}

func (t *tree) has(i uintptr) bool { return t.level[0].has(i) }

// add adds i. If the word was nonzero, the levels above are already correct.
func (t *tree) add(i uintptr) {
	for h := range t.levels {
		w := &t.level[h].words[i/64]
		was := *w
		*w = was | 1<<(i%64)
		if was != 0 {
			return
		}
		i /= 64
	}
}

// remove removes i and reports whether the set is now empty.
func (t *tree) remove(i uintptr) bool {
	for h := range t.levels {
		w := &t.level[h].words[i/64]
		*w &^= 1 << (i % 64)
		if *w != 0 {
			return false
		}
		i /= 64
	}
	return true
}

// first returns the lowest number. The set must not be empty.
func (t *tree) first() uintptr {
	var i uintptr
	for h := t.levels - 1; h >= 0; h-- {
		i = i*64 + uintptr(bits.TrailingZeros64(t.level[h].words[i]))
	}
	return i
}
