package heapview

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/galloc-go/galloc/metrics"
)

// A model keeps everything: after each of many samples, with pauses, the history must be what the
// model says, and no longer than it may be.
func TestHistoryOfDaysAgainstAModel(t *testing.T) {
	var h history
	h.clear()
	rng := rand.New(rand.NewPCG(1, 2))
	at := int64(1_700_000_000_123)
	var all []point
	samples := 2*24*60*60 + 1000
	if testing.Short() {
		samples = 10_000
	}
	for range samples {
		p := point{at: at}
		p.values[live] = rng.Uint64N(1000)
		p.values[resident] = rng.Uint64N(1000)
		p.values[partLive] = rng.Uint64N(500)
		p.values[partFree] = rng.Uint64N(500)
		p.values[footprint] = p.values[partLive] + p.values[partFree]
		all = append(all, p)
		h.add(p)
		at += 1000
		if rng.IntN(5000) == 0 {
			at += rng.Int64N(10_000_000)
		}
	}
	for i := range h.levels {
		l := &h.levels[i]
		var want []point
		if i == 0 {
			want = all
		} else {
			start := int64(-1)
			for _, p := range all {
				if s := p.at / l.step * l.step; s != start {
					start = s
					want = append(want, point{at: s})
				}
				w := &want[len(want)-1]
				for c := range numLines {
					w.values[c] = max(w.values[c], p.values[c])
				}
				if p.values[footprint] == w.values[footprint] {
					copy(w.values[numLines:], p.values[numLines:])
				}
			}
			want = want[:len(want)-1] // still open
		}
		want = want[max(0, len(want)-l.max):]
		got := l.all()
		if len(got) != len(want) || cap(l.points) > 2*l.max {
			t.Fatalf("level %d has %d points of %d, with room for %d", i, len(got), len(want), cap(l.points))
		}
		for j := range got {
			if got[j] != want[j] {
				t.Fatalf("level %d, point %d is\n%v, not\n%v", i, j, got[j], want[j])
			}
			var sum uint64
			for _, n := range got[j].values[numLines:] {
				sum += n
			}
			if sum != got[j].values[footprint] {
				t.Fatalf("level %d, point %d: the parts sum to %d, not %d", i, j, sum, got[j].values[footprint])
			}
		}
	}
}

func TestThePointsOfALevelAreSent(t *testing.T) {
	var h history
	h.clear()
	sent := make([][]point, len(h.levels))
	for i := range 1000 {
		for _, c := range h.add(point{at: 1_000_000_000_000 + int64(i)*1000}) {
			sent[c.Level] = append(sent[c.Level], c.Point)
		}
	}
	for i := 1; i < len(h.levels); i++ {
		got := h.levels[i].all()
		if len(got) != len(sent[i]) || len(got) != []int{0, 99, 8}[i] {
			t.Errorf("level %d has %d points, and %d were sent", i, len(got), len(sent[i]))
		}
	}
}

func TestEventsAreCountedAndBounded(t *testing.T) {
	var h history
	h.clear()
	now := time.Unix(1_700_000_000, 0)
	c := metrics.Heap{Misuses: 5, Purges: 7}
	if e := h.note(now, &c); e != nil {
		t.Errorf("events of before the first sample: %v", e)
	}
	h.note(now, nil)
	c.Misuses++
	c.Purges += 2
	c.PurgedBytes += 4096
	got := h.note(now.Add(time.Second), &c)
	if len(got) != 2 || got[0].Kind != "misuse" || got[0].Count != 1 || got[1].Bytes != 4096 {
		t.Errorf("the events are %v", got)
	}
	c.Purges++
	c.PurgedBytes += 4096
	got = h.note(now.Add(59*time.Second), &c)
	if len(got) != 1 || got[0].Count != 3 || got[0].Bytes != 8192 || got[0].ID != 2 || len(h.events) != 2 {
		t.Errorf("the event of the same minute is %v", got)
	}
	for i := range 1000 {
		c.LimitRefusals++
		h.note(now.Add(time.Duration(i+2)*time.Minute), &c)
	}
	if len(h.events) != maxEvents || h.events[maxEvents-1].ID != 1002 || h.events[0].ID != 803 {
		t.Errorf("%d events are kept, the last is %v", len(h.events), h.events[len(h.events)-1])
	}
}

func TestThePartsOfAReadingSumToTheFootprint(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		n := func() uint64 { return rng.Uint64N(1000) }
		r := reading{snapshot: metrics.Snapshot{Live: n(), Footprint: n(), Heap: &metrics.Heap{
			Metadata: n(), Retained: n(), Held: n(), Cached: n(), Stashed: n(), SoftLimit: n() % 3, HardLimit: n() % 3,
		}}}
		p := r.point()
		var sum uint64
		for _, v := range p.values[numLines:] {
			sum += v
		}
		if sum != r.snapshot.Footprint {
			t.Fatalf("%+v: the parts sum to %d", r.snapshot, sum)
		}
		h := r.snapshot.Heap
		if l := p.values[heapLimit]; l != 0 && l > max(h.SoftLimit, h.HardLimit) || l == 0 && h.SoftLimit+h.HardLimit != 0 {
			t.Fatalf("the limit is %d of %d and %d", l, h.SoftLimit, h.HardLimit)
		}
	}
}
