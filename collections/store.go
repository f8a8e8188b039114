package collections

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// store holds texts off the Go heap: the keys of a StringMap, the keys and values of a TextMap, the
// strings of an Interner. It is a log: put appends records to chunks, without gaps.
//
//	record = header, key                    or, with pairs:  header, key, header, value
//	header = length, in 1 byte below 126; or 126 and 2 bytes; or 127 and 8 bytes
//
// The highest bit of a record is set if it is dead. A handle identifies a record, so that tables
// need no pointers:
//
//	handle = chunk << 20 | offset in the chunk          never 0, less than 2^42
//
// There are no lists of free records. A chunk without live records is freed at once. When the
// chunks take more than twice the live bytes, tidy evacuates the chunk with the smallest live part:
// it moves the live records to the end of the log, and the owner of the store looks up each key to
// change its handle. If the last chunk is full, the evacuated chunk becomes the last one, and its
// records move to its front. So tidy never allocates. It moves at most as many bytes as were freed,
// and leaves
//
//	held <= 2*live + about a chunk
//
// A long record has its own chunk, which never has dead bytes. If the owner frees nothing, as an
// Interner does, nothing moves.
type store struct {
	alloc   galloc.Allocator // nil means galloc.Global
	pairs   bool             // records have values
	chunks  []chunk          // on the Go heap, 40 bytes each; chunks[0] has no memory
	spare   []uint32         // the other chunks without memory
	idle    []uint32         // the empty chunks that reset kept
	guard   guard
	current int // the last chunk of the log, or 0

	held  uintptr // the sum of size of all chunks that are not idle
	live  uintptr // the sum of live of all chunks
	freed uintptr // the bytes freed, and the sizes of chunks opened, since tidy last ran

	// Removed records that may still be read.
	last    uint64   // until the next change, or 0
	removed []uint64 // until the last iteration ends
}

// locator returns where the owner of a store keeps the handle of the record with that key: the
// lower bits of a word.
type locator func(key string, handle uint64) *uint64

// chunk is a block of records:
//
//	live <= top <= size
//	the records are in [0, top); live is the sum of the sizes of the live ones
type chunk struct {
	base            unsafe.Pointer
	size, top, live uintptr
	alone           bool // the chunk of one long record
}

const (
	offsetBits = 20
	offsetMask = 1<<offsetBits - 1
	handleBits = 42
	handleMask = 1<<handleBits - 1

	firstChunk = 512
	lastChunk  = 1 << offsetBits // 1 MiB
	chunkAlign = 8

	// A record has its own chunk if it is longer than maxRecord, or longer than minAlone and a
	// quarter of the next chunk.
	maxRecord = 1 << 16
	minAlone  = 256

	deadBit = 0x80
	length2 = 126 // the length is in the next 2 bytes
	length8 = 127 // the length is in the next 8 bytes
)

// maxChunks is the maximum length of store.chunks. Tests lower it.
var maxChunks = 1 << (handleBits - offsetBits)

// headerSize returns the size of the header of a text of n bytes.
func headerSize(n int) uintptr {
	switch {
	case n < length2:
		return 1
	case n <= math.MaxUint16:
		return 3
	}
	return 9
}

// putText writes s with its header to p and returns the number of bytes. (The address after them
// may be past the end of the chunk, where no pointer may point.)
func putText(p unsafe.Pointer, s string) uintptr {
	n := headerSize(len(s))
	// SAFETY: the caller has n + len(s) bytes at p.
	b := unsafe.Slice((*byte)(p), n+uintptr(len(s)))
	switch n {
	case 1:
		b[0] = byte(len(s))
	case 3:
		b[0] = length2
		binary.NativeEndian.PutUint16(b[1:], uint16(len(s)))
	default:
		b[0] = length8
		binary.NativeEndian.PutUint64(b[1:], uint64(len(s)))
		block.Copy(unsafe.Pointer(&b[n]), unsafe.Pointer(unsafe.StringData(s)), uintptr(len(s)))
		return uintptr(len(b))
	}
	copy(b[n:], s)
	return uintptr(len(b))
}

// textAt returns the text whose header is at p, as a view.
func textAt(p unsafe.Pointer) string {
	// SAFETY: putText has written the header and the text.
	n := *(*byte)(p) &^ deadBit
	if n == 0 {
		return "" // the byte after the header may be past the end of the chunk
	}
	if n < length2 {
		return unsafe.String((*byte)(unsafe.Add(p, 1)), n)
	}
	return longTextAt(p)
}

