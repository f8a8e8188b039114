package cache

import "math/bits"

// wheel is a hierarchical timing wheel (Varghese and Lauck 1987): the entries of a shard that have
// a deadline, by deadline. Time is counted in ticks. The deadline d of an entry and the current
// tick differ in some digits to the base 64. The highest of these is the level of the entry, and
// the digit of d there is its slot:
//
//	level = the number of the highest digit in which d and now differ, or 0
//	slot  = that digit of d
//
// So entries of a lower level are due earlier. A slot of level 0 is due when now has reached it. A
// slot of a higher level is moved to lower levels when now has reached its first tick. If a call
// ends in the middle of that, now stays there, so that the next call continues: only then is there
// an entry in the slot of a digit of now, above level 0.
//
// A tick is 2^27 ns, about an eighth of a second. Six levels reach all deadlines of 63 bits.
type wheel struct {
	now   int64 // in ticks
	count int   // of entries
	used  [levels]uint64
	slots [levels * slotsOfLevel]ref
}

const (
	tickBits     = 27
	levelBits    = 6
	levels       = 6
	slotsOfLevel = 1 << levelBits
	maxTick      = 1<<(levels*levelBits) - 1
)

// tickOf returns the first tick at which a deadline has passed, or the last tick.
func tickOf(deadline int64) int64 { return min((deadline-1)>>tickBits+1, maxTick) }

// add adds an entry.
func (w *wheel) add(r ref) {
	e := r.entry()
	d := max(tickOf(e.extra().deadline), w.now)
	level := 0
	if x := uint64(d ^ w.now); x != 0 {
		level = (bits.Len64(x) - 1) / levelBits
	}
	digit := uint32(d>>(level*levelBits)) % slotsOfLevel
	slot := uint32(level)*slotsOfLevel + digit
	head := &w.slots[slot]
	x := e.extra()
	x.prev, x.next, x.slot = 0, *head, slot
	if *head != 0 {
		head.entry().extra().prev = r
	}
	*head = r
	w.used[level] |= 1 << digit
	w.count++
}

// cut removes an entry.
func (w *wheel) cut(r ref) {
	e := r.entry()
	x := e.extra()
	if x.next != 0 {
		x.next.entry().extra().prev = x.prev
	}
	if x.prev != 0 {
		x.prev.entry().extra().next = x.next
	} else if w.slots[x.slot] = x.next; x.next == 0 {
		w.used[x.slot/slotsOfLevel] &^= 1 << (x.slot % slotsOfLevel)
	}
	x.slot = noSlot
	w.count--
}

// next returns an entry that is due at the tick to, and removes it. It moves up to *steps entries
// to lower levels. It returns 0 if there are no entries that are due, or *steps has become 0.
func (w *wheel) next(to int64, steps *int) ref {
	for *steps > 0 {
		level, slot := w.first()
		if level < 0 {
			w.now = max(w.now, to)
			return 0
		}
		// The first tick of the slot: the digits of now above it, and zeros below.
		shift := level * levelBits
		start := w.now>>(shift+levelBits)<<(shift+levelBits) | int64(slot)<<shift
		if start > to {
			// now may move, but not past a digit that would change the level of an entry: up to to,
			// no slot begins.
			w.now = max(w.now, to)
			return 0
		}
		w.now = max(w.now, start)
		r := w.slots[uint32(level)*slotsOfLevel+slot]
		w.cut(r)
		*steps--
		if level == 0 {
			return r
		}
		w.add(r)
	}
	return 0
}

// first returns the level and the slot that are due first, or a negative level.
func (w *wheel) first() (level int, slot uint32) {
	lowest := -1
	for l := levels - 1; l >= 0; l-- {
		if w.used[l] == 0 {
			continue
		}
		digit := uint32(w.now>>(l*levelBits)) % slotsOfLevel
		if l > 0 && w.used[l]&(1<<digit) != 0 {
			return l, digit // it is being moved
		}
		lowest = l
	}
	if lowest < 0 {
		return -1, 0
	}
	return lowest, uint32(bits.TrailingZeros64(w.used[lowest]))
}
