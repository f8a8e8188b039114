package collections

import (
	"io"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Bytes is a Vec of bytes that one can write to, as to a bytes.Buffer, and the builder of a [String].
// The zero value is empty, on galloc.Global.
//
// The methods of package io's interfaces return the error when memory runs out, as those of all writers
// do; there is no Try in their names. They keep what they have written before.
type Bytes struct {
	Vec[byte]
}

// minRead is how much room ReadFrom makes at least before it reads.
const minRead = 512

var (
	_ io.Writer       = (*Bytes)(nil)
	_ io.ByteWriter   = (*Bytes)(nil)
	_ io.StringWriter = (*Bytes)(nil)
	_ io.ReaderFrom   = (*Bytes)(nil)
	_ io.WriterTo     = (*Bytes)(nil)
)

// NewBytes returns an empty Bytes on a, or on galloc.Global if a is nil.
func NewBytes(a galloc.Allocator) *Bytes { return &Bytes{Vec[byte]{a: a}} }

// Write adds p. It writes all of it or returns an error.
func (b *Bytes) Write(p []byte) (int, error) {
	if err := b.TryAppend(p...); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteByte adds c.
func (b *Bytes) WriteByte(c byte) error { return b.TryPush(c) }

// WriteString adds s. It writes all of it or returns an error.
func (b *Bytes) WriteString(s string) (int, error) {
	if err := b.TryAppendString(s); err != nil {
		return 0, err
	}
	return len(s), nil
}

// AppendString adds s, which may be a view of b.
func (b *Bytes) AppendString(s string) { must(b.TryAppendString(s)) }

// TryAppendString is AppendString that returns the error.
func (b *Bytes) TryAppendString(s string) error {
	if len(s) <= cap(b.s)-len(b.s) {
		b.s = append(b.s, s...)
		return nil
	}
	// SAFETY: appendGrown only reads.
	return b.appendGrown(unsafe.Slice(unsafe.StringData(s), len(s)))
}

// ReadFrom adds what r has up to io.EOF, which is no error. What it has read stays if it fails. It
// panics if r says that it has read more than there was room for.
func (b *Bytes) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if cap(b.s)-len(b.s) < minRead {
			if err := b.TryReserve(minRead); err != nil {
				return total, err
			}
		}
		room := b.s[len(b.s):cap(b.s)]
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			panic("galloc/collections: Bytes.ReadFrom: the reader says that it has read what it cannot have")
		}
		b.s = b.s[:len(b.s)+n]
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// WriteTo writes all of b to w. Unlike a bytes.Buffer, b keeps it.
func (b *Bytes) WriteTo(w io.Writer) (int64, error) {
	if len(b.s) == 0 {
		return 0, nil
	}
	s := b.Slice() // b may be longer afterwards: w may be b itself
	n, err := w.Write(s)
	if err == nil && n < len(s) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// View returns the bytes as a string, without a copy. The view ends with the next change of b.
func (b *Bytes) View() string { return unsafe.String(unsafe.SliceData(b.s), len(b.s)) }

// String returns the bytes as a string of Go's, copied to the Go heap. See View.
func (b *Bytes) String() string { return strings.Clone(b.View()) }

// TakeString makes the bytes a String on b's allocator, and leaves b empty. The String has the block that
// b had, cut to its length: that does not copy if the capacity was exact, see ReserveExact, or if
// the allocator can do it in place.
func (b *Bytes) TakeString() String { return galloc.Must(b.TryTakeString()) }

// TryTakeString is TakeString that returns the error; b is then as it was.
func (b *Bytes) TryTakeString() (String, error) {
	if err := hidden(b.a); err != nil {
		return String{}, err
	}
	s, err := resizeArray(b.a, b.s, len(b.s))
	if err != nil {
		return String{}, err
	}
	b.s = nil
	return String{addr(unsafe.Pointer(unsafe.SliceData(s))), len(s)}, nil
}

// Clone returns a copy of b, on the same allocator, with room for no more than the bytes.
func (b *Bytes) Clone() *Bytes { return galloc.Must(b.TryClone()) }

// TryClone is Clone that returns the error.
func (b *Bytes) TryClone() (*Bytes, error) {
	c := NewBytes(b.a)
	if err := c.TryReserveExact(len(b.s)); err != nil {
		return nil, err
	}
	c.s = append(c.s, b.s...)
	return c, nil
}
