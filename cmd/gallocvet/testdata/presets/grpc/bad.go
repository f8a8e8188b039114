// Package grpc uses the buffers of gRPC.
package grpc

import "google.golang.org/grpc/mem"

func afterPut(p mem.BufferPool) byte {
	b := p.Get(10)
	p.Put(b)
	return (*b)[0] // want "memory is used after mem.BufferPool.Put"
}

func twice(p mem.BufferPool, fail bool) {
	b := p.Get(10)
	if fail {
		p.Put(b)
	}
	p.Put(b) // want "mem.BufferPool.Put ends memory again"
}

func notFreed(data *[]byte, fail bool) int {
	b := mem.NewBuffer(data, nil) // want "the memory of mem.NewBuffer is not freed by the return"
	if fail {
		return 0
	}
	n := b.Len()
	b.Free()
	return n
}
