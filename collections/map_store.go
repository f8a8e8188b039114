package collections

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// store keeps strings of bytes, packed one behind the other, which stay where they are until they are freed.
// A string is known by its place, a number of 40 bits, so that tables need no pointers:
//
//	place = chunk << 18 | offset in the chunk / 4     never 0
//
// At its place a string has a record: its length, in 1 byte if it is less than 255, or else in 8 after a byte that
// says so; then its bytes. Records have the sizes of recordSize, and freed ones wait in a list for each size, the
// place of the next one in their first 8 bytes. Those above largeRecord are a chunk alone, of
// their own length. So nothing moves, and what is freed is used again for strings of about that length; it is
// given back to the allocator when all is.
type store struct {
	alloc  galloc.Allocator // nil is galloc.Global
	chunks []chunk          // on the Go heap, 24 bytes for each MiB; galloc.GoHeap sees it there
	spare  []uint32         // which of chunks are not there
	common int              // how many of chunks are not large: each is twice as long as the one before, up to 1 MiB

	current  int     // of chunks, where the next record comes from
	top, end uintptr // bytes of it: [top, end) is free

	freed []uint64 // for each size, the place of the first free record, or 0; nil before one is freed
}

type chunk struct {
	base  unsafe.Pointer
	size  uintptr
	large bool // of one record
}

const (
	placeBits   = 40
	offsetBits  = 18
	granule     = 4
	firstChunk  = 512
	lastChunk   = granule << offsetBits // 1 MiB
	maxChunks   = 1 << (placeBits - offsetBits)
	smallRecord = 1 << 10
	largeRecord = 1 << 16
	minRecord   = 8
	longLength  = 255
)

// recordSize returns how many bytes a record for a string of n bytes takes, and which list it belongs to when it is
// free: multiples of 4 up to 1 KiB, then 8 sizes for each doubling. The list of large ones is -1.
func recordSize(n int) (size uintptr, list int) {
	size = uintptr(n) + 1
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

// put stores s and returns its place.
func (st *store) put(s string) (uint64, error) {
	size, list := recordSize(len(s))
	if list < 0 {
		i, err := st.addChunk(size, true)
		if err != nil {
			return 0, err
		}
		place := uint64(i) << offsetBits
		st.write(place, s)
		return place, nil
	}
	if st.freed != nil && st.freed[list] != 0 {
		place := st.freed[list]
		st.freed[list] = binary.NativeEndian.Uint64(st.bytes(place, 8))
		st.write(place, s)
		return place, nil
	}
	if st.end-st.top < size {
		if err := st.nextChunk(size); err != nil {
			return 0, err
		}
	}
	place := uint64(st.current)<<offsetBits | uint64(st.top/granule)
	st.top += size
	st.write(place, s)
	return place, nil
}

// bytes returns the first n bytes of the record at place.
func (st *store) bytes(place uint64, n int) []byte {
	// SAFETY: there is a record at place, of n bytes or more.
	return unsafe.Slice((*byte)(st.at(place)), n)
}

func (st *store) at(place uint64) unsafe.Pointer {
	// SAFETY: places lie within their chunks.
	return unsafe.Add(st.chunks[place>>offsetBits].base, uintptr(place&(1<<offsetBits-1))*granule)
}

// write makes the record at place, which is large enough, one of s. s may lie in that record.
func (st *store) write(place uint64, s string) {
	if len(s) < longLength {
		b := st.bytes(place, 1+len(s))
		copy(b[1:], s)
		b[0] = byte(len(s))
		return
	}
	b := st.bytes(place, 9+len(s))
	copy(b[9:], s)
	b[0] = longLength
	binary.NativeEndian.PutUint64(b[1:], uint64(len(s)))
}

// get returns the string at place, which is a view.
func (st *store) get(place uint64) string {
	p := st.at(place)
	n := *(*byte)(p)
	if n < longLength {
		// SAFETY: that is how records are made; see write.
		return unsafe.String((*byte)(unsafe.Add(p, 1)), n)
	}
	length := binary.NativeEndian.Uint64(st.bytes(place, 9)[1:])
	// SAFETY: as above.
	return unsafe.String((*byte)(unsafe.Add(p, 9)), length)
}

// free gives back the record at place.
func (st *store) free(place uint64) {
	_, list := recordSize(len(st.get(place)))
	if list < 0 {
		i := place >> offsetBits
		st.freeChunk(&st.chunks[i])
		st.spare = append(st.spare, uint32(i))
		return
	}
	if st.freed == nil {
		st.freed = make([]uint64, lists)
	}
	binary.NativeEndian.PutUint64(st.bytes(place, 8), st.freed[list])
	st.freed[list] = place
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
	if len(st.chunks) >= maxChunks && !(large && len(st.spare) > 0) {
		return 0, galloc.ErrOutOfMemory.For(l)
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
	st.current, st.top, st.end, st.freed = 0, 0, 0, nil
}

// release gives back all memory.
func (st *store) release() {
	for i := range st.chunks {
		st.freeChunk(&st.chunks[i])
	}
	*st = store{alloc: st.alloc}
}
