package soak

import (
	"time"

	"github.com/galloc-go/galloc/memcheck"
)

const (
	waveTime = 10 * time.Second / 3 // at least, if there are minWaves of them
	minWaves = 3
	maxWaves = 100
	low      = 0.1 // the load at a trough; at the top it is 1
)

func wavesIn(t time.Duration) int { return min(max(int(t/waveTime), minWaves), maxWaves) }

// wave returns the load at x of a wave: it is low at 0, rises, stays at 1, falls, and is low again.
// From quietFrom on the workers do little, so that the allocator can release the freed memory to
// the system before the wave ends.
func wave(x float64) (load float64) {
	switch {
	case x < 0.2:
		return low + (1-low)*x/0.2
	case x < 0.3:
		return 1
	case x < 0.45:
		return 1 - (1-low)*(x-0.3)/0.15
	}
	return low
}

const quietFrom = 0.55

// setGoals sets the goals of the workers at x of a wave.
func (s *soak) setGoals(x float64) {
	load := wave(x)
	s.goal.Store(int64(load * float64(s.share)))
	if s.maxBig > s.maxSmall {
		s.bigGoal.Store(int64(load * float64(s.live/4)))
	}
	quiet := x >= quietFrom
	if was := s.quiet.Swap(quiet); quiet && !was {
		memcheck.Global().Drain() // a checker keeps freed blocks, which is no growth
	}
}

// ride runs the waves. It calls now every second, and trough at the end of each wave.
func (s *soak) ride(r *result, start time.Time, length time.Duration, ended <-chan struct{},
	now func(passed, since time.Duration, live, operations uint64), trough func(),
) {
	waves := wavesIn(length)
	tick := time.NewTicker(tickTime)
	defer tick.Stop()
	done := 0 // waves
	var told, last time.Duration
	var before uint64 // operations
	for !s.stop.Load() {
		passed := time.Since(start)
		x := float64(passed) / float64(length) * float64(waves)
		if !s.quiet.Load() {
			r.Busy += passed - last
		}
		last = passed
		live, operations := s.current()
		r.PeakLive = max(r.PeakLive, live)
		for ; done < min(int(x), waves); done++ {
			trough()
		}
		if since := passed - told; since >= nowTime {
			now(passed, since, live, operations-before)
			told, before = passed, operations
		}
		if done == waves {
			return
		}
		s.setGoals(x - float64(done))
		select {
		case <-tick.C:
		case <-ended:
			r.Interrupted = true
			return
		}
	}
}
