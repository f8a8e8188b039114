// Package memlimit keeps a process under one memory limit: Go's heap and the memory outside of it
// together. GOMEMLIMIT alone counts only the first, so a process with both must leave room for the
// second by guess.
//
// A [Governor] looks at the figures several times a second. It reads the limit of the process: the
// least of its control groups (cgroup version 1 or 2, with all ancestors) and the memory of the
// machine. It subtracts the off-heap memory from GOMEMLIMIT as it changes. If Go would get less
// than it needs, or the kernel reports memory pressure, it frees memory: the unused pages of the
// global heap first, then what the functions free that the program has registered.
//
//	g, err := memlimit.Start(memlimit.Options{}) // the limit of the container
//	if err != nil {
//		log.Fatal(err)
//	}
//	defer g.Close()
//	g.Register("sessions", 1, func(want uint64) uint64 { // asked before those with 2
//		return sessions.Evict(want) // bytes freed
//	})
//	block, err := memlimit.Retry(g, n, func() ([]byte, error) { // an allocation that frees
//		return galloc.MakeSlice[byte](nil, int(n)) //           memory and tries again
//	})
//
// [SystemLimit] and [Available] are providers for github.com/KimMachineGun/automemlimit, whose
// providers [Options.Provider] accepts.
package memlimit

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galloc-go/galloc/internal/alarm"
)

// Options configures a Governor. The zero value is a good default. Sizes are in bytes.
type Options struct {
	// Limit bounds the memory of the process, if it is less than what Provider returns. 0 means no
	// other limit.
	Limit uint64

	// Provider returns the limit of the process. It is called again every ten seconds or so, and
	// must not call the Governor. nil means SystemLimit.
	Provider func() (uint64, error)

	// Reserve is the part of the limit that stays unused, for what changes between two looks. 0
	// means an 8th of the limit or 1 GiB, whichever is less, but at least a 64th.
	Reserve uint64

	// Floor is the least GOMEMLIMIT that the Governor sets, so that Go's garbage collector does not
	// starve whatever the off-heap memory does. 0 means an 8th of the limit.
	Floor uint64

	// OffHeap returns memory outside of Go's heap that the footprint of the global allocator does
	// not include: other heaps, mapped files that must stay. On Linux the Governor counts what it
	// finds resident, so OffHeap matters for other systems and for memory that is not touched yet.
	// It must not call the Governor. nil means none.
	OffHeap func() uint64

	// Pressure is the share of the time, in percent, during which threads wait for memory, from
	// which consumers are asked to free some: see the line "some" in
	// https://docs.kernel.org/accounting/psi.html. 0 means 10. If Pressure is negative, or the
	// kernel does not count it, there is none.
	Pressure float64

	// Strict sets the hard limit of the global heap, so that allocations of off-heap memory fail
	// with galloc.ErrLimit when they exceed their part by half of the reserve. Otherwise a program
	// that allocates faster than the consumers free, or while the machine has no CPU for the
	// Governor, can exceed the limit. Programs should allocate by [Retry] then. A heap with limits
	// keeps no freed large blocks for each P, so that these cost more.
	Strict bool

	// Interval is the time between two looks. 0 means 100 ms; otherwise it must be at least a
	// millisecond. When the global allocator is a heap that comes near its part of the limit, the
	// Governor also looks at once when the heap exceeds it.
	Interval time.Duration
}

// A Governor keeps the process under a limit: see the package comment. All methods are safe for
// concurrent use, also from the functions that it calls. None waits for a consumer without a bound.
type Governor struct {
	options Options
	control control
	from    sources
	alarm   *alarm.Alarm

	looking  sync.Mutex  // held during a look; guards the following
	again    atomic.Bool // somebody wants another look
	state    state
	when     clock
	previous int64 // GOMEMLIMIT before Start

	mu        sync.Mutex // guards the following; nothing is called with it held
	closed    bool       // set with looking held too
	snapshot  Snapshot
	shrinkers []*shrinker // sorted by priority, then by registration
	round     *round      // the running one, or nil

	collecting atomic.Bool
}

// A clock has the moments of a Governor.
type clock struct {
	start   time.Time
	limited time.Time // when the limit was read
	looked  time.Time
	stalled uint64 // microseconds of pressure then
}

// limitInterval is the time after which the limit is read again.
const limitInterval = 10 * time.Second

// ErrRunning is the error of Start while another Governor is running.
var ErrRunning = errors.New("galloc/memlimit: another Governor is running: close it first")

// running reports whether there is a Governor that sets GOMEMLIMIT.
var running atomic.Bool

// Start starts a Governor, which works until it is closed. It is a use of the global allocator:
// after it, none can be registered. It sets GOMEMLIMIT, but never above the value that was set
// before. If the global allocator is a heap without limits, the Governor sets its soft limit while
// the heap is near its part.
//
// Start fails if a Governor is running, if the options contradict themselves or the limit, if a
// file with the limit of a control group is malformed, and if no limit is known. A look takes 100
// to 200 µs, most of it to read files of the kernel.
func Start(o Options) (*Governor, error) {
	from, err := realSources(o)
	if err != nil {
		return nil, err
	}
	if !running.CompareAndSwap(false, true) {
		return nil, ErrRunning
	}
	g, err := start(o, from)
	if err != nil {
		running.Store(false)
		return nil, err
	}
	g.alarm = alarm.New(func() { g.tick() })
	g.alarm.Reset(g.options.Interval)
	return g, nil
}

