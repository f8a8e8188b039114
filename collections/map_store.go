package collections

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// store keeps strings of bytes, packed one behind the other, which stay where they are until they are freed.
// A string is known by its handle, so that tables need no pointers:
//
//	handle = place << 8 | length           never 0
//	place  = chunk << 18 | offset in the chunk / 4
//
// The length is there so that nobody need look at the string to know it. 255 says that it is 255 or more, and stands in
// 8 bytes before the string. That is the whole record. Records have the sizes of recordSize, and freed ones wait in a list
// for each size, the handle of the next one in their first 8 bytes. Those above largeRecord are a chunk
// alone, of their own length. So nothing moves, and what is freed is used again for strings of about that length;
// it is given back to the allocator when all is.
type store struct {
	alloc  galloc.Allocator // nil is galloc.Global
	limit  uint64           // of places, or 0
	chunks []chunk          // on the Go heap, 24 bytes for each MiB; galloc.GoHeap sees it there
	spare  []uint32         // which of chunks are not there
	common int              // how many of chunks are not large: each is twice as long as the one before, up to 1 MiB

	current  int     // of chunks, where the next record comes from
	top, end uintptr // bytes of it: [top, end) is free

	freed []uint64 // for each size, the place of the first free record, or 0; nil before one is freed
	dead  []uint64 // handles of strings that are to be freed after the last iteration
}

type chunk struct {
	base  unsafe.Pointer
	size  uintptr
	large bool // of one record
}

const (
	lengthBits  = 8
	longLength  = 1<<lengthBits - 1
	offsetBits  = 18
	granule     = 4
	firstChunk  = 512
	lastChunk   = granule << offsetBits // 1 MiB
	smallRecord = 1 << 10
	largeRecord = 1 << 16
	minRecord   = 8
)

// recordSize returns how many bytes a record for a string of n bytes takes, and which list it belongs to when it is
// free: multiples of 4 up to 1 KiB, then 8 sizes for each doubling. The list of large ones is -1.
func recordSize(n int) (size uintptr, list int) {
	size = uintptr(n)
	if n >= longLength {
		size += 8
	}
	switch {
	case size <= smallRecord:
		size = max((size+granule-1)&^(granule-1), minRecord)
		return size, int(size / granule)
	case size <= largeRecord:
		lg := bits.Len(uint(size-1)) - 4 // sizes from 1<<(lg+3)+1 to 1<<(lg+4), in steps of 1<<lg
		steps := (size + 1<<lg - 1) >> lg
		return steps << lg, smallRecord/granule + (lg-7)*8 + int(steps) - 8
	}
	return size, -1
}

// lists is how many lists of free records there are.
const lists = smallRecord/granule + 6*8 + 1

// put stores a copy of s and returns its handle.
func (st *store) put(s string) (uint64, error) {
	size, list := recordSize(len(s))
	var place uint64
	switch {
	case list < 0:
		i, err := st.addChunk(size, true)
		if err != nil {
			return 0, err
		}
		place = uint64(i) << offsetBits
	case st.freed != nil && st.freed[list] != 0:
		place = st.freed[list]
		st.freed[list] = load64(st.at(place))
	default:
		if st.end-st.top < size {
			if err := st.nextChunk(size); err != nil {
				return 0, err
			}
		}
		place = uint64(st.current)<<offsetBits | uint64(st.top/granule)
		st.top += size
	}
	// SAFETY: the record has that size.
	b := unsafe.Slice((*byte)(st.at(place)), size)
	if len(s) < longLength {
		copy(b, s)
		return place<<lengthBits | uint64(len(s)), nil
	}
	binary.NativeEndian.PutUint64(b, uint64(len(s)))
	copy(b[8:], s)
	return place<<lengthBits | longLength, nil
}

func (st *store) at(place uint64) unsafe.Pointer {
	// SAFETY: places lie within their chunks.
	return unsafe.Add(st.chunks[place>>offsetBits].base, uintptr(place&(1<<offsetBits-1))*granule)
}

// get returns the string with that handle, as a view.
func (st *store) get(handle uint64) string {
	p, n := st.at(handle>>lengthBits), handle&longLength
	if n == longLength {
		return long(p)
	}
	// SAFETY: that is how put has made it.
	return unsafe.String((*byte)(p), n)
}

