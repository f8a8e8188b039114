package bufpool

import (
	"time"

	"github.com/galloc-go/galloc/internal/percpu"
)

// arm sets the alarm if it is not set.
func (p *Pool) arm() {
	interval := p.interval()
	if interval == 0 {
		return
	}
	p.mu.Lock()
	was := p.ticking
	p.ticking = true
	p.mu.Unlock()
	if !was {
		p.alarm.Reset(interval)
	}
}

// interval returns the time between two ticks: a buffer that is idle from one tick to the next is
// freed, so none is idle for two intervals. It is 0 if buffers do not decay.
func (p *Pool) interval() time.Duration {
	switch d := p.options.Decay; {
	case d < 0:
		return 0
	case d == 0:
		return defaultDecay / 2
	default:
		return d / 2
	}
}

// tick frees the buffers that were idle since the last tick. The alarm calls it. A cache that is
// empty then, and was so at the last tick, sleeps: its next Put sets the alarm.
func (p *Pool) tick() {
	p.mu.Lock()
	p.ticking = false // before Drain: what is put back after it sets the alarm again
	p.mu.Unlock()
	awake := false
	own, shared := p.quotas()
	p.freeAll(func(c *cache) (chain link) {
		if c.quota == 0 {
			return link{}
		}
		if c.bytes == 0 && c.quiet {
			c.quota, c.quiet = 0, false
			return link{}
		}
		awake, c.quiet = true, c.bytes == 0
		for i := range c.lists {
			c.cut(i, c.lists[i].low, &chain)
		}
		if c.quota = own; c == &p.shared {
			c.quota = shared
		}
		return chain
	})
	if awake {
		p.arm()
	}
}

// Trim frees all idle buffers, and returns their number of bytes. It stops the world for some 10
// µs. The memory goes to the allocator, which may keep it.
func (p *Pool) Trim() int {
	p.prepare()
	return p.freeAll(func(c *cache) (chain link) {
		for i := range c.lists {
			c.cut(i, c.lists[i].n, &chain)
		}
		return chain
	})
}

// freeAll calls f with each cache, and frees the buffers of the chains that f returns. It returns
// their number of bytes.
func (p *Pool) freeAll(f func(*cache) link) (bytes int) {
	p.freeing.Lock()
	defer p.freeing.Unlock()
	var chains []link
	collect := func(c *cache) {
		if chain := f(c); chain != (link{}) {
			chains = append(chains, chain)
		}
	}
	p.table.Drain(collect)
	p.sharedMu.Lock()
	collect(&p.shared)
	p.sharedMu.Unlock()
	for _, chain := range chains {
		for b := chain.buffer(); b != nil; b = chain.buffer() {
			chain = b.next
			bytes += cap(b.b)
			p.free(b)
		}
	}
	return bytes
}

// cut moves the n buffers of list i that were used least recently to the chain.
func (c *cache) cut(i int, n int32, chain *link) {
	l := &c.lists[i]
	at := &l.head
	for range l.n - n {
		at = &at.buffer().next
	}
	first := *at
	*at = link{}
	if l.head == (link{}) {
		c.filled &^= 1 << i
	}
	l.n -= n
	l.low = l.n
	for b := first.buffer(); b != nil; b = first.buffer() {
		first, b.next = b.next, *chain
		chain.set(b)
		c.bytes -= int64(cap(b.b))
	}
}

// Stats are figures of a pool, a little out of date if it is in use.
type Stats struct {
	Idle    int    // bytes of idle buffers
	Buffers int    // buffers, idle or in use
	Guarded uint64 // guarded buffers handed out so far
}

// Stats returns the figures of p.
func (p *Pool) Stats() Stats {
	var s Stats
	p.table.Each(func(c *cache) { s.Idle += int(percpu.LoadInt(&c.bytes)) })
	p.sharedMu.Lock()
	s.Idle += int(p.shared.bytes)
	p.sharedMu.Unlock()
	p.mu.Lock()
	s.Buffers = p.headers.total - p.headers.idle - p.retired.n
	p.mu.Unlock()
	s.Guarded = p.guarded.Load()
	return s
}
