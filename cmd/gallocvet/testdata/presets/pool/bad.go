// Package pool uses sync.Pool and bytebufferpool.
package pool

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/valyala/bytebufferpool"
)

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func afterPut() string {
	b := buffers.Get().(*bytes.Buffer)
	buffers.Put(b)
	return b.String() // want "memory is used after sync.Pool.Put"
}

func twice(fail bool) {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	if fail {
		buffers.Put(b) // want "ends memory that the deferred sync.Pool.Put at bad.go:.* ends again"
	}
}

type encoder struct {
	pool sync.Pool
	w    io.Writer
}

func (e *encoder) release(b *bytes.Buffer) { e.pool.Put(b) }

func (e *encoder) encode(s string) error {
	b := e.pool.Get().(*bytes.Buffer)
	b.WriteString(s)
	e.release(b)
	_, err := e.w.Write(b.Bytes()) // want "memory is used after pool.encoder.release"
	return err
}

func ofByteBuffer() []byte {
	b := bytebufferpool.Get()
	b.WriteString("tea")
	bytebufferpool.Put(b)
	return b.B // want "memory is used after bytebufferpool.Put"
}

func ofPool(p *bytebufferpool.Pool) {
	b := p.Get()
	p.Put(b)
	fmt.Println(len(b.Bytes())) // want "memory is used after bytebufferpool.Pool.Put"
}
