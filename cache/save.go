package cache

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// A save is a header and records. Integers are little endian, and [n] is a number of bytes:
//
//	header = "gcache\r\n" [8], version [4], length of kind [4], kind, check [4]
//	record = 1 [1], flags [1], key length [4], value length [4], remaining [8], ttl [8], key, value
//	       | 2 [1], check [4]
//	       | 3 [1], number of entries [8], check [4]
//
// The last record is of the third form, and only that one. A check is the CRC-32C of all bytes
// before it, from the first of the save on; a record of the second form follows after checkEvery
// bytes. flags has the queue in its lowest bit, and the number of uses in the next two. remaining
// is the rest of the TTL in nanoseconds, or 0 for none; ttl is the whole TTL if it slides, or 0.
//
// kind is "text", or describes the byte order and the types of a Cache: see kindOf.
const (
	saveMagic   = "gcache\r\n"
	saveVersion = 1
	maxKind     = 64 << 10
	checkEvery  = 64 << 10

	recordEntry = 1
	recordCheck = 2
	recordEnd   = 3

	entryRecord = 1 + 4 + 4 + 8 + 8 // bytes of the first form between the 1 and the key

	savedMain = 1 << 0
	savedUses = 3 << 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrDamaged is the error of LoadFrom for bytes that are no save, or a damaged one.
var ErrDamaged = errors.New("galloc/cache: the save is damaged")

// A saver writes a save. After an error it writes nothing.
type saver struct {
	w    *bufio.Writer
	sum  uint32
	left int // bytes until the next check
	n    int // entries
	err  error
	buf  [1 + entryRecord]byte
}

func (v *saver) write(b []byte) {
	if v.err != nil {
		return
	}
	v.sum = crc32.Update(v.sum, castagnoli, b)
	v.left -= len(b)
	if _, err := v.w.Write(b); err != nil {
		v.err = fmt.Errorf("galloc/cache: saving: %w", err)
	}
}

func (v *saver) check() {
	v.write(binary.LittleEndian.AppendUint32(v.buf[:0], v.sum))
	v.left = checkEvery
}

func (v *saver) header(kind string) {
	v.write(bytesOf(saveMagic))
	b := binary.LittleEndian.AppendUint32(v.buf[:0], saveVersion)
	v.write(binary.LittleEndian.AppendUint32(b, uint32(len(kind))))
	v.write(bytesOf(kind))
	v.check()
}

// entry writes an entry, which has this life at now, and flags.
func (v *saver) entry(e *entry, align uintptr, s saved) {
	b := append(v.buf[:0], recordEntry, s.flags)
	b = binary.LittleEndian.AppendUint32(b, uint32(e.keyLen()))
	b = binary.LittleEndian.AppendUint32(b, e.valueLen)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.remaining))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.ttl))
	v.write(b)
	v.write(bytesOf(e.key()))
	v.write(e.value(align))
	if v.n++; v.left <= 0 {
		v.write([]byte{recordCheck})
		v.check()
	}
}

func (v *saver) end() {
	b := append(v.buf[:0], recordEnd)
	v.write(binary.LittleEndian.AppendUint64(b, uint64(v.n)))
	v.check()
	if v.err == nil {
		if err := v.w.Flush(); err != nil {
			v.err = fmt.Errorf("galloc/cache: saving: %w", err)
		}
	}
}

// saved is the state of an entry, in a save.
type saved struct {
	flags          byte
	remaining, ttl int64
}

// saved returns the state of a pinned entry, and whether it is still linked and alive.
func (s *shard) saved(e *entry) (x saved, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := e.life()
	x.ttl = l.ttl
	if e.has(hasTTL) {
		if x.remaining = l.deadline - s.core.now(); x.remaining <= 0 {
			return x, false
		}
	}
	x.flags = byte(e.uses() << 1)
	if e.main() {
		x.flags |= savedMain
	}
	return x, true
}

// save writes all entries to w. hash is the hash of a key.
func (c *core) save(w io.Writer, kind string, hash func(key string) uint64) (n int, err error) {
	if c.closed.Load() {
		return 0, ErrClosed
	}
	v := &saver{w: bufio.NewWriterSize(w, checkEvery)}
	v.header(kind)
	c.iterate(func(e *entry) bool {
		if x, ok := c.shardOf(hash(e.key())).saved(e); ok {
			v.entry(e, c.align, x)
		}
		return v.err == nil
	})
	if v.err == nil && c.closed.Load() {
		return 0, ErrClosed // iterate may have ended early
	}
	if v.end(); v.err != nil {
		return 0, v.err
	}
	return v.n, nil
}

