// Records: what is known about a run of pages. See engine.go for overview.

package engine

import (
	"math/bits"
	"unsafe"
)

// What a run of pages is.
const (
	kindNone  = iota // the record is not in use
	kindFree         // in a bin
	kindLarge        // a block of its own, handed out or stashed: see tag
	kindSpan         // blocks of one class
	kindHeld         // neither free nor handed out: being purged, lost, or on its way into another run
)

// A span is a run of pages of an extent, and what it is used for. It lives among the extent's records, apart from the pages; its
// length in units of 64 bytes depends on the number of blocks. Records are reused, but their memory always stays memory of records.
//
//	base == extent.base + page*pageSize
//	kind == kindSpan:  blocks == pages*pageSize / classes[class].size
//	                   free == number of set bits
//	                   bit i is set <=> block i is neither handed out nor in a magazine, 0 <= i < blocks
//	                   list == listNone <=> free == 0
//	                   list == listReady  =>  free*8 >= blocks; no longer after blocks have been taken, until none is left
type span struct {
	base       ref // address of the first page
	next, prev ref // of the list that it is in: a bin or a list of a central; prev is the tag of a kindLarge run
	extent     uint32
	page       uint32 // first page, counted from the extent's base
	pages      uint32
	shard      uint32 // that looks after its blocks; kindSpan
	kind       uint8
	class      uint8  // kindSpan
	list       uint8  // kindSpan
	units      uint8  // of this record
	blocks     uint16 // kindSpan
	free       uint16 // blocks; kindSpan
	hint       uint16 // no bit is set in the words below it
	bits       [4]uint64
}

const (
	unitSize     = 64
	recordHeader = unsafe.Offsetof(span{}.bits)
	maxWords     = (maxUnits*unitSize - recordHeader) / 8 // of a bitmap
)

// A ref is the address of something that is not Go memory, or 0. The garbage collector does not look at it, and storing it costs
// no write barrier. (In the port to Go memory, the memory is kept alive by internal/vm.)
type ref uintptr

//go:nosplit
func refOf(p unsafe.Pointer) ref { return ref(uintptr(p)) }

// pointer turns r back. It reads the bits as a pointer where they are, which vet can follow, rather than convert a number.
//
//go:nosplit
func (r *ref) pointer() unsafe.Pointer {
	// SAFETY: r holds what refOf was given: an address in a reservation of ours, or nil. It is not Go memory that could be freed.
	return *(*unsafe.Pointer)(unsafe.Pointer(r))
}

func (r *ref) span() *span { return (*span)(r.pointer()) }

func (s *span) ref() ref { return refOf(unsafe.Pointer(s)) }

// words returns the bitmap of a span.
func (s *span) words() []uint64 {
	// SAFETY: the record has been made with units enough for as many words: see class.units.
	return unsafe.Slice(&s.bits[0], (uint(s.blocks)+63)/64)
}

// end returns the page after the last.
func (s *span) end() uint32 { return s.page + s.pages }

// bytes returns the size of the run.
func (s *span) bytes() uintptr { return uintptr(s.pages) << pageShift }

// fill makes s a span of n blocks and sets the bits of all of them.
func (s *span) fill(n uint16) {
	s.blocks = n
	w := s.words()
	for i := range w {
		w[i] = ^uint64(0)
	}
	if tail := n % 64; tail != 0 {
		w[len(w)-1] = 1<<tail - 1
	}
	s.free, s.hint = n, 0
}

// take takes free blocks, lowest address first, until buf is full or the span is empty, and returns how many.
func (s *span) take(buf []ref) int {
	size := uintptr(classes[s.class&(classLimit-1)].size)
	words := s.words()
	base := uintptr(s.base)
	n := 0
	w := int(s.hint)
	for n < len(buf) && w < len(words) {
		word := words[w]
		first := uintptr(w) << 6
		for word != 0 && n < len(buf) {
			buf[n] = ref(base + (first+uintptr(bits.TrailingZeros64(word)))*size)
			word &= word - 1
			n++
		}
		words[w] = word
		if word != 0 {
			break
		}
		w++
	}
	s.hint = uint16(w)
	s.free -= uint16(n)
	return n
}

// put takes back blocks up to the first that is not in this span, or is no block of it that is handed out, and returns how many. Blocks that are
// freed together are often neighbours.
func (s *span) put(blocks []ref, k *class) int {
	size, recip := uintptr(k.size), uint64(k.recip)
	base, length := uintptr(s.base), uintptr(s.blocks)*size
	low := uintptr(s.hint)
	n := 0
	for n < len(blocks) {
		off := uintptr(blocks[n]) - base
		i := uintptr(uint64(off) * recip >> 32)
		if off >= length || i*size != off {
			break
		}
		// SAFETY: i < blocks, and a record has a word for every 64 of them.
		w := (*uint64)(unsafe.Add(unsafe.Pointer(&s.bits), i>>6<<3))
		bit := uint64(1) << (i & 63)
		word := *w
		if word&bit != 0 {
			break
		}
		*w = word | bit
		low = min(low, i>>6)
		n++
	}
	s.hint = uint16(low)
	s.free += uint16(n)
	return n
}

// A list is a doubly linked list of spans. The zero value is empty.
type list struct{ head ref }

func (l *list) push(s *span) {
	s.next, s.prev = l.head, 0
	if l.head != 0 {
		l.head.span().prev = s.ref()
	}
	l.head = s.ref()
}

func (l *list) remove(s *span) {
	if s.prev != 0 {
		s.prev.span().next = s.next
	} else {
		l.head = s.next
	}
	if s.next != 0 {
		s.next.span().prev = s.prev
	}
	s.next, s.prev = 0, 0
}
