package main

import (
	"strings"
	"testing"
	"time"
)

func TestNumbersInTheTable(t *testing.T) {
	for want, v := range map[string]float64{
		"0 ns": 0, "7 ns": 7, "999 ns": 999, "1.00 µs": 999.6, "1.23 µs": 1234, "9.99 µs": 9994, "10.0 µs": 9996,
		"99.9 µs": 99_940, "100 µs": 99_960, "999 µs": 999_400, "1.00 ms": 999_600, "2.50 s": 2.5e9, "3600 s": 3.6e12,
	} {
		if got := nanos(v); got != want {
			t.Errorf("nanos(%v) is %q, not %q", v, got, want)
		}
	}
	for want, n := range map[string]int{"0": 0, "999": 999, "1,000": 1000, "10,000,000": 10_000_000} {
		if got := numberText(n); got != want {
			t.Errorf("numberText(%d) is %q", n, got)
		}
	}
	for want, n := range map[string]int64{"0 MB": 0, "1 MB": 1_200_000, "999 MB": 999_400_000, "1.00 GB": 999_500_000, "4.25 GB": 4_250_000_000} {
		if got := bytesText(n); got != want {
			t.Errorf("bytesText(%d) is %q, not %q", n, got, want)
		}
	}
}

// two returns results of two kinds, the second as other makes it.
func two(other func(r *result)) ([]kind, []row) {
	h := new(histogram)
	h.add(1000 * time.Nanosecond)
	rounds := make([]result, 3)
	for i := range rounds {
		rounds[i] = result{
			Lookups: h.latency(), Responses: h.latency(), Inserts: h.latency(), Fill: h.latency(),
			PeakRSS: 100,
		}
	}
	changed := []result{rounds[0], rounds[1], rounds[2]}
	other(&changed[0])
	other(&changed[2])
	return []kind{kinds[0], kinds[2]}, tabulate([][]result{rounds, changed})
}

func TestLossesAreToldOfMediansAndNothingElse(t *testing.T) {
	if got := losses(two(func(r *result) {})); !strings.Contains(got, "in nothing") {
		t.Error(got)
	}
	got := losses(two(func(r *result) {
		r.Lookups.P50 = 1500
		r.Lookups.P99 = 1040 // noise
		r.Inserts.Max = 10   // better
		r.Entries = 5        // neither
		r.GC.Share = .01     // where the other has none
	}))
	const want = "\nTextMap is worse than the map in:\n    look-ups: p50 (1.5 times)\n    GC cycles: share of all CPUs (1.0 %, not 0.0 %)\n"
	if got != want {
		t.Errorf("%q", got)
	}
}

func TestWhatIsDrawnIsText(t *testing.T) {
	chosen, rows := two(func(*result) {})
	chosen[0].label, rows[0].name = `<a href="x">&`, "<tr>"
	h := new(histogram)
	r := result{
		Responses: h.latency(), RSS: []sample{{1, 1 << 20}, {2, 1 << 21}},
	} // all look-ups took no time: no logarithm
	o := options{kinds: chosen, out: "x.html"}
	checkHTML(t, draw(o, [][]result{{r}, {r}}, rows), 2)
	o.out = "x.svg"
	checkSVG(t, draw(o, [][]result{{r}, {r}}, rows), 2)
	r.RSS = nil
	if svg := draw(o, [][]result{{r}, {r}}, rows); strings.Contains(svg, "Resident") {
		t.Errorf("memory is drawn that is not known: %s", svg)
	}
}

func TestTicksAreRound(t *testing.T) {
	for _, most := range []float64{0, .012, .4, 1, 9.9, 10, 33, 61, 4.7e9} {
		ticks := evenTicks(most, bytesOrNone)
		n := len(ticks)
		if n < 4 || n > 12 || ticks[0].at != 0 || ticks[n-1].at < most || most > 0 && ticks[n-2].at >= most {
			t.Errorf("up to %v: %v", most, ticks)
		}
	}
}

func TestLabelsDoNotOverlap(t *testing.T) {
	for _, ys := range [][]float64{{100}, {100, 100, 100}, {100, 101, 300}, {300, 95, 100}} {
		before := append([]float64(nil), ys...)
		spread(ys, 16)
		for i := range ys {
			for j := range ys {
				if i != j && (max(ys[i]-ys[j], ys[j]-ys[i]) < 15 || before[i] < before[j] && ys[i] > ys[j]) {
					t.Errorf("%v has become %v", before, ys)
				}
			}
		}
	}
}
