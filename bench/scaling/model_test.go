package main

import (
	"math"
	"runtime"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }

// With one lock the network is the machine repairman, whose answer is known in closed form: with
// rho = S/Z, the probability that the lock is idle is 1 / Σ n!/(n-i)! rho^i, and what it does when
// it is busy is what all get done.
func TestOneLockIsTheMachineRepairman(t *testing.T) {
	const think, hold = 300.0, 50.0
	d := demand{think: think, locks: []lock{{visits: 1, hold: hold}}}
	for _, n := range []int{1, 2, 8, 32, 128} {
		sum, term := 1.0, 1.0
		for i := range n {
			term *= float64(n-i) * hold / think
			sum += term
		}
		want := float64(n) * hold / (1 - 1/sum)
		if got, _ := d.cost(n, 0); !near(got, want) {
			t.Errorf("%d customers: an operation takes %v, want %v", n, got, want)
		}
	}
}

func TestAloneNobodyWaits(t *testing.T) {
	locks := []lock{{visits: 0.1, hold: 200}, {visits: 0.2, hold: 50, spread: 1}}
	d := newDemand(100, locks, locks)
	total, waits := d.cost(1, 1000)
	if !near(total, 100) || waits[0] != 0 || waits[1] != 0 {
		t.Errorf("an operation takes %v and waits %v, want 100 and nothing", total, waits)
	}
}

func TestASaturatedLockIsTheLimit(t *testing.T) {
	locks := []lock{{name: "narrow", visits: 0.1, hold: 100}, {name: "wide", visits: 1, hold: 20, spread: 1}}
	d := newDemand(100, locks, locks)
	k, n, ok := d.saturation(0)
	if !ok || d.locks[k].name != "narrow" || n != 10 { // 100 ns in all, 10 of them here
		t.Errorf("%q is saturated with %d Ps (%v), want narrow with 10", d.locks[k].name, n, ok)
	}
	const many = 1000
	if total, _ := d.cost(many, 0); math.Abs(total-many*0.1*100) > 50 {
		t.Errorf("with %d Ps an operation takes %v, want about %v", many, total, many*0.1*100)
	}
	wide := newDemand(100, locks[1:], locks[1:])
	if _, n, ok := wide.saturation(0); ok {
		t.Errorf("a lock for each P is saturated with %d", n)
	}
	// Customers are spread over as many locks: each finds less than one other.
	if total, _ := wide.cost(many, 0); total > 100+20 {
		t.Errorf("a lock for each P makes an operation take %v", total)
	}
}

func TestTransfersCountOnlyBetweenPs(t *testing.T) {
	l := lock{visits: 1, hold: 10}
	if l.held(1, 100) != 10 || l.held(2, 100) != 60 || l.held(100, 100) != 109 {
		t.Errorf("held %v, %v, %v, want 10, 60, 109", l.held(1, 100), l.held(2, 100), l.held(100, 100))
	}
}

func TestThereIsAlwaysSomethingToThink(t *testing.T) {
	locks := []lock{{visits: 2, hold: 90}}
	if d := newDemand(100, locks, locks); d.think != 10 {
		t.Errorf("think is %v, want 10", d.think)
	}
}

func TestTheDemandOfASample(t *testing.T) {
	h := &holds{
		centrals: []centralHold{{size: 16, fixed: 40, each: 5}, {size: 1024, fixed: 60, each: 7}}, span: 100,
		large: 200,
	}
	alone := sample{Ps: 1, Ops: 1000, Ns: 50_000, PageLocks: 10, Runs: 10, Taken: 10}
	many := sample{
		Ps: 8, Ops: 1000, Ns: 9e9, PageLocks: 20, Runs: 30, Taken: 16, Spans: 4,
		Classes: []classSample{{Size: 24, Locks: 10, Blocks: 80}, {Size: 4096, Locks: 100, Blocks: 100}},
	}
	d := (&studied{work: work{spread: 1}, alone: alone, samples: []sample{alone, many}}).demand(1, h,
		assumptions{factor: 2, pages: 0.5})
	// A quarter of the runs are spans, and there are 1.5 runs for each lock.
	want := []lock{
		{name: "pages", visits: 0.02 / 2, hold: 2 * 1.5 * 175},
		{name: "centrals of 24 B", visits: 0.01, hold: 2 * (40 + 5*8), spread: 1},
		{name: "centrals of 4096 B", visits: 0.1, hold: 2 * (60 + 7), spread: 1},
	}
	const think = 50.0 - 0.01*2*200
	for i, w := range want {
		if i >= len(d.locks) || d.locks[i].name != w.name || d.locks[i].spread != w.spread ||
			!near(d.locks[i].visits, w.visits) || !near(d.locks[i].hold, w.hold) {
			t.Fatalf("locks are %+v, want %+v", d.locks, want)
		}
	}
	if !near(d.think, think) {
		t.Errorf("think is %v, want %v", d.think, think)
	}
}

func TestTheQuickerOfOneAndTwoPsIsTheBase(t *testing.T) {
	s := studied{
		alone:   sample{Ps: 1, Ops: 1, Ns: 70},
		samples: []sample{{Ps: 1, Ops: 1, Ns: 10}, {Ps: 2, Ops: 1, Ns: 20}, {Ps: 8, Ops: 1, Ns: 1}},
	}
	if runtime.NumCPU() >= 2 {
		if got := s.base(2); got.Ps != 2 {
			t.Errorf("%+v", got)
		}
	}
	if got := s.base(1); got.Ps != 1 || got.Ns != 70 {
		t.Errorf("with one processor: %+v", got)
	}
	s.samples[1].Ns = 100
	if got := s.base(2); got.Ns != 70 {
		t.Errorf("two are slower: %+v", got)
	}
}

func TestParseCounts(t *testing.T) {
	if got, err := parseCounts("1, 2,8"); err != nil || len(got) != 3 || got[2] != 8 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "2,8", "1,1", "1,8,2", "1,x", "0", "1,2000"} {
		if got, err := parseCounts(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func TestTheHoldOfTheNearestSize(t *testing.T) {
	h := &holds{centrals: []centralHold{{size: 16}, {size: 64}, {size: 1024}}}
	for size, want := range map[uintptr]uintptr{8: 16, 24: 16, 48: 64, 256: 64, 300: 1024, 32768: 1024} {
		if got := h.centralFor(size).size; got != want {
			t.Errorf("size %d is taken for %d, want %d", size, got, want)
		}
	}
}
