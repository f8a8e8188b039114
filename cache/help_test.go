package cache

import "testing"

// open returns a cache with a number of shards, or as many as usual if that is 0. The test closes
// it, after all invariants have been checked. If the test has a clock, no timer removes entries at
// moments that the test does not know: the test calls expire.
func open(t testing.TB, o Options, shards int) *Text {
	t.Helper()
	c, err := newCore(&o, shards)
	if err != nil {
		t.Fatal(err)
	}
	c.sweeper.armed = o.Now != nil
	t.Cleanup(func() {
		if !c.closed.Load() {
			c.verify(t)
		}
		c.close()
	})
	return &Text{c: c}
}

// verify checks all invariants of a cache that is not in use.
func (c *core) verify(t testing.TB) {
	t.Helper()
	total, entries, cost := int64(0), int64(0), int64(0)
	for i := range c.shards {
		s := &c.shards[i]
		if s.active.Load() != 0 {
			t.Errorf("shard %d: %d calls are active", i, s.active.Load())
		}
		n, timers := 0, 0
		seen := map[ref]bool{}
		for b := range s.table.count {
			for r := *s.table.head(b); r != 0; r = r.entry().chain {
				e := r.entry()
				if s.table.bucket(e.hash()) != b || seen[r] {
					t.Fatalf("shard %d: an entry is in bucket %d instead of %d, or twice", i, b, s.table.bucket(e.hash()))
				}
				seen[r] = true
				n++
				if e.refs != 1 {
					t.Errorf("an entry has %d references", e.refs)
				}
				if e.onWheel() {
					timers++
				}
				if e.onWheel() != e.has(hasTTL) {
					t.Errorf("an entry is on the wheel: %v, has a TTL: %v", e.onWheel(), e.has(hasTTL))
				}
				cost += e.cost()
			}
		}
		if n != int(s.table.len) || n != s.small.len+s.main.len || timers != s.wheel.count {
			t.Errorf("shard %d: %d entries, table %d, queues %d and %d; %d timers, wheel %d", i, n, s.table.len, s.small.len,
				s.main.len, timers, s.wheel.count)
		}
		if int(s.table.count) > max(segmentBuckets, 2*n+8) {
			t.Errorf("shard %d: %d buckets for %d entries", i, s.table.count, n)
		}
		for _, q := range []*queue{&s.small, &s.main} {
			q.verify(t, s, seen)
		}
		s.wheel.verify(t)
		if s.weight.Load() != s.small.bytes+s.main.bytes {
			t.Errorf("shard %d: weight %d, queues %d and %d", i, s.weight.Load(), s.small.bytes, s.main.bytes)
		}
		total += s.weight.Load() + c.tableBytes(&s.table)
		entries += int64(n)
	}
	if total != c.bytes.used.Load() || entries != c.entries.used.Load() || cost != c.costs.used.Load() {
		t.Errorf("%d bytes, counted %d; %d entries, counted %d; cost %d, counted %d", total, c.bytes.used.Load(),
			entries, c.entries.used.Load(), cost, c.costs.used.Load())
	}
	c.verifyLimit(t)
}

// verifyLimit checks what holds at every moment.
func (c *core) verifyLimit(t testing.TB) {
	t.Helper()
	s := c.stats()
	if s.Footprint > s.Limit || s.Used > s.Limit-s.Fixed || c.entries.used.Load() > c.entries.max || c.costs.used.Load() > c.costs.max {
		t.Errorf("a limit is exceeded: %+v", s)
	}
}

func (q *queue) verify(t testing.TB, s *shard, in map[ref]bool) {
	t.Helper()
	bytes, n, prev := int64(0), 0, ref(0)
	for r := q.start; r != 0; r = r.entry().next {
		e := r.entry()
		if e.prev != prev || !in[r] || s.queueOf(e) != q {
			t.Fatalf("entry %d of a queue is wrong", n)
		}
		bytes += s.core.usable(e)
		prev = r
		n++
	}
	if q.end != prev || bytes != q.bytes || n != q.len {
		t.Errorf("a queue has %d entries and %d bytes, counted %d and %d", n, bytes, q.len, q.bytes)
	}
}

func (w *wheel) verify(t testing.TB) {
	t.Helper()
	n := 0
	for slot, r := range w.slots {
		level, digit := slot/slotsOfLevel, int64(slot%slotsOfLevel)
		if (r != 0) != (w.used[level]&(1<<digit) != 0) {
			t.Errorf("slot %d: the bit of slot %d is wrong", level, digit)
		}
		for ; r != 0; r = r.entry().extra().next {
			if r.entry().has(slides) {
				n++ // it may be due later than its slot
				continue
			}
			d := tickOf(r.entry().extra().deadline)
			if high := (level + 1) * levelBits; d >= w.now && (d>>high != w.now>>high || d>>(level*levelBits)%slotsOfLevel != digit) {
				t.Errorf("tick %d is in slot %d of level %d at %d", d, digit, level, w.now)
			}
			n++
		}
	}
	if n != w.count {
		t.Errorf("%d entries on the wheel, counted %d", n, w.count)
	}
}
