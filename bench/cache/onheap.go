package main

import "sync"

// mapShard is a shard on Go's map. Its strings are on the Go heap: each cycle of the garbage
// collector marks all of them, and the heap grows to a multiple of their size before the next
// cycle.
type mapShard struct {
	mu    sync.RWMutex
	m     map[string]string
	order []string // a ring of keys, which share memory with m; if full, the oldest is at next
	next  int
}

func newMapShard(capacity int) (shard, error) {
	// A new entry is inserted before the oldest is removed, hence one more.
	return &mapShard{m: make(map[string]string, capacity+1), order: make([]string, capacity)}, nil
}

func (s *mapShard) get(dst, key []byte) ([]byte, bool) {
	s.mu.RLock()
	v, ok := s.m[string(key)]
	s.mu.RUnlock()
	return append(dst, v...), ok // the collector keeps v, even if the entry is evicted
}

func (s *mapShard) set(key, value []byte) error {
	k, v := string(key), string(value) // the copies
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.m)
	s.m[k] = v
	if len(s.m) == before {
		return nil // the key was present, and keeps its place in the ring
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

// free leaves everything to the garbage collector.
func (s *mapShard) free() { s.m, s.order = nil, nil }