func longTextAt(p unsafe.Pointer) string {
	// SAFETY: as above.
	if *(*byte)(p)&^deadBit == length2 {
		n := binary.NativeEndian.Uint16((*[2]byte)(unsafe.Add(p, 1))[:])
		return unsafe.String((*byte)(unsafe.Add(p, 3)), n)
	}
	return unsafe.String((*byte)(unsafe.Add(p, 9)), load64(unsafe.Add(p, 1)))
}

// textSize returns the size of a text with its header.
func textSize(n int) uintptr { return headerSize(n) + uintptr(n) }

// sizeAt returns the size of the record at p.
func (st *store) sizeAt(p unsafe.Pointer) uintptr {
	n := textSize(len(textAt(p)))
	if st.pairs {
		n += textSize(len(textAt(unsafe.Add(p, n))))
	}
	return n
}

func (st *store) at(handle uint64) unsafe.Pointer {
	// SAFETY: the offset of a handle is within its chunk.
	return unsafe.Add(st.chunks[handle>>offsetBits].base, uintptr(handle&offsetMask))
}

// get returns the key of a record, as a view.
func (st *store) get(handle uint64) string { return textAt(st.at(handle)) }

// value returns the value of a record, as a view.
func (st *store) value(handle uint64) string {
	return st.valueAfter(handle, len(st.get(handle)))
}

// valueAfter is value for a record whose key has n bytes.
func (st *store) valueAfter(handle uint64, n int) string {
	return textAt(unsafe.Add(st.at(handle), textSize(n)))
}

// is reports whether the key of a live record is s.
func (st *store) is(handle uint64, s string) bool {
	p, n := st.at(handle), len(s)
	// SAFETY: a record whose length is n has n bytes after its header, and so does s.
	if n < length2 {
		if *(*byte)(p) != byte(n) {
			return false
		}
		if n == 0 {
			return true // as in textAt
		}
		p = unsafe.Add(p, 1)
		if n-8 <= 8 && n >= 8 { // two words, which may overlap: faster than a call
			q := unsafe.Pointer(unsafe.StringData(s))
			return (load64(p)^load64(q))|(load64(unsafe.Add(p, n-8))^load64(unsafe.Add(q, n-8))) == 0
		}
		return unsafe.String((*byte)(p), n) == s
	}
	return textAt(p) == s
}

// put adds a record and returns its handle. No record moves, so key and value may be views of st.
// If there is no memory for a chunk, the record gets its own. If put fails, st is unchanged.
func (st *store) put(key, value string) (uint64, error) {
	handle, err := st.add(key, value)
	if err == nil {
		return handle, nil
	}
	i, err := st.addChunk(st.recordSize(key, value), true)
	if err != nil {
		return 0, err
	}
	return st.write(i, key, value), nil
}

// recordSize returns the size of a record. (On 32 bits the sum may overflow an uintptr.)
func (st *store) recordSize(key, value string) uint64 {
	n := uint64(textSize(len(key)))
	if st.pairs {
		n += uint64(textSize(len(value)))
	}
	return n
}

// add is put that fails if there is no memory for a chunk.
func (st *store) add(key, value string) (uint64, error) {
	n, i := st.recordSize(key, value), st.current
	if len(st.chunks) == 0 || uint64(st.room()) < n {
		var err error
		if i, err = st.open(n); err != nil {
			return 0, err
		}
	}
	return st.write(i, key, value), nil
}

// write adds a record to chunk i, which has room for it.
func (st *store) write(i int, key, value string) uint64 {
	st.guard.begin()
	c := &st.chunks[i]
	handle := uint64(i)<<offsetBits | uint64(c.top)
	n := putText(unsafe.Add(c.base, c.top), key)
	if st.pairs {
		n += putText(unsafe.Add(c.base, c.top+n), value)
	}
	c.top += n
	c.live += n
	st.live += n
	st.guard.end()
	return handle
}

// overwrite replaces the value of a record if the new one has the same length, and reports whether
// it did.
func (st *store) overwrite(handle uint64, value string) bool {
	old := st.value(handle)
	if len(old) != len(value) {
		return false
	}
	// SAFETY: the bytes of old are st's. value may overlap them.
	block.Copy(unsafe.Pointer(unsafe.StringData(old)), unsafe.Pointer(unsafe.StringData(value)), uintptr(len(old)))
	return true
}

// room returns the number of free bytes in the last chunk.
func (st *store) room() uintptr {
	c := &st.chunks[st.current]
	return c.size - c.top
}

