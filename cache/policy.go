package cache

// queue is a list of entries, in bytes. Entries are added at the start and evicted at the end.
type queue struct {
	start, end ref
	bytes      int64
	len        int
}

// push adds an entry of n bytes at the start.
func (q *queue) push(r ref, n int64) {
	e := r.entry()
	e.prev, e.next = 0, q.start
	if q.start != 0 {
		q.start.entry().prev = r
	} else {
		q.end = r
	}
	q.start = r
	q.bytes += n
	q.len++
}

// cut removes an entry of n bytes.
func (q *queue) cut(r ref, n int64) {
	e := r.entry()
	if e.prev != 0 {
		e.prev.entry().next = e.next
	} else {
		q.start = e.next
	}
	if e.next != 0 {
		e.next.entry().prev = e.prev
	} else {
		q.end = e.prev
	}
	q.bytes -= n
	q.len--
}

// replace puts the entry r, of n bytes, at the place of old, of m bytes.
func (q *queue) replace(old ref, m int64, r ref, n int64) {
	e, o := r.entry(), old.entry()
	e.prev, e.next = o.prev, o.next
	q.moved(r)
	q.bytes += n - m
}

// S3-FIFO: see the package comment.
const (
	smallPart = 10 // the small queue has a tenth of the bytes

	// promoteFrom is the number of uses from which an entry of the small queue moves to the main
	// queue.
	promoteFrom = 1

	// maxSteps bounds the entries that one eviction passes over. After them it evicts the next
	// entry, whatever its uses.
	maxSteps = 128
)

// victim returns the entry that must be evicted next, still linked, or 0. The mutex is held.
func (s *shard) victim() ref {
	for steps := 0; ; steps++ {
		small := s.small.end != 0 && (s.main.end == 0 || s.small.bytes*smallPart >= s.small.bytes+s.main.bytes)
		q := &s.main
		if small {
			q = &s.small
		}
		r := q.end
		if r == 0 {
			return 0
		}
		e := r.entry()
		if steps >= maxSteps {
			return r
		}
		n := s.core.usable(e)
		switch {
		case small && e.uses() >= promoteFrom:
			q.cut(r, n)
			e.tag = e.tag&^usesMask | inMain
			s.main.push(r, n)
		case !small && e.uses() > 0:
			q.cut(r, n)
			e.tag -= oneUse
			q.push(r, n)
		default:
			return r
		}
	}
}

// enqueue adds a new entry to its queue.
func (s *shard) enqueue(r ref, n int64) {
	if e := r.entry(); e.main() || s.table.recall(e.hash()) { // LoadFrom knows the queue
		e.tag |= inMain
		s.main.push(r, n)
		return
	}
	s.small.push(r, n)
}

// queueOf returns the queue of an entry.
func (s *shard) queueOf(e *entry) *queue {
	if e.main() {
		return &s.main
	}
	return &s.small
}
