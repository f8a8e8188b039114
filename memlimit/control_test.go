package memlimit

import (
	"math"
	"math/rand/v2"
	"testing"
)

const (
	mib = uint64(1) << 20
	gib = uint64(1) << 30
)

func testControl() control { return control{ceiling: math.MaxInt64, stall: 0.1} }

// A world is a model of a process, advanced by each look: a Go heap with a garbage collector that
// obeys GOMEMLIMIT, and a cache outside of it.
type world struct {
	t       *testing.T
	control control
	state   state
	f       figures
	live    uint64 // of the Go heap; f.goLive is what the last collection saw
	free    func(want uint64) uint64

	sets, asks, softs, forced int
	tight                     int // garbage collections because of GOMEMLIMIT
}

func newWorld(t *testing.T, limit uint64) *world {
	w := &world{t: t, control: testControl()}
	w.f = figures{limit: limit, goBase: limit / 128, goTotal: limit / 128}
	w.free = func(want uint64) uint64 {
		n := min(want, w.f.heap)
		w.f.heap -= n
		return n
	}
	return w
}

func (w *world) gc() {
	w.f.cycles++
	w.f.goLive = w.live
	w.f.goTotal = w.f.goBase + w.live
}

// allocate allocates n bytes of garbage on the Go heap; live may have changed before.
func (w *world) allocate(n uint64) {
	const part = 64
	for range part {
		w.f.goTotal = max(w.f.goTotal+n/part, w.f.goBase+w.live)
		switch {
		case w.f.goTotal >= w.state.goLimit:
			w.tight++
			w.gc()
		case w.f.goTotal >= w.f.goBase+max(2*w.f.goLive, w.f.limit/128): // GOGC=100
			w.gc()
		}
	}
}

// look lets the control look, and does what it decides.
func (w *world) look() decision {
	w.t.Helper()
	var d decision
	w.state, d = w.control.look(w.state, w.f)
	floor := w.control.floorOf(w.f.limit)
	if w.state.goLimit < floor {
		w.t.Fatalf("GOMEMLIMIT is %d, below the floor %d", w.state.goLimit, floor)
	}
	used := w.f.offHeap() + w.f.rest
	need := max(floor, w.f.goBase+w.f.goLive+w.f.goLive/16)
	allowed := max(less(w.f.limit-w.control.reserveOf(w.f.limit), used), need) + 2*w.f.limit/128
	if w.state.goLimit > allowed {
		w.t.Fatalf("GOMEMLIMIT is %d, with %d of %d bytes used outside: more than %d", w.state.goLimit, used, w.f.limit, allowed)
	}
	if d.setLimit {
		w.sets++
	}
	if d.setSoft {
		w.softs++
	}
	if d.collect {
		w.forced++
		w.gc()
	}
	if d.ask > 0 {
		w.asks++
		w.free(d.ask)
	}
	return d
}

func (w *world) mustFit() {
	w.t.Helper()
	if sum := w.f.goTotal + w.f.offHeap() + w.f.rest; sum > w.f.limit {
		w.t.Fatalf("%d bytes are used, of %d: %+v", sum, w.f.limit, w.f)
	}
}

// Alternating load: the Go heap and the cache each want most of the memory in turn. The sum never
// exceeds the limit, and each gets its turn.
func TestAlternatingLoadStaysWithinTheLimit(t *testing.T) {
	for _, limit := range []uint64{128 * mib, 512 * mib, 64 * gib, 6 << 40} {
		w := newWorld(t, limit)
		most := [2]uint64{}
		for tick := range 4000 {
			if tick/400%2 == 0 {
				w.live = min(w.live+limit/200, limit*5/8)
				w.f.heap += limit / 400 // the cache goes on
			} else {
				w.live = less(w.live, limit/50)
				w.f.heap += limit / 100
			}
			w.allocate(limit / 20)
			w.look()
			w.mustFit()
			if tick > 800 {
				most = [2]uint64{max(most[0], w.live), max(most[1], w.f.heap)}
			}
		}
		if most[0] < limit/2 || most[1] < limit/2 {
			t.Errorf("limit %d: Go had at most %d bytes, the cache %d", limit, most[0], most[1])
		}
		t.Logf("limit %d: %d collections because of it, %d forced, %d requests, %d adjustments", limit, w.tight, w.forced, w.asks, w.sets)
		if w.tight > 4000 {
			t.Errorf("limit %d: %d garbage collections because of it", limit, w.tight)
		}
	}
}