// open returns a chunk with room for a record of n bytes. It becomes the last chunk, and the rest
// of the previous one is lost, unless the record gets its own chunk.
func (st *store) open(n uint64) (int, error) {
	for k, i := range st.idle {
		if c := &st.chunks[i]; uint64(c.size) >= n {
			st.idle = slices.Delete(st.idle, k, k+1)
			st.held += c.size
			st.setLast(int(i))
			return st.current, nil
		}
	}
	// The next chunk is at least as long as all chunks before it.
	size := uint64(lastChunk)
	if st.held < lastChunk {
		size = max(firstChunk, uint64(1)<<bits.Len64(uint64(st.held)))
	}
	alone := n > maxRecord || n > max(minAlone, size/4)
	if alone {
		size = n
	}
	i, err := st.addChunk(size, alone)
	for least := max(n, size/16); err != nil && size/2 >= least; {
		size /= 2
		i, err = st.addChunk(size, alone)
	}
	if err == nil && !alone {
		st.setLast(i)
	}
	return i, err
}

// setLast makes chunk i the last one. The next tidy looks at the previous one, unless that is
// empty.
func (st *store) setLast(i int) {
	was := st.current
	st.current = i
	st.freed += st.chunks[i].size
	if c := &st.chunks[was]; was != i && c.base != nil && c.live == 0 {
		st.held -= c.size
		st.freeChunk(was)
	}
}

// reserve makes room for n bytes of records, at most lastChunk, in an empty store.
func (st *store) reserve(n uintptr) error {
	i, err := st.addChunk(uint64(min(n, lastChunk)), false)
	if err == nil {
		st.current = i
	}
	return err
}

// addChunk allocates a chunk and returns its index.
func (st *store) addChunk(size uint64, alone bool) (int, error) {
	// On 32 bits, a size that is not an uintptr is too large for every Layout too.
	l, err := galloc.NewLayout(uintptr(min(size, math.MaxUint)), chunkAlign)
	if err != nil {
		return 0, err
	}
	if len(st.spare) == 0 && len(st.chunks) >= maxChunks {
		return 0, galloc.ErrUnsupported.For(l)
	}
	b, err := allocate(st.alloc, l)
	if err != nil {
		return 0, err
	}
	if len(st.chunks) == 0 {
		st.chunks = append(st.chunks, chunk{}) // so that no handle is 0
	}
	c := chunk{base: unsafe.Pointer(unsafe.SliceData(b)), size: uintptr(size), alone: alone}
	st.held += c.size
	if n := len(st.spare); n > 0 {
		i := int(st.spare[n-1])
		st.spare = st.spare[:n-1]
		st.chunks[i] = c
		return i, nil
	}
	st.chunks = append(st.chunks, c)
	return len(st.chunks) - 1, nil
}

// freeChunk frees the memory of chunk i.
func (st *store) freeChunk(i int) {
	c := &st.chunks[i]
	l, _ := galloc.NewLayout(c.size, chunkAlign) // no error: the chunk has it
	deallocate(st.alloc, c.base, l)
	*c = chunk{}
	st.spare = append(st.spare, uint32(i))
}

// free makes a record dead.
func (st *store) free(handle uint64) {
	st.guard.begin()
	i, p := int(handle>>offsetBits), st.at(handle)
	n := st.sizeAt(p)
	*(*byte)(p) |= deadBit
	c := &st.chunks[i]
	c.live -= n
	st.live -= n
	st.freed += n
	st.guard.end()
	if c.live > 0 {
		return
	}
	if i == st.current {
		c.top = 0
		return
	}
	st.held -= c.size
	st.freeChunk(i)
}

// drop frees a record, but keeps it until bury if there are iterations: they may find it in an old
// table, and their callers may still read it.
func (st *store) drop(handle uint64, iterations bool) {
	if iterations {
		st.removed = append(st.removed, handle)
		return
	}
	st.free(handle)
}

// dropNext frees a record at the next call of bury, which comes with the next change.
func (st *store) dropNext(handle uint64) { st.last = handle }

// bury frees the records that drop and dropNext keep. No iteration may be running.
func (st *store) bury() {
	if st.last != 0 {
		st.free(st.last)
		st.last = 0
	}
	for _, handle := range st.removed {
		st.free(handle)
	}
	st.removed = nil
}

// tidy moves records until the chunks take at most twice the live records and about a chunk. It is
// called after put and free, when no iteration is running and bury has been called.
func (st *store) tidy(locate locator) {
	if st.freed == 0 || st.freed < st.chunks[st.current].size/32+uintptr(len(st.chunks))*32 {
		return // so that the search of the chunks costs less than the bytes freed
	}
	st.freed = 0
	if c := &st.chunks[st.current]; c.top-c.live >= c.size/2 && c.size > 0 {
		st.evacuate(st.current, locate)
	}
	for st.held > 2*st.live+st.chunks[st.current].size/2 {
		i := st.victim()
		if i == 0 {
			return
		}
		st.evacuate(i, locate)
	}
}

