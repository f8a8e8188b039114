package grpc

import "google.golang.org/grpc/mem"

func handedOn(p mem.BufferPool) mem.Buffer {
	b := p.Get(10)
	return mem.NewBuffer(b, p)
}

func counted(data *[]byte) int {
	b := mem.NewBuffer(data, nil)
	b.Ref()
	b.Free() // another reference is left
	n := b.Len()
	b.Free()
	return n
}

func deferred(p mem.BufferPool) byte {
	b := p.Get(10)
	defer p.Put(b)
	return (*b)[0]
}
