package soak

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
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
		{[]int64{10 * mib, 900 * mib, 28 * mib}, "", true, false, "", "ok: stayed flat"},
		{[]int64{50 * mib, 1}, "", true, false, "", "ok: stayed flat"},
		{[]int64{10 * mib, 20 * mib, 28*mib + 1}, "", true, true, "resident memory grows: from 10.49 MB ...first wave to 29.36 MB", "FAILED: grew by 18.87 MB (allowed: 18.87 MB)"},
		{[]int64{1, 1 << 30}, "nonsense", true, true, "nonsense", "FAILED: grew"},
		{[]int64{1, 1}, "nonsense", true, false, "nonsense", "ok: stayed flat"},
	} {
		s := newReport(options{}, result{TroughRSS: c.troughs, Error: c.why, PeakLive: 100 * mib})
		if s.Judged != c.judged || s.Grown != c.grown || s.OK != (c.failure == "") {
			t.Errorf("%v: %+v", c.troughs, s)
		}
		clitest.WantText(t, "the failure", s.failure(), c.failure)
		var out bytes.Buffer
		if err := s.print(&out); err != nil {
			t.Fatal(err)
		}
		blocks := "blocks      ok"
		if c.why != "" {
			blocks = "blocks      FAILED\n"
		}
		clitest.WantText(t, "the report", out.String(), blocks+"...memory      "+c.line)
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
	var s clitest.Screen
	b := cli.NewBarOn(&s, 1)
	b.Show(
		status{
			At: 3004 * time.Millisecond, Rate: 1_654_321, Live: 123_456_789, RSS: 160_000_000,
			PeakRSS: 400_000_000,
		}.String(),
	)
	if want := "  3s 1.65M/s live 123 RSS 160/400 MB"; s.String() != want {
		t.Errorf("the terminal shows\n%s, want\n%s", &s, want)
	}
	b.Show(
		status{
			At: time.Hour, Rate: 11_654_321, Live: 123_456_789_000, RSS: 160_000_000_000,
			PeakRSS: 400_000_000_000,
		}.String(),
	)
	if n := len(s.String()); n > cli.BarWidth || !strings.Contains(s.String(), "live 123457") {
		t.Errorf("the terminal shows\n%s", &s)
	}
	b.Finish()
	if s.String() != "" {
		t.Errorf("left on the terminal: %q", &s)
	}
}
