// Centrals: spans that have free blocks, by class and P. See engine.go for overview.

package engine

import "sync/atomic"

const (
	listNone   = iota
	listReady  // worth taking from: at least an eighth has been free since it was empty
	listScarce // a last resort: going there for a block or two each time costs locality
)

// churn is how many spans of a central must have gone before it is taken for granted that others will.
const churn = 64

// A central looks after spans of one class: those that a certain P has asked for. They are in its lists if they have free blocks.
//
// The first cache line is what the work needs, the second what Stats is told. They come in pairs to a P, so both are its own.
//
//	Σ taken - Σ given == Σ blocks - free over the spans of the class
type central struct {
	mu     mutex
	ready  list
	scarce list
	free   int64        // free blocks of the spans in both lists
	count  atomic.Int32 // spans in ready; read without the lock as a hint
	used   atomic.Bool  // its P has taken from it since another P has last looked; see adopt
	gone   atomic.Int32 // spans whose blocks have all come back; see newSpan

	taken, given uint64 // blocks, since the heap was made
	adopted      uint64 // spans, from other Ps
	_            [40]byte
}

// A shard is the centrals of a P, and its stash.
type shard struct {
	centrals [classLimit]central
	stash    stash
}

// shardOf returns the shard of P p, number 0 to MaxProcs-1, which is made when it is first needed.
func (h *Heap) shardOf(p uint32) *shard {
	if s := h.shards[p].Load(); s != nil {
		return s
	}
	h.shards[p].CompareAndSwap(nil, new(shard))
	for n := h.shardCount.Load(); n <= p; n = h.shardCount.Load() {
		h.shardCount.CompareAndSwap(n, p+1)
	}
	return h.shards[p].Load()
}

// takeBatch takes blocks of class c from the centrals of P p, from other centrals or from a new span, and returns how many: at
// least one, unless memory is exhausted.
func (h *Heap) takeBatch(c uint8, p int, buf []ref) int {
	home := uint32(p) % MaxProcs
	ct := &h.shardOf(home).centrals[c]
	if !ct.used.Load() {
		ct.used.Store(true)
	}
	if n := ct.take(buf, false); n != 0 {
		return n
	}
	if h.adopt(c, home) {
		if n := ct.take(buf, false); n != 0 {
			return n
		}
	}
	for try := 0; ; try++ {
		if s := h.newSpan(c, home, ct.gone.Load() >= churn); s != nil {
			return ct.takeFirst(s, buf)
		}
		if n := h.takeScarce(c, buf); n != 0 {
			return n
		}
		if try == reliefs || !h.relieve() {
			return 0
		}
	}
}

// newSpan returns a span of class c, all of whose blocks are free. It is in no list. It is a large one if there are many already, or if
// spans come and go: fewer of them are less work.
func (h *Heap) newSpan(c uint8, home uint32, large bool) *span {
	k := &classes[c]
	n, units := k.pages, k.units
	if large || h.spans[c].Load() >= manySpans {
		n, units = k.morePages, k.moreUnits
	}
	ps := &h.pages
	ps.mu.Lock()
	s := ps.take(uint32(n), 1, kindSpan, c, units)
	if s != nil {
		s.setShard(home)
		ps.spansMade[c]++
	}
	after := ps.afterTake()
	ps.mu.Unlock()
	h.afterTake(after)
	if s != nil {
		h.spans[c].Add(1)
		h.spanBlocks[c].Add(int64(s.blocks))
	}
	return s
}

// take takes blocks from the spans that are ready, and from the scarce ones too if it must.
func (ct *central) take(buf []ref, must bool) (n int) {
	ct.mu.Lock()
	for n < len(buf) && ct.ready.head != 0 {
		n += ct.takeFrom(ct.ready.head.span(), buf[n:])
	}
	for must && n < len(buf) && ct.scarce.head != 0 {
		n += ct.takeFrom(ct.scarce.head.span(), buf[n:])
	}
	ct.mu.Unlock()
	return n
}

// takeFirst takes blocks from a new span, and lists it if any are left.
func (ct *central) takeFirst(s *span, buf []ref) int {
	ct.mu.Lock()
	n := s.take(buf)
	if s.free != 0 {
		ct.list(s, listReady)
		ct.free += int64(s.free)
	}
	ct.taken += uint64(n)
	ct.mu.Unlock()
	return n
}

func (ct *central) takeFrom(s *span, buf []ref) int {
	n := s.take(buf)
	ct.taken += uint64(n)
	ct.free -= int64(n)
	if s.free == 0 {
		ct.list(s, listNone)
	}
	return n
}

// list moves s to another list.
func (ct *central) list(s *span, to uint8) {
	switch s.list {
	case listReady:
		ct.ready.remove(s)
		ct.count.Add(-1)
	case listScarce:
		ct.scarce.remove(s)
	}
	s.list = to
	switch to {
	case listReady:
		ct.ready.push(s)
		ct.count.Add(1)
	case listScarce:
		ct.scarce.push(s)
	}
}