// start returns a Governor that has looked once and has no alarm.
func start(o Options, from sources) (*Governor, error) {
	if o.Interval == 0 {
		o.Interval = 100 * time.Millisecond
	}
	if o.Pressure == 0 {
		o.Pressure = 10
	}
	switch {
	case o.Interval < time.Millisecond:
		return nil, fmt.Errorf("galloc/memlimit: Options.Interval is %v: it must be at least 1ms", o.Interval)
	case math.IsNaN(o.Pressure) || o.Pressure > 100:
		return nil, fmt.Errorf("galloc/memlimit: Options.Pressure is %v: it must be a percentage", o.Pressure)
	case max(o.Limit, o.Reserve, o.Floor) >= unlimited:
		return nil, fmt.Errorf("galloc/memlimit: Options.Limit %d, Reserve %d or Floor %d is too large: 0 means the default",
			o.Limit, o.Reserve, o.Floor)
	}
	g := &Governor{options: o, from: from}
	g.previous = from.memoryLimit(-1)
	g.control = control{
		reserve: o.Reserve, floor: o.Floor, ceiling: uint64(g.previous), stall: max(o.Pressure, 0) / 100,
		strict: o.Strict,
	}
	g.when.start = from.now()
	limit, source, err := from.limit()
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		return nil, fmt.Errorf("galloc/memlimit: the limit of %s is 0 bytes", source)
	}
	if reserve, floor := g.control.reserveOf(limit), g.control.floorOf(limit); reserve >= limit || floor > limit-reserve {
		return nil, fmt.Errorf("galloc/memlimit: a reserve of %d and a floor of %d bytes exceed the limit of %d bytes from %s",
			reserve, floor, limit, source)
	}
	g.snapshot = Snapshot{Limit: min(limit, unlimited), Source: source}
	g.when.limited = g.when.start
	g.look()
	return g, nil
}

// Close stops g and restores what it has changed: GOMEMLIMIT, unless the program has set it since,
// and the limits of the global heap. A function that g has called may still be running. A second
// Close does nothing. It returns nil.
func (g *Governor) Close() error {
	g.looking.Lock()
	defer g.looking.Unlock()
	g.mu.Lock()
	closed := g.closed
	g.closed = true
	g.mu.Unlock()
	if closed {
		return nil
	}
	if set := g.state.goLimit; g.from.memoryLimit(-1) == int64(set) {
		g.from.memoryLimit(g.previous)
	}
	g.from.heapLimits(0, 0, nil)
	if g.alarm != nil {
		g.alarm.Stop()
		running.Store(false)
	}
	return nil
}

// Update looks at the figures at once instead of after the interval. If another look is in
// progress, that one is repeated, and Update does not wait.
func (g *Governor) Update() { g.look() }

// tick is called by the alarm.
func (g *Governor) tick() {
	g.look()
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.alarm.Reset(g.options.Interval)
	}
}

// look reads the figures, decides and acts. It does not wait for what it starts. If a look is in
// progress, that goroutine looks again.
func (g *Governor) look() {
	g.again.Store(true)
	for g.again.Load() && g.looking.TryLock() {
		g.again.Store(false)
		g.lookOnce()
		g.looking.Unlock()
	}
}

func (g *Governor) lookOnce() {
	if g.isClosed() {
		return
	}
	now := g.from.now()
	g.readLimit(now)
	f, err := g.read(now)
	g.note(err)
	var d decision
	g.state, d = g.control.look(g.state, f)
	if d.setLimit {
		g.from.memoryLimit(int64(g.state.goLimit))
	}
	if d.setSoft {
		hard := uint64(0)
		if g.control.strict {
			hard = g.state.soft + g.control.reserveOf(f.limit)/2
		}
		g.from.heapLimits(g.state.soft, hard, g.look)
	}
	g.mu.Lock()
	g.snapshot.enter(now, &f, &g.state, &d)
	g.mu.Unlock()
	if d.collect && g.collecting.CompareAndSwap(false, true) {
		g.from.run(func() {
			defer g.collecting.Store(false)
			g.from.collect()
		})
	}
	if d.ask > 0 {
		g.ask(d.ask)
	}
}

func (g *Governor) isClosed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// readLimit reads the limit again if it is due. If that fails, or the limit leaves no room, the old
// one stays.
func (g *Governor) readLimit(now time.Time) {
	if now.Sub(g.when.limited) < limitInterval {
		return
	}
	g.when.limited = now
	limit, source, err := g.from.limit()
	if err == nil && limit <= g.control.reserveOf(limit)+g.control.floorOf(limit) {
		err = fmt.Errorf("galloc/memlimit: the limit of %d bytes from %s leaves no room", limit, source)
	}
	if err != nil {
		g.note(err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot.Limit, g.snapshot.Source = min(limit, unlimited), source
}

// read returns the figures. If some cannot be read, they are 0, and the error says why.
func (g *Governor) read(now time.Time) (f figures, err error) {
	g.mu.Lock()
	f.limit = g.snapshot.Limit
	g.mu.Unlock()
	g.from.goFigures(&f)
	f.heap, f.extra = g.from.offHeap()
	used, err := g.from.used()
	f.rest = less(used, f.goTotal+f.offHeap())
	us, ok, err2 := g.from.stalled()
	if d := now.Sub(g.when.looked).Microseconds(); ok && d > 0 && g.when.stalled != 0 && us > g.when.stalled {
		f.stall = min(float64(us-g.when.stalled)/float64(d), 1)
	}
	if ok {
		g.when.stalled = max(us, 1)
	}
	g.when.looked = now
	return f, errors.Join(err, err2)
}

// note enters an error in the snapshot.
func (g *Governor) note(err error) {
	if err != nil {
		g.mu.Lock()
		g.snapshot.Error = err.Error()
		g.mu.Unlock()
	}
}
