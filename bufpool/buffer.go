package bufpool

import (
	"fmt"
	"io"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

// A Buffer is a slice of bytes from a [Pool], with methods to append to it. Its owner frees it: see
// [Pool.Put] and [Buffer.Release]. Retain and Release may be called concurrently. Otherwise a
// Buffer is as a slice: several goroutines may read it while none changes it.
//
// Every method panics if the buffer has been put back.
type Buffer struct {
	_ block.NoCopy

	b     []byte // the capacity is the block
	pool  *Pool
	scope *Scope // that it belongs to, if scoped is set
	next  link   // in the list of idle, spare or retired Buffers, or of the scope
	prev  link   // in the list of the scope
	refs  int32  // owners; 0: it was put back
	flags flags
	class uint8 // of the block
}

type flags uint8

const (
	guarded flags = 1 << iota // the block is guarded
	scoped                    // the buffer is in the list of a scope
	large                     // the block is of no class
)

// minRead is the smallest free space with which ReadFrom reads.
const minRead = 512

var (
	_ io.Writer       = (*Buffer)(nil)
	_ io.ByteWriter   = (*Buffer)(nil)
	_ io.StringWriter = (*Buffer)(nil)
	_ io.ReaderFrom   = (*Buffer)(nil)
	_ io.WriterTo     = (*Buffer)(nil)
)

// hand makes b a buffer of length n with one owner. The capacity suffices.
//
//go:nosplit
func (b *Buffer) hand(n int) {
	b.refs = 1
	b.b = b.b[:n]
}

// check panics if b was put back.
func (b *Buffer) check() {
	if atomic.LoadInt32(&b.refs) < 1 {
		b.usedAfterPut()
	}
}

//go:noinline
func (b *Buffer) usedAfterPut() {
	if b.pool != nil {
		b.pool.reportUse(b)
	}
	panic("galloc/bufpool: use of a buffer after Put, or of a Buffer that no pool has returned")
}

// Bytes returns the bytes of b. They are valid until b is put back or grows.
func (b *Buffer) Bytes() []byte {
	if atomic.LoadInt32(&b.refs) < 1 { // check, inlined
		b.usedAfterPut()
	}
	return b.b
}

// Len returns the number of bytes.
func (b *Buffer) Len() int { return len(b.Bytes()) }

// Cap returns the number of bytes that b can have without growing.
func (b *Buffer) Cap() int { return cap(b.Bytes()) }

// Available returns the number of bytes that can be appended without growing.
func (b *Buffer) Available() int {
	b.check()
	return cap(b.b) - len(b.b)
}

// AvailableBuffer returns an empty slice whose capacity is Available, for append functions such as
// strconv.AppendInt. Pass its result to Write before b is changed otherwise.
func (b *Buffer) AvailableBuffer() []byte { return b.Bytes()[len(b.b):] }

// String returns a copy of the bytes as a string on the Go heap.
func (b *Buffer) String() string { return string(b.Bytes()) }

// Reset makes b empty. It keeps the block.
func (b *Buffer) Reset() { b.Truncate(0) }

// Truncate makes the length n. It panics if n is negative or more than Len.
func (b *Buffer) Truncate(n int) {
	b.check()
	if n < 0 || n > len(b.b) {
		panic(fmt.Sprintf("galloc/bufpool: Truncate to %d bytes of a buffer of %d: to lengthen it, call Resize", n, len(b.b)))
	}
	b.b = b.b[:n]
}

// Resize makes the length n, at most Cap. Bytes beyond the old length are undefined. It panics if n
// is negative or more than Cap.
func (b *Buffer) Resize(n int) {
	b.check()
	if n < 0 || n > cap(b.b) {
		panic(fmt.Sprintf("galloc/bufpool: Resize to %d bytes of a buffer of capacity %d: call Grow first", n, cap(b.b)))
	}
	b.b = b.b[:n]
}

// Grow makes the capacity suffice for n more bytes. If it does not, the bytes move to a buffer of
// at least twice the capacity from the pool, and the old one is put back, so what Bytes has
// returned is invalid. If memory runs out, Grow aborts the program. It panics if n is negative, or
// if b must move and has more than one owner.
func (b *Buffer) Grow(n int) {
	if err := b.TryGrow(n); err != nil {
		fail(err)
	}
}

// TryGrow is like Grow but returns an error if memory runs out. b is then unchanged.
func (b *Buffer) TryGrow(n int) error {
	b.check()
	switch {
	case n < 0:
		panic(fmt.Sprintf("galloc/bufpool: Grow by a negative number (%d)", n))
	case n <= cap(b.b)-len(b.b):
		return nil
	}
	return b.move(n)
}

// move is TryGrow where the capacity does not suffice.
func (b *Buffer) move(n int) error {
	if refs := atomic.LoadInt32(&b.refs); refs != 1 {
		panic(fmt.Sprintf("galloc/bufpool: Grow of a buffer with %d owners: its bytes would move", refs))
	}
	size := len(b.b) + n
	if size < 0 {
		_, err := layoutFor(maxInt, numClasses)
		return err
	}
	to, err := b.pool.TryGet(max(size, 2*cap(b.b)))
	if err != nil {
		if to, err = b.pool.TryGet(size); err != nil {
			return err
		}
	}
	length := len(b.b)
	copyBytes(to.b, b.b)
	const own = scoped // a flag of the Buffer, and not of its block
	b.b, to.b = to.b[:length], b.b
	b.class, to.class = to.class, b.class
	b.flags, to.flags = b.flags&own|to.flags, b.flags&^own
	b.pool.Put(to)
	return nil
}

const maxInt = int(^uint(0) >> 1)

// copyBytes copies src to the start of dst, which is at least as long.
func copyBytes(dst, src []byte) {
	// SAFETY: both have len(src) bytes.
	block.Copy(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(src)), uintptr(len(src)))
}