// A loader reads a save.
type loader struct {
	core *core
	hash func(key string) uint64
	r    *bufio.Reader
	pos  int64
	sum  uint32
	read int // entries

	key, skip []byte
	main      ref // entries of the main queue that are loaded, but not linked yet
	small     ref // and others
	n         int64
}

// load reads a save from r, and adds its entries if it is not damaged.
func (c *core) load(r io.Reader, kind string, keySize, valueSize int, hash func(key string) uint64) (n int, err error) {
	s := &c.shards[0]
	if !s.enter() {
		return 0, ErrClosed
	}
	defer s.leave()
	b, ok := r.(*bufio.Reader)
	if !ok {
		b = bufio.NewReaderSize(r, checkEvery)
	}
	l := &loader{core: c, hash: hash, r: b, skip: make([]byte, 4<<10)}
	defer l.drop() // also if Cost or r panics
	if err := l.header(kind); err != nil {
		return 0, err
	}
	for {
		if more, err := l.record(keySize, valueSize); err != nil {
			return 0, err
		} else if !more {
			return l.link(), nil
		}
	}
}

// damaged returns the error for what is wrong at a position.
func damaged(pos int64, format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", ErrDamaged, pos, fmt.Sprintf(format, args...))
}

// fill reads len(b) bytes.
func (l *loader) fill(b []byte) error {
	n, err := io.ReadFull(l.r, b)
	l.sum = crc32.Update(l.sum, castagnoli, b[:n])
	l.pos += int64(n)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return fmt.Errorf("%w: byte %d: it ends too early: %w", ErrDamaged, l.pos, io.ErrUnexpectedEOF)
	case err != nil:
		return fmt.Errorf("galloc/cache: loading, at byte %d: %w", l.pos, err)
	}
	return nil
}

