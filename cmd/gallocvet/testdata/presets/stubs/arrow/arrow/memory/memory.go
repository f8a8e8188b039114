// Package memory is a stub of Arrow's package memory.
package memory

// Allocator is an allocator.
type Allocator interface {
	Allocate(size int) []byte
	Reallocate(size int, b []byte) []byte
	Free(b []byte)
}

// Buffer is a buffer.
type Buffer struct{ b []byte }

// Retain adds a reference.
func (b *Buffer) Retain() {}

// Release drops one.
func (b *Buffer) Release() {}

// NewResizableBuffer makes a buffer.
func NewResizableBuffer(Allocator) *Buffer { return &Buffer{} }

// Bytes is the content.
func (b *Buffer) Bytes() []byte { return b.b }

// Resize changes the length.
func (b *Buffer) Resize(n int) { b.b = make([]byte, n) }
