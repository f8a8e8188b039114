package cache

import (
	"sync"
	"time"
)

// sweeper removes expired entries while there are entries with a TTL, by a timer.
type sweeper struct {
	mu    sync.Mutex
	timer *time.Timer
	armed bool
}

const (
	sweepEvery  = time.Second
	sweepAtOnce = 64 // entries while the mutex of a shard is held
)

// start starts the timer, unless it is running. The caller has entered a shard.
func (w *sweeper) start(c *core) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.armed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(sweepEvery, c.sweep)
	default:
		w.timer.Reset(sweepEvery)
	}
	w.armed = true
}

// stop stops the timer for ever. No shard is entered any more.
func (w *sweeper) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}

// sweep removes the entries that have expired, in the goroutine of the timer.
func (c *core) sweep() {
	if s := &c.shards[0]; s.enter() {
		defer s.leave()
	} else {
		return
	}
	c.sweeper.mu.Lock()
	c.sweeper.armed = false // from now on, a Set starts the timer
	c.sweeper.mu.Unlock()
	if c.expire() {
		c.sweeper.start(c)
	}
}

// expire removes all entries that have expired, and reports whether there are others with a TTL.
func (c *core) expire() (others bool) {
	for i := range c.shards {
		s := &c.shards[i]
		for more := true; more; {
			var list ref
			s.mu.Lock()
			more = s.expire(sweepAtOnce, &list)
			others = others || !more && s.wheel.count > 0
			s.mu.Unlock()
			c.finish(list)
		}
	}
	return others
}