// reclaim makes room for a record of n bytes by moving records, and reports whether it could. It is
// called if there is no memory for a chunk.
func (st *store) reclaim(n uintptr, locate locator) bool {
	if len(st.chunks) == 0 {
		return false
	}
	for {
		if c := &st.chunks[st.current]; c.top > c.live && c.size-c.live >= n {
			st.evacuate(st.current, locate)
		}
		if st.room() >= n {
			return true
		}
		best := 0
		for i := range st.chunks {
			if c := &st.chunks[i]; i != st.current && c.top > c.live && (best == 0 || c.top-c.live > st.chunks[best].top-st.chunks[best].live) {
				best = i
			}
		}
		if best == 0 {
			return false
		}
		st.evacuate(best, locate)
	}
}

// victim returns the chunk to evacuate next, or 0: the chunk with the smallest live part, at most
// half, other than the last chunk. It has dead records or fits into the last chunk, so that
// evacuating it makes progress.
func (st *store) victim() (best int) {
	room := st.room()
	for i := range st.chunks {
		c := &st.chunks[i]
		if c.live == 0 || i == st.current || c.size < 2*c.live || c.top == c.live && c.live > room {
			continue // free, idle, or not worth it
		}
		if b := &st.chunks[best]; best == 0 || uint64(c.live)*uint64(b.size) < uint64(b.live)*uint64(c.size) {
			best = i
		}
	}
	return best
}

// evacuate moves the live records of chunk i to the last chunk and frees chunk i. If they do not
// fit, the others move to the front of chunk i, which becomes the last chunk.
func (st *store) evacuate(i int, locate locator) {
	from := &st.chunks[i]
	end, inPlace := from.top, false
	startInPlace := func() {
		from.top, from.live, inPlace = 0, 0, true
		st.setLast(i)
	}
	if i == st.current {
		startInPlace()
	}
	for at := uintptr(0); at < end; {
		// SAFETY: the records in [at, end) have not moved.
		p := unsafe.Add(from.base, at)
		n := st.sizeAt(p)
		if *(*byte)(p)&deadBit != 0 {
			at += n
			continue
		}
		// The entry is located before the bytes are overwritten.
		ref := locate(textAt(p), uint64(i)<<offsetBits|uint64(at))
		if !inPlace && st.room() < n {
			startInPlace()
		}
		to := &st.chunks[st.current]
		handle := uint64(st.current)<<offsetBits | uint64(to.top)
		block.Copy(unsafe.Add(to.base, to.top), p, n)
		to.top += n
		to.live += n
		*ref = *ref&^handleMask | handle
		at += n
	}
	if !inPlace {
		st.held -= from.size
		st.freeChunk(i)
	}
}

// reset frees all records. It keeps the chunks, but not a chunk of one record.
func (st *store) reset() {
	st.idle = st.idle[:0]
	for i := range st.chunks {
		switch c := &st.chunks[i]; {
		case c.base == nil:
		case c.alone:
			st.freeChunk(i)
		default:
			c.top, c.live = 0, 0
			st.idle = append(st.idle, uint32(i))
		}
	}
	st.current, st.held, st.live, st.freed, st.last, st.removed = 0, 0, 0, 0, 0, nil
}

// release releases all memory.
func (st *store) release() {
	for i := range st.chunks {
		if st.chunks[i].base != nil {
			st.freeChunk(i)
		}
	}
	*st = store{alloc: st.alloc, pairs: st.pairs}
}

// copyFrom makes st, which is empty, a copy of from with the same handles. If it fails, st is
// empty.
func (st *store) copyFrom(from *store) error {
	for i := range from.chunks {
		c := &from.chunks[i]
		if i == 0 || c.top == 0 {
			st.chunks = append(st.chunks, chunk{})
			if i > 0 {
				st.spare = append(st.spare, uint32(i))
			}
			continue
		}
		spare := st.spare
		st.spare = nil // the index of the chunk is i
		size := c.size
		if i != from.current {
			size = c.top
		}
		_, err := st.addChunk(uint64(size), c.alone)
		st.spare = spare
		if err != nil {
			st.release()
			return err
		}
		d := &st.chunks[i]
		d.top, d.live = c.top, c.live
		block.Copy(d.base, c.base, c.top)
	}
	if from.current != 0 && from.chunks[from.current].top > 0 {
		st.current = from.current
	}
	st.pairs, st.live = from.pairs, from.live
	return nil
}
