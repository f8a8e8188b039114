// Package bytebufferpool is a stub of the package of that name.
package bytebufferpool

// ByteBuffer is a buffer.
type ByteBuffer struct{ B []byte }

// Bytes returns the content.
func (b *ByteBuffer) Bytes() []byte { return b.B }

// String returns a copy.
func (b *ByteBuffer) String() string { return string(b.B) }

// WriteString appends.
func (b *ByteBuffer) WriteString(s string) (int, error) {
	b.B = append(b.B, s...)
	return len(s), nil
}

// Pool is a pool.
type Pool struct{ n int }

// Get gets a buffer.
func (p *Pool) Get() *ByteBuffer { return &ByteBuffer{} }

// Put puts one back.
func (p *Pool) Put(b *ByteBuffer) { p.n++ }

var pool Pool

// Get gets a buffer.
func Get() *ByteBuffer { return pool.Get() }

// Put puts one back.
func Put(b *ByteBuffer) { pool.Put(b) }
