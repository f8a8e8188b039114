package pool

import (
	"bytes"
	"io"

	"github.com/valyala/bytebufferpool"
)

func deferred(w io.Writer) error {
	b := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(b)
	b.Reset()
	b.WriteString("tea")
	_, err := w.Write(b.Bytes())
	return err
}

func copied() string {
	b := bytebufferpool.Get()
	b.WriteString("tea")
	s := b.String()
	bytebufferpool.Put(b)
	return s
}

func kept() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) } // the caller puts it back

func tooLarge() {
	b := buffers.Get().(*bytes.Buffer)
	b.WriteString("tea")
	if b.Cap() > 1<<16 {
		return // for the garbage collector
	}
	buffers.Put(b)
}

func again() {
	for range 3 {
		b := buffers.Get().(*bytes.Buffer)
		b.Reset()
		buffers.Put(b)
	}
}