// is reports whether the string with that handle is s, given that they have the same length byte.
func (st *store) is(handle uint64, s string) bool {
	p := st.at(handle >> lengthBits)
	n := len(s)
	switch {
	case n-8 <= 8 && n >= 8: // without a call: two words, which may have bytes in common
		// SAFETY: both have n bytes.
		q := unsafe.Pointer(unsafe.StringData(s))
		return (load64(p)^load64(q))|(load64(unsafe.Add(p, n-8))^load64(unsafe.Add(q, n-8))) == 0
	case n < longLength:
		return unsafe.String((*byte)(p), n) == s
	}
	return long(p) == s
}

func long(p unsafe.Pointer) string {
	// SAFETY: as above.
	return unsafe.String((*byte)(unsafe.Add(p, 8)), load64(p))
}

// free gives back the string with that handle.
func (st *store) free(handle uint64) {
	place := handle >> lengthBits
	_, list := recordSize(len(st.get(handle)))
	if list < 0 {
		i := place >> offsetBits
		st.freeChunk(&st.chunks[i])
		st.spare = append(st.spare, uint32(i))
		return
	}
	if st.freed == nil {
		st.freed = make([]uint64, lists)
	}
	// SAFETY: each record has 8 bytes or more.
	binary.NativeEndian.PutUint64(unsafe.Slice((*byte)(st.at(place)), 8), st.freed[list])
	st.freed[list] = place
}

// drop frees a string: later, if there are iterations. They may come to it in a table that has been replaced, and their
// users may look at it still.
func (st *store) drop(handle uint64, iterations bool) {
	if iterations {
		st.dead = append(st.dead, handle)
		return
	}
	st.free(handle)
}

// bury frees what drop has left.
func (st *store) bury() {
	if st.dead == nil {
		return // several readers may come here at once
	}
	for _, handle := range st.dead {
		st.free(handle)
	}
	st.dead = nil
}

// nextChunk makes [top, end) a chunk that is not used yet, of size bytes or more. What was left of the one
// before is lost: less than the record that did not fit.
func (st *store) nextChunk(size uintptr) error {
	for i := st.current + 1; i < len(st.chunks); i++ { // after a reset, there may be some
		if c := &st.chunks[i]; c.base != nil && !c.large && c.size >= size {
			st.current, st.top, st.end = i, 0, c.size
			return nil
		}
	}
	usual := uintptr(lastChunk)
	if st.common < 11 {
		usual = firstChunk << st.common
	}
	i, err := st.addChunk(max(size, usual), false)
	if err != nil {
		return err
	}
	st.common++
	st.current, st.top, st.end = i, 0, st.chunks[i].size
	return nil
}

// addChunk allocates a chunk, and returns its index. Only large ones take the places of others: the common ones
// are used in the order of their indices.
func (st *store) addChunk(size uintptr, large bool) (int, error) {
	l, err := galloc.NewLayout(size, minRecord)
	if err != nil {
		return 0, err
	}
	if st.limit != 0 && uint64(len(st.chunks)) >= st.limit>>offsetBits && (!large || len(st.spare) == 0) {
		return 0, galloc.ErrUnsupported.For(l)
	}
	b, err := allocate(st.alloc, l)
	if err != nil {
		return 0, err
	}
	c := chunk{unsafe.Pointer(unsafe.SliceData(b)), size, large}
	if n := len(st.spare); large && n > 0 {
		i := int(st.spare[n-1])
		st.spare = st.spare[:n-1]
		st.chunks[i] = c
		return i, nil
	}
	if st.chunks == nil {
		st.chunks = append(st.chunks, chunk{}) // so that no place is 0
	}
	st.chunks = append(st.chunks, c)
	return len(st.chunks) - 1, nil
}

func (st *store) freeChunk(c *chunk) {
	if c.base != nil {
		l, _ := galloc.NewLayout(c.size, minRecord) // it exists
		deallocate(st.alloc, c.base, l)
		*c = chunk{}
	}
}

// reset frees all strings, and keeps the chunks that are not large.
func (st *store) reset() {
	for i := range st.chunks {
		if st.chunks[i].large {
			st.freeChunk(&st.chunks[i])
			st.spare = append(st.spare, uint32(i))
		}
	}
	st.current, st.top, st.end, st.freed, st.dead = 0, 0, 0, nil, nil
}

// release gives back all memory.
func (st *store) release() {
	for i := range st.chunks {
		st.freeChunk(&st.chunks[i])
	}
	*st = store{alloc: st.alloc, limit: st.limit}
}
