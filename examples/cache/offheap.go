package main

import (
	"sync"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// textShard is a shard on collections.TextMap. Its strings are on a galloc.Allocator: the garbage collector
// neither sees nor counts them, so there may be any number. Compared with mapShard,
//
//   - running out of memory is an error, after which the cache goes on;
//   - a value is copied before the lock is given up, since the view that the map gives ends with the next change;
//   - the ring has copies of the keys, since two owners cannot share a string that is to be freed;
//   - free must be called.
type textShard struct {
	mu    sync.RWMutex
	a     galloc.Allocator // nil is galloc.Global
	m     *collections.TextMap
	order []collections.String // the keys in a ring, the oldest at next if it is full
	next  int
}

func newGlobalTextShard(capacity int) (shard, error) { return newTextShard(nil, capacity) }

func newTextShard(a galloc.Allocator, capacity int) (shard, error) {
	order, err := galloc.MakeSlice[collections.String](a, capacity)
	if err != nil {
		return nil, err
	}
	m := collections.NewTextMap(a)
	if err := m.TryReserve(capacity + 1); err != nil { // a new entry comes before the oldest goes
		galloc.FreeSlice(a, order)
		return nil, err
	}
	return &textShard{a: a, m: m, order: order}, nil
}

func (s *textShard) get(dst, key []byte) ([]byte, bool) {
	s.mu.RLock()
	v, ok := s.m.GetBytes(key)
	dst = append(dst, v...) // while v is valid
	s.mu.RUnlock()
	return dst, ok
}

func (s *textShard) set(key, value []byte) error {
	// The compiler converts short keys on the stack: this makes one copy, that of NewString.
	k, err := collections.TryNewString(s.a, string(key))
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.m.Len()
	if err := s.m.TryPutBytes(key, value); err != nil {
		k.Free(s.a)
		return err
	}
	if s.m.Len() == before {
		k.Free(s.a)
		return nil // the key was there, and keeps its turn
	}
	oldest := &s.order[s.next]
	if before == len(s.order) {
		s.m.Delete(oldest.View())
		oldest.Free(s.a)
	}
	*oldest = k
	s.next = (s.next + 1) % len(s.order)
	return nil
}

func (s *textShard) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.m.Len()
}

func (s *textShard) free() {
	for i := range s.order {
		s.order[i].Free(s.a)
	}
	galloc.FreeSlice(s.a, s.order)
	s.m.Free()
	s.order = nil
}