// adopt moves a span that is ready from another shard to the one of P home, if there is one that will not be missed: its shard has
// another, or its P is gone, or has not taken from that central since it was spared the last time. So a goroutine that moves from P to P
// takes its spans along, and Ps at work leave one another alone.
func (h *Heap) adopt(c uint8, home uint32) bool {
	count, procs := h.shardCount.Load(), h.procs.Load()
	to := &h.shardOf(home).centrals[c]
	for i := uint32(1); i < count; i++ {
		other := (home + i) % count
		sh := h.shards[other].Load()
		if sh == nil || other == home {
			continue
		}
		from := &sh.centrals[c]
		if n := from.count.Load(); n == 0 || n == 1 && other < procs && from.used.Swap(false) {
			continue
		}
		// Both locks, so that a block of the span that comes back meanwhile finds it listed; in the order of the shards.
		first, second := from, to
		if home < other {
			first, second = to, from
		}
		first.mu.Lock()
		second.mu.Lock()
		s := from.ready.head.span()
		if s != nil {
			from.list(s, listNone)
			from.free -= int64(s.free)
			s.setShard(home)
			to.list(s, listReady)
			to.free += int64(s.free)
			to.adopted++
		}
		second.mu.Unlock()
		first.mu.Unlock()
		if s != nil {
			return true
		}
	}
	return false
}

// takeScarce takes blocks from wherever there are some.
func (h *Heap) takeScarce(c uint8, buf []ref) int {
	for i := range h.shardCount.Load() {
		if sh := h.shards[i].Load(); sh != nil {
			if n := sh.centrals[c].take(buf, true); n != 0 {
				return n
			}
		}
	}
	return 0
}

func (s *span) setShard(i uint32) { atomic.StoreUint32(&s.shard, i) }
func (s *span) getShard() uint32  { return atomic.LoadUint32(&s.shard) }

// giveBatch gives blocks of class c back to their spans, and overwrites blocks. Each central that is concerned is locked once. What
// is wrong with a block is reported when all others have been dealt with; it stays what it is.
func (h *Heap) giveBatch(c uint8, blocks []ref) {
	var bad misused
	h.give(c, blocks, &bad)
	bad.report(h)
}

// give is giveBatch without the report.
func (h *Heap) give(c uint8, blocks []ref, bad *misused) {
	for len(blocks) != 0 {
		if s := h.spanOf(blocks[0], c); s != nil {
			blocks = h.giveShard(c, s.getShard(), blocks, bad)
		} else {
			bad.add(blocks[0], c)
			blocks = blocks[1:]
		}
	}
}

// misused is what is to be reported in the end: all, unless it is more than a program with a single bug will do.
type misused struct {
	n       int
	blocks  [8]ref
	classes [8]uint8
}

func (m *misused) add(p ref, c uint8) {
	if m.n < len(m.blocks) {
		m.blocks[m.n], m.classes[m.n] = p, c
		m.n++
	}
}

func (m *misused) report(h *Heap) {
	for i := range m.n {
		h.report(m.blocks[i], uintptr(classes[m.classes[i]].size))
	}
}

// giveShard gives those blocks back whose spans belong to that shard, and returns the others.
func (h *Heap) giveShard(c uint8, home uint32, blocks []ref, bad *misused) []ref {
	k := &classes[c&(classLimit-1)]
	ct := &h.shardOf(home).centrals[c&(classLimit-1)]
	var empty list
	left := 0
	ct.mu.Lock()
	for i := 0; i < len(blocks); {
		s := h.spanOf(blocks[i], c)
		if s == nil || s.getShard() != home {
			blocks[left] = blocks[i]
			left++
			i++
			continue
		}
		if n := s.put(blocks[i:], k); n != 0 {
			ct.returned(s, &empty, n)
			i += n
		} else {
			bad.add(blocks[i], c)
			i++
		}
	}
	ct.mu.Unlock()
	h.freeSpans(c, &empty)
	return blocks[:left]
}

// returned puts s, to which n blocks have come back, into the list where it now belongs, or into empty if all its blocks are free.
func (ct *central) returned(s *span, empty *list, n int) {
	ct.free += int64(n)
	ct.given += uint64(n)
	if Invariants && s.free > s.blocks {
		panic("galloc: engine: more free blocks than a span has")
	}
	if s.list != listReady || s.free == s.blocks {
		ct.relist(s, empty)
	}
}

// relist puts s into the list where it belongs after a block has come back, or adds it to empty if that was the last.
func (ct *central) relist(s *span, empty *list) {
	switch {
	case s.free == s.blocks:
		ct.gone.Add(1)
		ct.list(s, listNone)
		ct.free -= int64(s.free)
		empty.push(s)
	case s.free*8 >= s.blocks:
		ct.list(s, listReady)
	case s.list == listNone:
		ct.list(s, listScarce)
	}
}

// freeSpans gives spans without blocks in use back to the pages.
func (h *Heap) freeSpans(c uint8, spans *list) {
	if spans.head == 0 {
		return
	}
	ps := &h.pages
	n, blocks := int64(0), int64(0)
	ps.mu.Lock()
	for spans.head != 0 {
		s := spans.head.span()
		spans.remove(s)
		n++
		blocks += int64(s.blocks)
		ps.put(s, true)
	}
	ps.mu.Unlock()
	h.spans[c].Add(-n)
	h.spanBlocks[c].Add(-blocks)
	h.wake()
}

// spanOf returns the span that block b of class c belongs to, or nil if it is no such block.
func (h *Heap) spanOf(b ref, c uint8) *span {
	x := extentAt(b)
	if x == nil || x.heap != h {
		return nil
	}
	s := x.spanAt(b)
	if s == nil || s.kind != kindSpan || s.class != c {
		return nil
	}
	return s
}
