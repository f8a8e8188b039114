package main

import "sync"

// mapShard is a shard on Go's map. Its strings are on the Go heap: while there are many, each cycle of the garbage
// collector goes through all of them, and the heap is let grow to a multiple of them before the next cycle.
type mapShard struct {
	mu    sync.RWMutex
	m     map[string]string
	order []string // the keys in a ring, the oldest at next if it is full; they share memory with those of m
	next  int
}

func newMapShard(capacity int) (shard, error) {
	// A new entry comes before the oldest goes, hence one more.
	return &mapShard{m: make(map[string]string, capacity+1), order: make([]string, capacity)}, nil
}

func (s *mapShard) get(dst, key []byte) ([]byte, bool) {
	s.mu.RLock()
	v, ok := s.m[string(key)]
	s.mu.RUnlock()
	return append(dst, v...), ok // the collector keeps v, even if the entry is forgotten meanwhile
}

func (s *mapShard) set(key, value []byte) error {
	k, v := string(key), string(value) // the copies
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.m)
	s.m[k] = v
	if len(s.m) == before {
		return nil // the key was there, and keeps its turn
	}
	if before == len(s.order) {
		delete(s.m, s.order[s.next])
	}
	s.order[s.next] = k
	s.next = (s.next + 1) % len(s.order)
	return nil
}

func (s *mapShard) size() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.m)
}

// free leaves all to the garbage collector.
func (s *mapShard) free() { s.m, s.order = nil, nil }
