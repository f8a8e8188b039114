package collections

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Bytes is a [Vec] of bytes that can be written to, as a bytes.Buffer, and the builder of a
// [String]. The zero value is empty, on galloc.Global.
//
// The methods of package io's interfaces return an error if memory runs out, as all writers do;
// their names have no Try. Bytes written before the error stay.
type Bytes struct {
	Vec[byte]
}

// minRead is the smallest buffer with which ReadFrom reads.
const minRead = 512

var (
	_ io.Writer       = (*Bytes)(nil)
	_ io.ByteWriter   = (*Bytes)(nil)
	_ io.StringWriter = (*Bytes)(nil)
	_ io.ReaderFrom   = (*Bytes)(nil)
	_ io.WriterTo     = (*Bytes)(nil)
)

// NewBytes returns an empty Bytes that allocates from a, or from galloc.Global if a is nil.
func NewBytes(a galloc.Allocator) *Bytes { return &Bytes{Vec[byte]{alloc: usable(a)}} }

// MakeBytes returns an empty Bytes on a with capacity for at least n bytes.
func MakeBytes(a galloc.Allocator, n int) (*Bytes, error) {
	b := NewBytes(a)
	return filled(b, func() error { return b.TryReserveExact(n) })
}

// Write appends p. It writes all of p or returns an error.
func (b *Bytes) Write(p []byte) (int, error) {
	if err := b.TryAppend(p...); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteByte appends c.
func (b *Bytes) WriteByte(c byte) error { return b.TryPush(c) }

// WriteRune appends the UTF-8 encoding of r, and returns its length.
func (b *Bytes) WriteRune(r rune) (int, error) {
	var buf [utf8.UTFMax]byte
	return b.Write(utf8.AppendRune(buf[:0], r))
}

// WriteString appends s. It writes all of s or returns an error.
func (b *Bytes) WriteString(s string) (int, error) {
	if err := b.TryAppendString(s); err != nil {
		return 0, err
	}
	return len(s), nil
}

// AppendString appends s, which may be a view of b.
func (b *Bytes) AppendString(s string) { must(b.TryAppendString(s)) }

// TryAppendString is like AppendString but returns an error if memory runs out.
func (b *Bytes) TryAppendString(s string) error {
	// SAFETY: TryAppend only reads the bytes.
	return b.TryAppend(unsafe.Slice(unsafe.StringData(s), len(s))...)
}

// ReadFrom appends what it reads from r until io.EOF, which is not an error. If reading fails, the
// bytes read before stay. ReadFrom panics if r reports more bytes than the buffer has.
func (b *Bytes) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for {
		if cap(b.s)-len(b.s) < minRead {
			if err := b.TryReserve(minRead); err != nil && len(b.s) == cap(b.s) {
				return total, err
			}
		}
		room := b.s[len(b.s):cap(b.s)]
		n, err := r.Read(room)
		if n < 0 || n > len(room) {
			panic(fmt.Sprintf("galloc/collections: Bytes.ReadFrom: Read returned %d for a buffer of %d bytes", n, len(room)))
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

// WriteTo writes all of b to w. Unlike a bytes.Buffer, b keeps the bytes.
func (b *Bytes) WriteTo(w io.Writer) (int64, error) {
	if len(b.s) == 0 {
		return 0, nil
	}
	s := b.Slice() // w may be b, which then grows
	n, err := w.Write(s)
	if err == nil && n < len(s) {
		err = io.ErrShortWrite
	}
	return int64(n), err
}

// View returns the bytes as a string, without copying. It is valid until the next change of b.
func (b *Bytes) View() string { return viewOf(b.s) }

// String returns a copy of the bytes as a string on the Go heap. See View.
func (b *Bytes) String() string { return strings.Clone(b.View()) }

// Format implements fmt.Formatter: it formats the bytes as a string, all of them.
func (b *Bytes) Format(f fmt.State, verb rune) { fmt.Fprintf(f, fmt.FormatString(f, verb), b.View()) }

// TakeString makes the bytes a String on b's allocator, and leaves b empty. The String owns the
// block that b had, cut to its length. That copies nothing if the capacity was exact (see
// ReserveExact), or if the allocator can shrink the block in place.
func (b *Bytes) TakeString() String { return mustValue(b.TryTakeString()) }

// TryTakeString is like TakeString but returns an error if memory runs out. b is then unchanged.
func (b *Bytes) TryTakeString() (String, error) {
	if err := hidden(b.alloc); err != nil {
		return String{}, err
	}
	s, err := resizeArray(b.alloc, b.s, len(b.s))
	if err != nil {
		return String{}, err
	}
	b.s = nil
	return stringOf(s), nil
}

// Clone returns a copy of b on the same allocator, without spare capacity.
func (b *Bytes) Clone() *Bytes { return mustValue(b.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (b *Bytes) TryClone() (*Bytes, error) {
	c, err := MakeBytes(b.alloc, len(b.s))
	if err != nil {
		return nil, err
	}
	c.s = c.s[:len(b.s)]
	copyArray(c.s, b.s)
	return c, nil
}

// Equal reports whether b and o have the same bytes.
func (b *Bytes) Equal(o *Bytes) bool { return b.View() == o.View() }
