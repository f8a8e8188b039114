// Package sample chooses the allocations that are looked at more closely: by their bytes, with a
// [Sampler], or one in a number of them, with [Random].
package sample

import (
	"math"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/percpu"
)

// A Sampler samples allocations by their bytes. It sees all allocations of a P as one row of bytes,
// and places marks in that row, at distances with an exponential distribution whose mean is the
// rate. An allocation is sampled if a mark lies in it. The distribution has no memory, so the next
// distance begins after the sampled allocation, and each allocation of s bytes is sampled with the
// probability
//
//	p = 1 - exp(-s/rate)
//
// whatever was allocated before it: no pattern of sizes hides from it. A sampled allocation stands
// for 1/p allocations: see Weight. The method is tcmalloc's, which Go's heap profile has too.
//
// Each P has a countdown, which is changed in a section: see package percpu. A goroutine that moves
// to another P between the end of a countdown and the draw of the next one leaves the sample to the
// next allocation of that P.
//
// All methods are safe for concurrent use. A Sampler must not be copied.
type Sampler struct {
	table  percpu.Table[countdown]
	rate   atomic.Int64
	random func() uint32 // 32 random bits
}

// A countdown is the state of one P.
//
//	armed: a mark lies left bytes ahead; left > 0 outside of a section and of cross
//	!armed: left <= 0
type countdown struct {
	left   int64
	allocs uint64 // allocations of the P
	armed  bool
	_      [40]byte
}

// never is the distance to the next mark if there is none.
const never = math.MaxInt64

// Init sets the rate, in bytes, and the source of random numbers; nil is Random. It must be called
// before the first use.
func (s *Sampler) Init(rate int64, random func() uint32) {
	s.rate.Store(rate)
	if s.random = random; random == nil {
		s.random = Random
	}
}

// Rate returns the mean distance of two samples in bytes: 1 if every allocation is sampled, and 0
// if none is.
func (s *Sampler) Rate() int64 { return s.rate.Load() }

// SetRate changes the rate. Allocations that run at the same time may use the old one. It stops the
// world for some 10 µs.
func (s *Sampler) SetRate(rate int64) {
	s.rate.Store(rate)
	s.table.Drain(func(c *countdown) { c.left, c.armed = 0, false })
}

// Skips counts an allocation of n bytes, and reports whether it is not sampled.
//
//go:noinline
//go:nosplit
func (s *Sampler) Skips(n uintptr) bool {
	c := s.table.Of(percpu.ID())
	if c == nil {
		return s.skipsSlow(n, false)
	}
	c.allocs++
	c.left -= int64(n)
	if c.left > 0 {
		return true
	}
	return s.skipsSlow(n, true)
}

// skipsSlow is Skips where the P has no countdown, or where it has ended; then the allocation is
// counted.
func (s *Sampler) skipsSlow(n uintptr, counted bool) bool {
	first, second := s.distance(), s.distance()
	for {
		if percpu.Limit() != 0 {
			p := percpu.Pin()
			if p < percpu.MaxProcs {
				if c := s.table.At(uint32(p)); c != nil {
					skips := c.skips(n, counted, first, second)
					percpu.Unpin()
					return skips
				}
			}
			percpu.Unpin()
		}
		if c := s.table.Lock(); c != nil {
			skips := c.skips(n, counted, first, second)
			s.table.Unlock(c)
			return skips
		} // else the P has a countdown now
	}
}

// skips counts an allocation of n bytes, unless it is counted, and reports whether it is not
// sampled.
func (c *countdown) skips(n uintptr, counted bool, first, second int64) bool {
	if !counted {
		c.allocs++
		c.left -= int64(n)
	}
	return c.left > 0 || c.cross(n, first, second)
}

// cross places the marks ahead where a countdown has ended with an allocation of n bytes, and
// reports whether that is not sampled. The distances are from the random source.
func (c *countdown) cross(n uintptr, first, second int64) bool {
	switch {
	case first == never: // also an allocation of nearly that many bytes, which fails
		c.armed, c.left = true, never
		return true
	case !c.armed:
		c.armed = true
		c.left = first - int64(n)
	}
	if c.left > 0 {
		return true
	}
	c.left = second
	return false
}

// distance draws the distance to the next mark.
func (s *Sampler) distance() int64 {
	switch rate := s.rate.Load(); rate {
	case 0:
		return never
	case 1:
		return 1
	default:
		// 53 random bits are a number in (0, 1].
		bits := uint64(s.random())<<21 ^ uint64(s.random())>>11
		u := float64(bits+1) / (1 << 53)
		return max(1, int64(math.Ceil(-math.Log(u)*float64(rate))))
	}
}

// Weight returns the estimated number of allocations of n bytes for each sampled one: 1/p, if an
// allocation of n bytes is sampled with the probability p. It is at least 1.
func (s *Sampler) Weight(n uintptr) float64 {
	rate := s.rate.Load()
	if rate <= 1 {
		return 1
	}
	return -1 / math.Expm1(-float64(n)/float64(rate))
}

// Allocations returns the number of allocations counted so far, a little out of date.
func (s *Sampler) Allocations() (n uint64) {
	s.table.Each(func(c *countdown) { n += percpu.Load(&c.allocs) })
	return n
}
