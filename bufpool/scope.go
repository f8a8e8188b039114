package bufpool

import (
	"fmt"

	"github.com/galloc-go/galloc/internal/block"
)

// A Scope frees what was taken in it, such as all buffers of a request:
//
//	s := bufpool.NewScope(nil)
//	defer s.End()
//	b := s.Get(4096)
//
// Scopes nest: see [Scope.New]. The zero value is an empty scope on the default pool. A Scope is
// not safe for concurrent use, and must not be copied; its buffers can be used on other goroutines,
// but only the goroutine of the scope may put them back. It costs some nanoseconds more for each
// buffer than Get and Put.
type Scope struct {
	_ block.NoCopy

	pool   *Pool // nil is the default pool
	parent *Scope
	last   *Buffer // the list of buffers, linked by prev and next
	count  int

	chunk *Buffer // the buffer that Bytes cuts, or nil

	// The scopes in this one that are not empty are linked by older and newer.
	//
	//	linked == (parent != nil, and this scope or one in it was used since End)
	newest       *Scope
	older, newer *Scope
	linked       bool
}

// NewScope returns an empty scope that takes its buffers from p, or from the default pool if p is
// nil.
func NewScope(p *Pool) *Scope { return &Scope{pool: p} }

// New returns an empty scope within s. It ends when s ends, or before by its own End. After that it
// is an empty scope within s again.
func (s *Scope) New() *Scope { return &Scope{pool: s.pool, parent: s} }

func (s *Scope) source() *Pool {
	if s.pool == nil {
		return &defaultPool
	}
	return s.pool
}

// Get returns a buffer of length n, as [Pool.Get] does. The scope owns it: End releases it, or the
// goroutine of the scope may by Put before. If other owners have called Retain, the buffer outlives
// the scope.
func (s *Scope) Get(n int) *Buffer {
	b := s.source().Get(n)
	s.add(b)
	return b
}

// TryGet is like Get but returns an error if memory runs out.
func (s *Scope) TryGet(n int) (*Buffer, error) {
	b, err := s.source().TryGet(n)
	if err == nil {
		s.add(b)
	}
	return b, err
}

// Bytes returns n bytes, without spare capacity, that are valid until End. Their content is
// undefined. Small ones are cut from a buffer that they share, at multiples of 8 bytes, so that
// they cost a few nanoseconds. If memory runs out, Bytes aborts the program. It panics if n is
// negative.
func (s *Scope) Bytes(n int) []byte {
	b, err := s.TryBytes(n)
	if err != nil {
		fail(err)
	}
	return b
}

// TryBytes is like Bytes but returns an error if memory runs out.
func (s *Scope) TryBytes(n int) ([]byte, error) {
	if n < 0 {
		panic(fmt.Sprintf("galloc/bufpool: Scope.Bytes of a negative length (%d)", n))
	}
	if n > maxCut {
		b, err := s.TryGet(n)
		if err != nil {
			return nil, err
		}
		return b.b[:n:n], nil
	}
	size := (n + 7) &^ 7
	if s.chunk == nil || size > cap(s.chunk.b)-len(s.chunk.b) {
		length := minChunk
		if s.chunk != nil {
			length = min(2*cap(s.chunk.b), maxChunk)
		}
		b, err := s.TryGet(length)
		if err != nil {
			return nil, err
		}
		b.b = b.b[:0]
		s.chunk = b
	}
	c := s.chunk
	at := len(c.b)
	c.b = c.b[:at+size]
	return c.b[at : at+n : at+n], nil
}

const (
	minChunk = 4 << 10 // bytes of the first buffer that Bytes cuts
	maxChunk = 64 << 10
	maxCut   = 1 << 10 // bytes of a slice that shares a buffer
)

// Len returns the number of buffers of s, without those of scopes within s.
func (s *Scope) Len() int { return s.count }

// End releases all buffers that were taken in s and in scopes within s. s is empty then, and can be
// used again.
func (s *Scope) End() {
	for s.newest != nil {
		s.newest.End()
	}
	s.chunk = nil
	for s.last != nil {
		b := s.last
		s.remove(b)
		b.Release()
	}
	s.unlink()
}

// add adds b to the list.
func (s *Scope) add(b *Buffer) {
	b.scope, b.flags = s, b.flags|scoped
	b.next = link{}
	b.prev = link{}
	if s.last != nil {
		b.prev.set(s.last)
		s.last.next.set(b)
	}
	s.last = b
	s.count++
	for ; s.parent != nil && !s.linked; s = s.parent {
		s.linked = true
		if s.older = s.parent.newest; s.older != nil {
			s.older.newer = s
		}
		s.parent.newest = s
	}
}

// remove takes b out of the list.
func (s *Scope) remove(b *Buffer) {
	if next := b.next.buffer(); next != nil {
		next.prev = b.prev
	} else {
		s.last = b.prev.buffer()
	}
	if prev := b.prev.buffer(); prev != nil {
		prev.next = b.next
	}
	b.scope, b.flags = nil, b.flags&^scoped
	b.next, b.prev = link{}, link{}
	s.count--
}

// unlink takes s, which is empty, out of the list of its parent.
func (s *Scope) unlink() {
	if !s.linked {
		return
	}
	if s.newer != nil {
		s.newer.older = s.older
	} else {
		s.parent.newest = s.older
	}
	if s.older != nil {
		s.older.newer = s.newer
	}
	s.older, s.newer, s.linked = nil, nil, false
}
