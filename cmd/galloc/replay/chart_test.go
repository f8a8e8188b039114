package replay

import (
	"math"
	"strings"
	"testing"
)

// The marks of the y axis begin with 0, are few, and reach the limit.
func TestTicks(t *testing.T) {
	for _, limit := range []float64{0, 1e-9, 0.3, 1, 1.0001, 4.99, 7, 99, 1e6, 4.3e9, math.MaxUint64} {
		ticks, end := yTicks(limit, func(v float64) string { return bytesLabel(v) })
		if end < limit*(1-1e-9) || limit > 0 && end > 2.01*limit || len(ticks) < 2 || len(ticks) > 7 {
			t.Errorf("%g: %d marks to %g", limit, len(ticks), end)
		}
		if ticks[0].At != bottom || ticks[0].Label != "0 B" || ticks[len(ticks)-1].At != top {
			t.Errorf("%g: the marks are %v", limit, ticks)
		}
	}
}

func TestBinary(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 512: "512", 1024: "1 Ki", 1 << 25: "32 Mi", 1 << 63: "8 Ei"} {
		if got := binary(n); got != want {
			t.Errorf("%d is %s", n, got)
		}
	}
}

func TestCharts(t *testing.T) {
	c := lines("title", "calls", "8", []curve{{"a", 0, []float64{5, 10}, 1}, {"b", 1, []float64{1}, 0.5}, {"none", 2, nil, 1}}, bytesLabel)
	if got, want := c.Series[0].Path, "M292 118L508 10"; got != want {
		t.Errorf("the line is %s, want %s", got, want)
	}
	if got := c.Series[1].Path; !strings.HasPrefix(got, "M292 ") || c.Series[2].Path != "" {
		t.Errorf("the lines are %v", c.Series)
	}
	if c.About != "a: at most 10 B; b: at most 1 B; none: at most 0 B" {
		t.Errorf("about: %s", c.About)
	}
	b := bars("title", "bytes", []string{"1", "2"}, []row{{"objects", 1, []float64{0.25, 0.5}}, {"empty", 2, nil}})
	if bar := b.Series[0].Bars[1]; bar.Y != top || bar.Height != bottom-top || bar.Label != "objects, 2: 50 %" {
		t.Errorf("the bar is %+v", bar)
	}
	if b.About != "objects: most, 50 %, at 2" || len(b.Series[1].Bars) != 0 {
		t.Errorf("the bars are %+v", b)
	}
}
