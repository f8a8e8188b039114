package cache

// Stats is the state of a cache, and counts of events since it was made. Sizes are in bytes:
//
//	Used      == Keys + Values + Headers + Rounding + Table + Unlinked
//	Footprint == Used + Heap + Fixed <= Limit
//
// While the cache is in use, the figures are of slightly different moments.
type Stats struct {
	Entries int64 // that have not been removed, even if they have expired lately
	Cost    int64 // the sum of their costs

	Hits, Misses uint64 // of Get, View and GetOrLoad
	Sets         uint64 // that succeeded
	Evicted      uint64 // removed entries, by reason
	Expired      uint64
	Deleted      uint64
	Replaced     uint64
	Cleared      uint64
	Moved        uint64 // times that an entry or a part of the table was moved, to free a page

	Limit     int64 // MaxBytes
	Footprint int64 // all memory of the cache; with an Allocator, Used and Fixed
	Used      int64 // blocks, at their usable sizes
	Keys      int64
	Values    int64
	Headers   int64 // with padding
	Rounding  int64 // added by the allocator to the sizes of entries
	Table     int64 // with the remembered keys
	Unlinked  int64 // entries that are being set, or are removed but still being read
	Heap      int64 // of the heap beside the blocks: free memory, metadata; 0 with an Allocator
	Fixed     int64 // set aside for Go memory of the cache and its heap
}

func (c *core) stats() Stats {
	s := Stats{Limit: c.limit, Fixed: c.fixed}
	if !c.shards[0].enter() {
		return s
	}
	defer c.shards[0].leave()
	weight := int64(0)
	for i := range c.shards {
		s.add(&c.shards[i], &weight)
	}
	s.Cost = c.costs.used.Load()
	s.Used = c.bytes.used.Load()
	s.Rounding = weight - s.Keys - s.Values - s.Headers
	s.Unlinked = max(0, s.Used-weight-s.Table)
	s.Footprint = s.Used + s.Fixed
	if c.heap != nil {
		f := int64(c.heap.ReadStats().Footprint)
		s.Heap = max(0, f-s.Used)
		s.Footprint = f + s.Fixed
	}
	return s
}

// add adds the figures of a shard.
func (s *Stats) add(x *shard, weight *int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := &x.counts
	s.Entries += int64(x.small.len + x.main.len)
	s.Hits += n.hits
	s.Misses += n.misses
	s.Sets += n.sets
	s.Evicted += n.removed[Evicted]
	s.Expired += n.removed[Expired]
	s.Deleted += n.removed[Deleted]
	s.Replaced += n.removed[Replaced]
	s.Cleared += n.removed[Cleared]
	s.Moved += n.moved
	s.Keys += n.keys
	s.Values += n.values
	s.Headers += n.headers
	s.Table += x.core.tableBytes(&x.table)
	*weight += x.weight.Load()
}

// tableBytes returns the usable sizes of the blocks of a table.
func (c *core) tableBytes(t *table) int64 {
	n := int64(t.segments) * c.usableSize(segmentSize)
	for d, r := range t.directories {
		if r != 0 {
			n += c.usableSize(directorySize(d))
		}
	}
	return n
}