// A cache that fills while the Go heap is idle and holds garbage: the garbage is collected before
// the cache loses anything, and once.
func TestIdleGarbageGoesFirst(t *testing.T) {
	w := newWorld(t, gib)
	w.live = gib / 4
	w.allocate(gib / 2)
	w.gc()
	w.live = 0 // garbage, but Go does not know
	for range 200 {
		if w.f.heap < gib*3/4 {
			w.f.heap += gib / 128
		}
		w.look()
		w.mustFit()
	}
	if w.asks != 0 || w.forced == 0 || w.forced > 2 || w.f.heap < gib*3/4 {
		t.Errorf("%d requests, %d garbage collections, %d bytes in the cache", w.asks, w.forced, w.f.heap)
	}
}

// Noise below the steps changes nothing.
func TestNoiseAdjustsNothing(t *testing.T) {
	w := newWorld(t, gib)
	w.f.heap, w.live = gib/2, gib/8
	w.gc()
	w.look()
	w.sets, w.softs = 0, 0
	r := rand.New(rand.NewPCG(1, 2))
	for range 10000 {
		w.f.heap = gib/2 + r.Uint64N(gib/128)
		w.look()
	}
	if w.sets > 1 || w.softs > 1 || w.asks > 0 || w.forced > 0 {
		t.Errorf("%d changes of GOMEMLIMIT, %d of the soft limit, %d requests, %d collections", w.sets, w.softs, w.asks, w.forced)
	}
}

// A cache that hovers at its part is asked once for each gap that it grows, not at each look.
func TestRequestsHaveHysteresis(t *testing.T) {
	w := newWorld(t, gib)
	w.look()
	for range 3200 {
		w.f.heap += gib / 3200
		w.look()
	}
	grown := w.asks
	for range 3200 {
		w.f.heap += gib / 3200
		w.look()
	}
	if n := w.asks - grown; n < 16 || n > 33 {
		t.Errorf("%d requests while the cache grew by 32 gaps", n)
	}
}

// Consumers that free nothing are asked less and less, but at once if the shortage grows.
func TestFruitlessRequestsPause(t *testing.T) {
	w := newWorld(t, gib)
	w.free = func(uint64) uint64 { return 0 }
	w.f.heap = gib * 7 / 8
	for range 1000 {
		w.look()
	}
	if w.asks < 10 || w.asks > 30 {
		t.Errorf("%d requests in 1000 looks", w.asks)
	}
	w.look()
	w.f.heap += gib / 32
	if d := w.look(); d.ask == 0 {
		t.Error("no request after the shortage has grown")
	}
	w.f.heap = gib / 8
	w.look()
	w.f.heap = gib * 7 / 8
	if d := w.look(); d.ask == 0 {
		t.Error("no request in a new shortage")
	}
}

// Go's limit never falls below what is live, and consumers are asked for all that Go needs.
func TestTheGoHeapIsNotStarved(t *testing.T) {
	w := newWorld(t, gib)
	w.f.rest = gib / 8
	for range 100 {
		w.live = min(w.live+gib/64, gib/2)
		w.f.heap += gib / 64
		w.gc()
		w.look()
		w.mustFit()
		if w.state.goLimit < w.f.goBase+w.live+w.live/16-gib/128 {
			t.Fatalf("GOMEMLIMIT is %d, with %d live", w.state.goLimit, w.live)
		}
	}
	if w.live != gib/2 {
		t.Error(w.live)
	}
	w.free = func(uint64) uint64 { return 0 }
	w.f.heap = gib * 3 / 4
	if w.look(); w.state.goLimit < w.live+w.live/16 {
		t.Errorf("GOMEMLIMIT is %d, with %d live, and consumers that free nothing", w.state.goLimit, w.live)
	}
}

