package bufpool

import (
	"sync"
	"unsafe"
)

// Slices is a pool of *[]byte on top of a [Pool], for libraries that take buffers in this form. It
// has the methods of grpc's mem.BufferPool. Safe for concurrent use.
//
// It knows a slice by the address of its first byte, in a table of the slices in use. So a caller
// may change the length of the slice, and put it back through another pointer. Other slices, and
// slices that were put back already, are ignored. A pair of Get and Put costs some 50 ns more than
// of the Pool.
type Slices struct {
	pool   *Pool
	shards [numShards]shard
}

const numShards = 64

// A shard has the slices whose address has one hash.
type shard struct {
	mu    sync.Mutex
	inUse map[uintptr]*lent // by the address of the first byte
	spare *lent
	_     [32]byte
}

// A lent slice is one in use. s is what the caller has got, and may have changed.
type lent struct {
	s    []byte
	b    *Buffer
	next *lent
}

// NewSlices returns a pool of slices that takes its buffers from p, or from the default pool if p
// is nil.
func NewSlices(p *Pool) *Slices {
	if p == nil {
		p = &defaultPool
	}
	return &Slices{pool: p}
}

// Get returns a slice of length n, as [Pool.Get] does. The caller owns it until Put.
func (s *Slices) Get(n int) *[]byte { return s.lend(s.pool.Get(n)) }

// TryGet is like Get but returns an error if memory runs out, as [Pool.TryGet] does.
func (s *Slices) TryGet(n int) (*[]byte, error) {
	b, err := s.pool.TryGet(n)
	if err != nil {
		return nil, err
	}
	return s.lend(b), nil
}

// lend enters b into the table.
func (s *Slices) lend(b *Buffer) *[]byte {
	addr, sh := s.shard(b.b)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	l := sh.spare
	if l == nil {
		l = new(lent)
	} else {
		sh.spare, l.next = l.next, nil
	}
	l.s, l.b = b.b, b
	if sh.inUse == nil {
		sh.inUse = map[uintptr]*lent{}
	}
	sh.inUse[addr] = l
	return &l.s
}

// Put puts a slice back that begins where a slice from Get does. It must not be used afterwards.
func (s *Slices) Put(p *[]byte) {
	if p == nil || cap(*p) == 0 {
		return
	}
	addr, sh := s.shard(*p)
	sh.mu.Lock()
	l := sh.inUse[addr]
	if l == nil {
		sh.mu.Unlock()
		return
	}
	delete(sh.inUse, addr)
	b := l.b
	l.s, l.b, l.next = nil, nil, sh.spare
	sh.spare = l
	sh.mu.Unlock()
	s.pool.Put(b)
}

// shard returns the address of the first byte, and the shard that it belongs to.
func (s *Slices) shard(b []byte) (uintptr, *shard) {
	addr := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return addr, &s.shards[uint32(addr>>minShift)*0x9e3779b1>>26]
}
