package memlimit

// figures are what the control looks at. Sizes are in bytes.
type figures struct {
	limit   uint64  // of the process
	goTotal uint64  // memory of the Go runtime, as GOMEMLIMIT counts it
	goBase  uint64  // the part of goTotal outside the heap: stacks, metadata
	goLive  uint64  // what the last garbage collection found in use
	cycles  uint64  // garbage collections so far
	heap    uint64  // footprint of the global allocator
	extra   uint64  // Options.OffHeap
	rest    uint64  // resident memory besides all of these: C, other processes
	stall   float64 // share of the time since the last look that some thread waited for memory
}

func (f *figures) offHeap() uint64 { return f.heap + f.extra }

// A control decides from the figures what to do. It is constant.
type control struct {
	reserve uint64  // bytes that stay unused; 0: see reserveOf
	floor   uint64  // least GOMEMLIMIT; 0 is limit/8
	ceiling uint64  // greatest GOMEMLIMIT: the one before Start
	stall   float64 // share of the time at which there is pressure; 0 is never
	strict  bool    // the global heap always has limits
}

func (c *control) reserveOf(limit uint64) uint64 {
	if c.reserve != 0 {
		return c.reserve
	}
	return max(min(limit/8, 1<<30), limit/64)
}

func (c *control) floorOf(limit uint64) uint64 {
	if c.floor != 0 {
		return c.floor
	}
	return limit / 8
}

// A state is what the control remembers from one look to the next.
type state struct {
	goLimit uint64 // GOMEMLIMIT as it was set last, or 0
	last    uint64 // memory outside of Go at the last look
	soft    uint64 // the soft limit of the global heap, or 0
	short   bool   // consumers have more than their part

	asked uint64 // bytes asked of the shrinkers last, or 0 since the shortage ended
	used  uint64 // memory outside of Go then
	least uint64 // and since then, at looks
	pause int    // looks until they are asked again
	wait  int    // the next pause

	pressed int // looks until pressure counts again

	cycles uint64 // garbage collections at the last look
	idle   int    // looks since one has ended
	gap    int    // looks without one before one is forced
}

// A decision is what to do after a look.
type decision struct {
	setLimit bool   // set GOMEMLIMIT to state.goLimit
	setSoft  bool   // set the soft limit of the global heap to state.soft
	collect  bool   // force a garbage collection
	ask      uint64 // bytes to ask of the shrinkers
}

// The constants of the control, in looks.
const (
	maxWait     = 64  // longest pause between two fruitless requests
	pressedWait = 10  // between two requests because of pressure
	minGap      = 10  // before a garbage collection is forced
	maxGap      = 640 // if the forced ones change nothing
)

// less returns a-b, or 0 if b is greater.
func less(a, b uint64) uint64 {
	if a < b {
		return 0
	}
	return a - b
}

// look decides. With the steps step = limit/128 and gap = limit/32, it keeps
//
//	GOMEMLIMIT + off-heap + rest + growth <= limit - reserve + step
//
// where growth is what the two before have grown by since the last look, and may grow by until the
// next: at most reserve/2. GOMEMLIMIT does not fall below the floor, nor below what is live, where
// it could save nothing. The control asks the shrinkers when
//
//	off-heap + rest > high = limit - reserve - max(floor, 5/4 of what Go needs)
//
// for enough to come down to high - gap, until half of that is reached. If a request frees less
// than an eighth of what was asked, the pause before the next doubles, unless the shortage grows by
// gap.
func (c *control) look(s state, f figures) (state, decision) {
	var d decision
	step, gap := f.limit/128, f.limit/32
	rest := less(f.limit, c.reserveOf(f.limit))
	used := f.offHeap() + f.rest
	floor := c.floorOf(f.limit)

	growth := uint64(0)
	if s.goLimit != 0 {
		growth = min(less(used, s.last), c.reserveOf(f.limit)/2)
	}
	s.last = used
	goLimit := max(less(rest, used+growth), floor, f.goBase+f.goLive+f.goLive/16)
	goLimit = min(goLimit, c.ceiling)
	if s.goLimit == 0 || goLimit+step < s.goLimit || goLimit > s.goLimit+2*step ||
		goLimit == c.ceiling && s.goLimit != goLimit {
		s.goLimit, d.setLimit = goLimit, true
	}

	high := less(rest, max(floor, f.goBase+f.goLive+f.goLive/4))
	low := less(high, gap)
	switch {
	case used > high:
		s.short = true
	case used <= high-(high-low)/2:
		s.short = false
	}

	soft := uint64(0)
	if c.strict || used > high/4*3 || s.soft != 0 && used > high/2 {
		soft = max(less(high, f.rest+f.extra), minSoft)
	}
	if (soft == 0) != (s.soft == 0) || max(soft, s.soft)-min(soft, s.soft) > 2*step {
		s.soft, d.setSoft = soft, true
	}

	s, d.collect = s.collect(f, step, floor)
	if d.collect && f.goTotal+used <= rest {
		return s, d // nothing is at its end yet: see first what Go frees
	}
	ask := uint64(0)
	if s.short {
		ask = less(used, low)
	}
	s.pressed = max(s.pressed-1, 0)
	if c.stall > 0 && f.stall >= c.stall && s.pressed == 0 && used > 0 {
		s.pressed = pressedWait
		d.ask = max(ask, min(gap, used))
		return s, d
	}
	s, d.ask = s.request(ask, used, gap)
	return s, d
}

// minSoft is the least soft limit that a heap accepts.
const minSoft = 1 << 20

// collect reports whether to force a garbage collection: Go has more than its part, or the part of
// the others depends on what was live long ago, and none has run for a while because the program
// does not allocate on the Go heap.
func (s state) collect(f figures, step, floor uint64) (state, bool) {
	if s.gap == 0 {
		s.gap = minGap
	}
	if f.cycles != s.cycles {
		s.cycles, s.idle = f.cycles, 0
	}
	s.idle++
	over := f.goTotal > s.goLimit+step && f.goTotal > f.goBase+f.goLive+step
	stale := s.short && f.goBase+f.goLive > floor
	if !over && !stale {
		s.gap = minGap
		return s, false
	}
	if s.idle < s.gap {
		return s, false
	}
	s.idle, s.gap = 0, min(4*s.gap, maxGap)
	return s, true
}

// request returns how many bytes to ask for now.
func (s state) request(ask, used, gap uint64) (state, uint64) {
	if ask == 0 {
		s.asked, s.used, s.least, s.pause, s.wait = 0, 0, 0, 0, 0
		return s, 0
	}
	s.least = min(s.least, used)
	if s.pause > 0 && used < s.least+gap {
		s.pause--
		return s, 0
	}
	if s.asked > 0 && s.least+s.asked/8 > s.used {
		s.wait = min(max(1, 2*s.wait), maxWait)
	} else {
		s.wait = 0
	}
	s.asked, s.used, s.least, s.pause = ask, used, used, s.wait
	return s, ask
}
