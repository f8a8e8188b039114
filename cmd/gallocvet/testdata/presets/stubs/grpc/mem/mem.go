// Package mem is a stub of gRPC's package mem.
package mem

// BufferPool is a pool.
type BufferPool interface {
	Get(length int) *[]byte
	Put(*[]byte)
}

// DefaultBufferPool returns the pool.
func DefaultBufferPool() BufferPool { return nil }

// Buffer is a buffer with references.
type Buffer interface {
	ReadOnlyData() []byte
	Ref()
	Free()
	Len() int
}

// NewBuffer makes one.
func NewBuffer(data *[]byte, pool BufferPool) Buffer { return nil }
