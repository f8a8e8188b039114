package cache

import "math/bits"

// iterate calls f with each entry. The cursor goes through the reversed hashes in their order: the
// entries of a bucket are an interval of them, which a split halves and a merge extends. So an
// entry is visited exactly once if it stays, whatever becomes of the table.
func (c *core) iterate(f func(e *entry) bool) {
	var pinned []*entry
	for i := range c.shards {
		s := &c.shards[i]
		for cursor, more := uint32(0), true; more; {
			s.mu.Lock()
			if s.closed {
				s.mu.Unlock()
				return
			}
			pinned = pinned[:0]
			for more && len(pinned) < iterateAtOnce {
				pinned = s.collect(cursor, pinned)
				cursor, more = s.table.after(cursor)
			}
			s.active.Add(1)
			s.mu.Unlock()
			if !s.visit(pinned, f) {
				return
			}
		}
	}
}

// iterateAtOnce is about the number of entries that are pinned at once.
const iterateAtOnce = 16

// visit calls f with pinned entries, releases them, and leaves.
func (s *shard) visit(pinned []*entry, f func(e *entry) bool) bool {
	defer s.leave()
	i := 0
	defer func() { // also if f panics
		for ; i < len(pinned); i++ {
			s.core.release(pinned[i])
		}
	}()
	for i < len(pinned) {
		more := f(pinned[i])
		s.core.release(pinned[i])
		if i++; !more {
			return false
		}
	}
	return true
}

// collect pins the entries of the bucket of a cursor, from the cursor on.
func (s *shard) collect(cursor uint32, pinned []*entry) []*entry {
	for r := *s.table.head(s.table.bucket(bits.Reverse32(cursor))); r != 0; r = r.entry().chain {
		if e := r.entry(); bits.Reverse32(e.hash()) >= cursor && !s.expired(e) {
			e.pin()
			pinned = append(pinned, e)
		}
	}
	return pinned
}

// after returns the first reversed hash past the bucket of a cursor, if there is one.
func (t *table) after(cursor uint32) (next uint32, ok bool) {
	k := bits.Len32(t.count - 1)
	if b := bits.Reverse32(cursor) & (1<<k - 1); b >= t.count || b+1<<(k-1) >= t.count && b < 1<<(k-1) {
		k-- // the bucket has not been split
	}
	size := uint32(1) << (32 - k)
	next = cursor&^(size-1) + size
	return next, next != 0
}

// clear removes all entries.
func (c *core) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.clear()
	}
}

// clear removes the entries that there are when it begins, or as many, few at a time.
func (s *shard) clear() {
	if !s.enter() {
		return
	}
	defer s.leave()
	s.core.loads.cancelAll()
	s.mu.Lock()
	n := s.small.len + s.main.len
	s.mu.Unlock()
	for n > 0 {
		var list ref
		s.mu.Lock()
		for range iterateAtOnce {
			q := &s.small
			if q.end == 0 {
				q = &s.main
			}
			if q.end == 0 {
				n = 0
				break
			}
			s.unlink(q.end, Cleared, &list)
			n--
		}
		s.mu.Unlock()
		s.core.finish(list)
	}
}
