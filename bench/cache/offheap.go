package main

import (
	"sync"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// textShard is a shard on collections.TextMap. Its strings are on a galloc.Allocator: the garbage
// collector neither scans nor counts them. Differences to mapShard:
//
//   - running out of memory is an error, after which the cache still works;
//   - a value is copied before unlocking, since the map's view of it ends with the next change;
//   - the ring has copies of the keys, since two owners cannot share a string that one of them
//     frees;
//   - free must be called.
type textShard struct {
	mu    sync.RWMutex
	a     galloc.Allocator // nil means galloc.Global
	m     *collections.TextMap
	order []collections.String // a ring of keys; if full, the oldest is at next
	next  int
}

func newGlobalTextShard(capacity int) (shard, error) { return newTextShard(nil, capacity) }

func newTextShard(a galloc.Allocator, capacity int) (shard, error) {
	order, err := galloc.MakeSlice[collections.String](a, capacity)
	if err != nil {
		return nil, err
	}
	m := collections.NewTextMap(a)
	// A new entry is inserted before the oldest is removed.
	if err := m.TryReserve(capacity + 1); err != nil {
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
	// The compiler converts short keys on the stack, so NewString makes the only copy.
	k, err := collections.NewString(s.a, string(key))
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
		return nil // the key was present, and keeps its place in the ring
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