// Consumers that free a part at a time are asked until there is a gap.
func TestRequestsEndWithAGap(t *testing.T) {
	w := newWorld(t, gib)
	w.free = func(want uint64) uint64 {
		w.f.heap -= min(want, gib/128)
		return 0
	}
	w.f.heap = gib - gib/8 - gib/8 + gib/64 // above its part
	for range 20 {
		w.look()
	}
	if end := gib - gib/8 - gib/8 - gib/64; w.f.heap > end || w.f.heap < end-gib/128 {
		t.Errorf("the heap has %d bytes at the end, not %d", w.f.heap, end)
	}
}

// If the Go heap holds no garbage, collections that are forced become rare.
func TestForcedCollectionsBecomeRare(t *testing.T) {
	w := newWorld(t, gib)
	w.free = func(uint64) uint64 { return 0 }
	w.live = gib / 2
	w.gc()
	w.f.heap = gib * 7 / 16
	for range 1000 {
		w.look()
	}
	if w.forced < 3 || w.forced > 5 {
		t.Errorf("%d collections", w.forced)
	}
}

func TestPressureAsks(t *testing.T) {
	w := newWorld(t, gib)
	w.f.heap = gib / 4
	w.f.stall = 0.5
	for range 100 {
		w.look()
	}
	if w.asks < 5 || w.asks > 10 {
		t.Errorf("%d requests in 100 looks under pressure", w.asks)
	}
	if w.f.stall = 0.05; w.look().ask != 0 {
		t.Error("a request without pressure")
	}
	w.control.stall, w.f.stall = 0, 1
	for range 20 {
		if w.look().ask != 0 {
			t.Error("a request although pressure is ignored")
		}
	}
}

// The soft limit of the heap, which costs it its stashes, is set near the end only, with a gap.
func TestTheSoftLimitIsSetNearTheEndOnly(t *testing.T) {
	w := newWorld(t, gib)
	for _, step := range []struct {
		heap uint64
		set  bool
	}{{gib / 4, false}, {gib / 2, false}, {gib * 3 / 4, true}, {gib / 2, true}, {gib * 3 / 8, false}} {
		w.f.heap = step.heap
		w.look()
		if (w.state.soft != 0) != step.set {
			t.Errorf("with %d bytes: the soft limit is %d", step.heap, w.state.soft)
		}
	}
}

// GOMEMLIMIT as the user has set it is never exceeded.
func TestTheCeilingHolds(t *testing.T) {
	w := newWorld(t, gib)
	w.control.ceiling = 300 * mib
	for _, h := range []uint64{0, gib / 2, gib * 3 / 4, 0} {
		w.f.heap = h
		w.look()
		if w.state.goLimit > 300*mib {
			t.Errorf("GOMEMLIMIT is %d", w.state.goLimit)
		}
	}
	if w.state.goLimit != 300*mib {
		t.Errorf("GOMEMLIMIT is %d at the end", w.state.goLimit)
	}
}

// The bounds of a decision hold for any figures.
func TestAnyFigures(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	any := func() uint64 { return r.Uint64N(1 << (10 + r.IntN(45))) }
	c := testControl()
	for range 1000 {
		var s state
		for range 100 {
			f := figures{
				limit: 1 + any(), goTotal: any(), goBase: any(), goLive: any(), heap: any(), extra: any(), rest: any(),
				stall: r.Float64(), cycles: any(),
			}
			before := s
			var d decision
			s, d = c.look(s, f)
			used := f.offHeap() + f.rest
			if s.goLimit+f.limit/64 < c.floorOf(f.limit) && before.goLimit == 0 || d.ask > used ||
				s.soft != 0 && s.soft < minSoft || s.pause > maxWait || !d.setLimit && s.goLimit != before.goLimit {
				t.Fatalf("%+v, %+v: %+v, %+v", before, f, s, d)
			}
		}
	}
}
