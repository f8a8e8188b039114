// Package grpc lets grpc-go take the buffers of its messages from a pool off the Go heap:
//
//	s := grpc.NewServer(galloc.ServerOption(nil))
//	conn, err := grpc.NewClient(target, galloc.DialOption(nil))
//
// The pool is bounded, has a class for each size, and returns the memory of idle buffers. See
// package [bufpool].
package grpc

import (
	"github.com/galloc-go/galloc/bufpool"
	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/mem"
)

// BufferPool returns grpc's form of a pool, or of the default pool if p is nil. Several of one pool
// share its memory, but a buffer must go back to the one that it comes from. It is safe for
// concurrent use.
//
// If the pool has no memory, because of a limit or the system, Get takes the buffer from the Go
// heap, since grpc knows no failure there. Put ignores buffers that are not of the pool. A buffer
// of the pool that is never put back is a leak, unlike with grpc's own pools: the owner of a
// [mem.Buffer] or [mem.BufferSlice] must free it.
func BufferPool(p *bufpool.Pool) mem.BufferPool { return pool{bufpool.NewSlices(p)} }

type pool struct{ *bufpool.Slices }

func (p pool) Get(n int) *[]byte {
	b, err := p.TryGet(n)
	if err != nil {
		s := make([]byte, n)
		return &s
	}
	return b
}

// ServerOption makes a server use the pool p, or the default pool if p is nil.
func ServerOption(p *bufpool.Pool) grpc.ServerOption { return experimental.BufferPool(BufferPool(p)) }

// DialOption makes a client use the pool p, or the default pool if p is nil.
func DialOption(p *bufpool.Pool) grpc.DialOption { return experimental.WithBufferPool(BufferPool(p)) }
