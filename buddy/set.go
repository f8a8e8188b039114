package buddy

import "math/bits"

// Two sets of numbers less than a bound, over words from the table. Both have room for one number
// more than the bound: the buddy of the last block may lie beyond the region, and is asked for.

// flat is a set that is asked for single numbers only.
type flat struct{ words []uint64 }

func flatWords(bound uintptr) int { return int(bound/64 + 1) }

// carve takes the words of s off table, which must be zero when s is used, and returns the rest.
func (s *flat) carve(table []uint64, bound uintptr) []uint64 {
	n := flatWords(bound)
	s.words = table[:n:n]
	return table[n:]
}

func (s *flat) has(i uintptr) bool { return s.words[i/64]>>(i%64)&1 != 0 }
func (s *flat) add(i uintptr)      { s.words[i/64] |= 1 << (i % 64) }
func (s *flat) remove(i uintptr)   { s.words[i/64] &^= 1 << (i % 64) }

// tree is a set that knows its least number. Level 0 has a bit for each number, and each higher
// level a bit for each word below that is not 0, up to a single word:
//
//	level[h+1] has bit w  ⇔  level[h].words[w] != 0
type tree struct {
	level  [maxLevels]flat
	levels int
}

const maxLevels = 6 // for 64^6 numbers, more than the 1<<maxOrders that there are at most

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

// add adds i. Where the word was not empty, what stands above is right already.
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

// remove removes i, and reports whether the set is empty now.
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

// first returns the least number of a set that is not empty.
func (t *tree) first() uintptr {
	var i uintptr
	for h := t.levels - 1; h >= 0; h-- {
		i = i*64 + uintptr(bits.TrailingZeros64(t.level[h].words[i]))
	}
	return i
}