func (l *loader) discard(n int64) error {
	for n > 0 {
		k := min(n, int64(len(l.skip)))
		if err := l.fill(l.skip[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// check reads a check.
func (l *loader) check() error {
	pos, want := l.pos, l.sum
	var b [4]byte
	if err := l.fill(b[:]); err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint32(b[:]); got != want {
		return damaged(pos, "the checksum is %#x, the bytes before it have %#x", got, want)
	}
	return nil
}

func (l *loader) header(kind string) error {
	var b [16]byte
	if err := l.fill(b[:]); err != nil {
		return err
	}
	if string(b[:8]) != saveMagic {
		return damaged(0, "it begins with %q instead of %q", b[:8], saveMagic)
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != saveVersion {
		return fmt.Errorf("galloc/cache: the save has version %d: this package reads %d: %w", v, saveVersion, errors.ErrUnsupported)
	}
	n := binary.LittleEndian.Uint32(b[12:])
	if n > maxKind {
		return damaged(12, "the kind has %d bytes, more than %d", n, maxKind)
	}
	k := make([]byte, n)
	if err := l.fill(k); err != nil {
		return err
	}
	if err := l.check(); err != nil {
		return err
	}
	if string(k) != kind {
		return fmt.Errorf("galloc/cache: the save is of another cache, %q: this one is %q: %w", k, kind, errors.ErrUnsupported)
	}
	return nil
}

// record reads a record, and reports whether another one follows.
func (l *loader) record(keySize, valueSize int) (more bool, err error) {
	var b [entryRecord]byte
	pos := l.pos
	if err := l.fill(b[:1]); err != nil {
		return false, err
	}
	switch b[0] {
	case recordEntry:
		if err := l.fill(b[:]); err != nil {
			return false, err
		}
		return true, l.entry(pos, b[:], keySize, valueSize)
	case recordCheck:
		return true, l.check()
	case recordEnd:
		if err := l.fill(b[:8]); err != nil {
			return false, err
		}
		if n := binary.LittleEndian.Uint64(b[:]); n != uint64(l.read) {
			return false, damaged(pos, "it has %d entries, and says %d", l.read, n)
		}
		return false, l.check()
	}
	return false, damaged(pos, "there is no record of form %d", b[0])
}

// entry reads the rest of a record of an entry, after b.
func (l *loader) entry(pos int64, b []byte, keySize, valueSize int) error {
	c := l.core
	l.read++
	flags := b[0]
	keyLen, valueLen := binary.LittleEndian.Uint32(b[1:]), binary.LittleEndian.Uint32(b[5:])
	remaining, ttl := int64(binary.LittleEndian.Uint64(b[9:])), int64(binary.LittleEndian.Uint64(b[17:]))
	if keyLen > maxKey || keySize >= 0 && (int(keyLen) != keySize || int64(valueLen) != int64(valueSize)) ||
		flags&^(savedMain|savedUses) != 0 || remaining < 0 || ttl < 0 {
		return damaged(pos, "an entry cannot have flags %#x, a key of %d bytes, a value of %d, and a TTL of %d and %d ns",
			flags, keyLen, valueLen, remaining, ttl)
	}
	if cap(l.key) < int(keyLen) {
		l.key = make([]byte, keyLen)
	}
	l.key = l.key[:keyLen]
	if err := l.fill(l.key); err != nil {
		return err
	}
	if c.closed.Load() {
		return ErrClosed
	}
	var left life
	if remaining > 0 {
		now := c.now()
		left = life{ttl, now + min(remaining, math.MaxInt64-now)}
		if ttl == 0 {
			left.ttl = remaining
		}
	}
	toMain := flags&savedMain != 0
	r := l.room(valueLen, left, toMain)
	if r == 0 {
		return l.discard(int64(valueLen))
	}
	e := r.entry()
	e.tag |= uint32(flags&savedUses) >> 1 * oneUse
	list := &l.small
	if toMain {
		e.tag |= inMain
		list = &l.main
	}
	e.chain, *list = *list, r
	l.n++
	return l.fill(e.value(c.align))
}

// room returns a new entry for l.key, without its value, or 0 if it does not fit. It takes free
// memory, and an entry of the main queue may also take the memory of other loaded entries.
func (l *loader) room(valueLen uint32, left life, toMain bool) ref {
	c := l.core
	if uint64(valueLen) > math.MaxInt || c.fits(len(l.key), int(valueLen), c.flags(left)) != nil {
		return 0
	}
	size := c.usableSize(sizeOf(uintptr(len(l.key)), uintptr(valueLen), c.align, c.flags(left)))
	for {
		// The table must have room too.
		if c.bytes.used.Load()+size+(l.n+segmentBuckets)*tableBytes <= c.bytes.ceiling {
			key := viewOf(l.key)
			r, err := c.blankEntry(l.hash(key), key, valueLen, left, optional)
			if err == nil {
				return r
			}
			c.bytes.lower() // so that the heap is not asked again for each entry
		}
		if !toMain || l.small == 0 {
			return 0
		}
		for freed := int64(0); freed < size && l.small != 0; l.n-- {
			e := l.small.entry()
			freed += c.usable(e)
			l.small = e.chain
			c.release(e)
		}
	}
}

// tableBytes is about the number of bytes of the table for an entry.
const tableBytes = 16

// link adds the entries of a save that is not damaged, and returns their number. A key that is
// present keeps its value.
func (l *loader) link() (n int) {
	c := l.core
	for _, list := range []*ref{&l.main, &l.small} {
		for *list != 0 {
			e := list.entry()
			cost := c.costOfEntry(e) // it may panic, and then drop frees the entry
			*list = e.chain
			if l.add(e, cost) {
				n++
			}
		}
	}
	return n
}

// add links an entry, or frees it.
func (l *loader) add(e *entry, cost int64) (added bool) {
	c := l.core
	hash := l.hash(e.key())
	if e.has(hasExtra) && cost <= math.MaxUint32 {
		e.extra().cost = uint32(cost)
	}
	err := c.add(c.shardOf(hash), refOf(e), hash, func(s *shard) bool {
		added = s.live(hash, e.key(), false) == nil && !s.expired(e) && c.entries.used.Load() < c.entries.max &&
			cost <= c.costs.max-c.costs.used.Load()
		return added
	})
	return added && err == nil
}

// drop frees the entries that are not linked.
func (l *loader) drop() {
	for _, list := range []*ref{&l.main, &l.small} {
		for *list != 0 {
			e := list.entry()
			*list = e.chain
			l.core.release(e)
		}
	}
}