// extend makes b longer by n bytes, which are undefined, and returns the old length.
func (b *Buffer) extend(n int) (int, error) {
	b.check()
	at := len(b.b)
	if n > cap(b.b)-at {
		if err := b.move(n); err != nil {
			return 0, err
		}
	}
	b.b = b.b[:at+n]
	return at, nil
}

// Write appends p, which may be a part of b. It writes all of p, or returns an error if memory runs
// out. It panics if b must grow and has more than one owner, as the other methods that write do.
func (b *Buffer) Write(p []byte) (int, error) {
	// A part of b that moves is copied with it: it is still in b then, at the same index.
	from := uintptr(unsafe.Pointer(unsafe.SliceData(p))) - uintptr(unsafe.Pointer(unsafe.SliceData(b.b)))
	old := uintptr(cap(b.b))
	at, err := b.extend(len(p))
	if err != nil {
		return 0, err
	}
	if from < old && uintptr(cap(b.b)) != old && len(p) > 0 {
		p = b.b[:cap(b.b)][from : from+uintptr(len(p))]
	}
	copyBytes(b.b[at:], p)
	return len(p), nil
}

// WriteString is Write of the bytes of s.
func (b *Buffer) WriteString(s string) (int, error) {
	// SAFETY: Write only reads the bytes.
	return b.Write(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// WriteByte appends c.
func (b *Buffer) WriteByte(c byte) error {
	at, err := b.extend(1)
	if err == nil {
		b.b[at] = c
	}
	return err
}

// WriteRune appends the UTF-8 encoding of r, and returns its length.
func (b *Buffer) WriteRune(r rune) (int, error) {
	var buf [utf8.UTFMax]byte
	return b.Write(utf8.AppendRune(buf[:0], r))
}

// Append appends p. If memory runs out, it aborts the program. See Write.
func (b *Buffer) Append(p ...byte) {
	if _, err := b.Write(p); err != nil {
		fail(err)
	}
}

// ReadFrom appends what it reads from r until io.EOF, which is not an error. If reading fails, or
// if memory runs out, the bytes read before stay.
func (b *Buffer) ReadFrom(r io.Reader) (int64, error) {
	b.check()
	var total int64
	for {
		if cap(b.b)-len(b.b) < minRead {
			if err := b.TryGrow(minRead); err != nil && len(b.b) == cap(b.b) {
				return total, err
			}
		}
		room := b.b[len(b.b):cap(b.b)]
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			panic(fmt.Sprintf("galloc/bufpool: ReadFrom: Read returned %d for a buffer of %d bytes", n, len(room)))
		}
		b.b = b.b[:len(b.b)+n]
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// WriteTo writes all of b to w. Unlike a bytes.Buffer, b keeps the bytes.
func (b *Buffer) WriteTo(w io.Writer) (int64, error) {
	s := b.Bytes()
	if len(s) == 0 {
		return 0, nil
	}
	n, err := w.Write(s)
	if err == nil && n < len(s) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// Retain adds an owner, and returns b. Each owner must call Release once. The caller is an owner.
func (b *Buffer) Retain() *Buffer {
	b.check()
	atomic.AddInt32(&b.refs, 1)
	return b
}

// Release ends the ownership of one owner. The last one puts b back into its pool, as [Pool.Put]
// does. It is the only one that costs more than an atomic operation.
func (b *Buffer) Release() {
	switch n := atomic.LoadInt32(&b.refs); {
	case b.pool == nil:
		b.usedAfterPut()
	case n > 1:
		if atomic.AddInt32(&b.refs, -1) > 0 {
			return
		}
		b.refs = 1 // the other owners have released it since
	}
	b.pool.Put(b)
}

// Owners returns the number of owners, which may have changed when it returns: 1 after Get, and 0
// after Put.
func (b *Buffer) Owners() int { return int(atomic.LoadInt32(&b.refs)) }
