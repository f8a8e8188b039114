package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSoakJudges(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		troughs       []int64
		why           string
		judged, grown bool
		failure, line string
	}{
		{nil, "", false, false, "", "not judged"},
		{[]int64{100 * mib}, "", false, false, "", "not judged"},
		{[]int64{10 * mib, 900 * mib, 28 * mib}, "", true, false, "", "ok: stays flat"},
		{[]int64{50 * mib, 1}, "", true, false, "", "ok: stays flat"},
		{[]int64{10 * mib, 20 * mib, 28*mib + 1}, "", true, true, "resident memory grows: it was 10.49 MB ...first wave, and 29.36 MB", "FAILED: grows by 18.87 MB, where 18.87 MB is allowed"},
		{[]int64{1, 1 << 30}, "nonsense", true, true, "nonsense", "FAILED: grows"},
		{[]int64{1, 1}, "nonsense", true, false, "nonsense", "ok: stays flat"},
	} {
		s := newSoakReport(soakSpec{}, soakResult{TroughRSS: c.troughs, Error: c.why, PeakLive: 100 * mib})
		if s.Judged != c.judged || s.Grown != c.grown || s.OK != (c.failure == "") {
			t.Errorf("%v: %+v", c.troughs, s)
		}
		wantText(t, "the failure", s.failure(), c.failure)
		var out bytes.Buffer
		if err := s.print(&out); err != nil {
			t.Fatal(err)
		}
		blocks := "blocks      ok"
		if c.why != "" {
			blocks = "blocks      FAILED\n"
		}
		wantText(t, "the report", out.String(), blocks+"...memory      "+c.line)
	}
}

func TestTroughsAreAbridged(t *testing.T) {
	for n, want := range map[int]string{
		0: "-",
		1: "0 B",
		4: "0 B, 1 B, 2 B, 3 B",
		5: "0 B, 1 B, ..., 3 B, 4 B",
		9: "0 B, 1 B, ..., 7 B, 8 B",
	} {
		var v []int64
		for i := range n {
			v = append(v, int64(i))
		}
		if got := troughs(v); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestTheLineOfASoak(t *testing.T) {
	var s screen
	b := &bar{w: &s, cells: 1}
	b.showSoak(soakNow{At: 3004 * time.Millisecond, Rate: 1_654_321, Live: 123_456_789, RSS: 160_000_000, PeakRSS: 400_000_000})
	if want := "  3s 1.65M/s live 123 RSS 160/400 MB"; s.String() != want {
		t.Errorf("the terminal shows\n%s, want\n%s", &s, want)
	}
	b.showSoak(soakNow{At: time.Hour, Rate: 11_654_321, Live: 123_456_789_000, RSS: 160_000_000_000, PeakRSS: 400_000_000_000})
	if n := len(s.String()); n > barWidth || !strings.Contains(s.String(), "live 123457") {
		t.Errorf("the terminal shows\n%s", &s)
	}
	b.finish()
	if s.String() != "" {
		t.Errorf("left on the terminal: %q", &s)
	}
}
