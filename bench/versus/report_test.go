package main

import (
	"encoding/json"
	"flag"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestMedianAndGeomean(t *testing.T) {
	for _, c := range []struct {
		v              []float64
		median, geoman float64
	}{
		{[]float64{3}, 3, 3},
		{[]float64{8, 2}, 5, 4},
		{[]float64{9, 1, 3}, 3, 3},
		{nil, math.NaN(), math.NaN()},
	} {
		if got := median(c.v); !same(got, c.median) {
			t.Errorf("median(%v) = %v, want %v", c.v, got, c.median)
		}
		if got := geomean(c.v); !same(got, c.geoman) {
			t.Errorf("geomean(%v) = %v, want %v", c.v, got, c.geoman)
		}
	}
	v := []float64{9, 1, 3}
	if median(v); !slices.Equal(v, []float64{9, 1, 3}) {
		t.Error("median has sorted the values of its caller")
	}
}

func same(a, b float64) bool { return math.Abs(a-b) < 1e-9 || math.IsNaN(a) && math.IsNaN(b) }

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0.04: "0.0", 9.96: "10.0", 99.94: "99.9", 123.4: "123", 1234: "1,234", 51234567: "51,234,567"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()) + ratio(math.NaN()) + megabytes(math.NaN()) + bracketed(math.Inf(1)); got != "" {
		t.Errorf("what is not known is written as %q", got)
	}
}

// fixed is a small set of results: a trace, alone and with threads, a workload on one CPU and two, and a pair; with a failure, and a run for
// latency.
func fixed() *results {
	all := allocators()
	r := &results{
		Date: "1 March 2026", Command: "go -C bench run ./versus", Reps: 2,
		Machine:  machine{CPU: "A processor", CPUs: 2, Memory: "16.0 GB", System: "Linux 6.1, linux/amd64"},
		Versions: []string{"go version go1.26.8 linux/amd64"},
		Missing:  []string{"tcmalloc is left out: not here"},
		Rows: []row{
			{Group: traceGroup, Name: "mariadb", Workload: "trace", CPUs: 1, Threads: 1, Latency: true},
			{Group: traceGroup, Name: "mariadb", Workload: "trace", CPUs: 2, Threads: 34},
			{Group: workGroup, Name: "larson", Workload: "larson", CPUs: 1, Threads: 1},
			{Group: workGroup, Name: "larson", Workload: "larson", CPUs: 2, Threads: 2},
			{Group: pairGroup, Name: "pair 64", Workload: "pair", CPUs: 1, Threads: 1},
		},
	}
	for _, a := range all {
		if slices.Contains([]string{heapName, "glibc", "jemalloc", "mimalloc", "modernc", "new", "null"}, a.Name) {
			r.Allocs = append(r.Allocs, a)
		}
	}
	for i, row := range r.Rows {
		for k, a := range r.Allocs {
			if !a.applies(row) {
				continue
			}
			s := sample{Row: row.id(), Alloc: a.Name, Answer: answer{Allocator: a.Name + " 1.0", Ops: 1000, Allocs: 1000, Bytes: 64000}}
			for rep := range 2 {
				s.Answer.Ns = float64(1000 * (10 + 7*i + (5*k+3*i)%11 + rep))
				peak := float64(1_000_000 * (i + k + 1))
				s.Answer.PeakRSS = &peak
				r.Samples = append(r.Samples, s)
			}
			if row.Latency && a.Listen {
				p50, p99, p999, most, end := float64(5+k), float64(50+k), float64(500+k), float64(50000+k), float64(100000*k)
				s.Latency, s.Answer.P50, s.Answer.P99, s.Answer.P999, s.Answer.Max, s.Answer.EndRSS = true, &p50, &p99, &p999, &most, &end
				r.Samples = append(r.Samples, s)
			}
		}
	}
	// modernc fails on one row.
	for i := range r.Samples {
		if s := &r.Samples[i]; s.Alloc == "modernc" && s.Row == "larson, 2 threads" {
			s.Answer = answer{Error: "not done after 2m0s (-timeout)"}
		}
	}
	return r
}

var update = flag.Bool("update", false, "write testdata anew")

func TestReportAsBefore(t *testing.T) {
	got := report(fixed())
	const file = "testdata/report.md"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the report differs from %s; if it is meant to, run go test ./versus -update. It is:\n%s", file, got)
	}
}

func TestReportOfNothingAndOfTheHeapAloneHasNoTraceOfNaN(t *testing.T) {
	alone := fixed()
	alone.Allocs = alone.Allocs[:1]
	alone.Samples = slices.DeleteFunc(alone.Samples, func(s sample) bool { return s.Alloc != heapName })
	for _, r := range []*results{{}, alone} {
		if text := report(r); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s", text)
		}
	}
}

func TestJSONHasAllThatTheReportNeeds(t *testing.T) {
	text, err := json.Marshal(fixed())
	if err != nil {
		t.Fatal(err)
	}
	var back results
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if report(&back) != report(fixed()) {
		t.Error("the report of what was read back differs")
	}
}

func TestMarks(t *testing.T) {
	r := fixed()
	set := func(row, alloc string, ns float64) {
		for i := range r.Samples {
			if s := &r.Samples[i]; s.Row == row && s.Alloc == alloc && !s.Latency {
				s.Answer.Ns = ns * float64(s.Answer.Ops)
			}
		}
	}
	set("mariadb", heapName, 8)
	set("mariadb", "jemalloc", 10)
	set("mariadb", "mimalloc", 4)
	set("mariadb", "glibc", 16)
	set("larson, 1 thread", heapName, 20)
	set("larson, 2 threads", heapName, 10)
	set("larson, 2 threads", "glibc", 8)
	set("larson, 2 threads", "jemalloc", 9)
	set("larson, 2 threads", "mimalloc", 12)
	set("larson, 1 thread", "modernc", 18)
	got := map[string]mark{}
	marks := newTable(r).marks()
	for i, m := range marks {
		if m.What == "the same, the worst workload" {
			m.What = marks[i-1].What + ", worst"
		}
		got[m.What] = m
	}
	for _, c := range []struct {
		what     string
		value    float64
		reached  bool
		measured bool
	}{
		{"traces, time: heap / jemalloc", 0.8, true, true},
		{"traces, time: heap / mimalloc", 2, false, true},
		{"traces, time: heap / best native of each", 2, false, true},
		{"larson on 2 CPUs, ops/s: heap / best native", 0.8, false, true},
		{"larson, ops/s: heap on 2 CPUs / on 1", 2, true, true},
		{"glibc-thread, ops/s: heap on 2 CPUs / on 1", math.NaN(), false, false},
		{"workloads, time: modernc / heap, worst", 0.9, false, true},
		{"trace mariadb, p99.9: heap / mimalloc", 500.0 / 503, true, true},
	} {
		m, found := got[c.what]
		if !found || !same(m.Value, c.value) || m.reached() != c.reached || m.measured() != c.measured {
			t.Errorf("%s: %+v, want %v, reached %v, measured %v", c.what, m, c.value, c.reached, c.measured)
		}
	}
}

func TestDisagreementsAreFoundAmongRunsWithTheSameSettings(t *testing.T) {
	r := fixed()
	if lines := r.disagreements(); len(lines) != 0 {
		t.Errorf("%q, want none", lines)
	}
	for i := range r.Samples {
		if s := &r.Samples[i]; s.Alloc == "glibc" && s.Row == "pair 64" {
			s.Answer.Bytes++
		}
		if s := &r.Samples[i]; s.Alloc == "glibc" && s.Row == "mariadb" {
			s.Answer.Bytes *= 3
			s.Settings = []string{"rounds=3"}
		}
	}
	lines := r.disagreements()
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "pair 64: ") || !strings.Contains(lines[0], "glibc: 1000 blocks of 64001 bytes") {
		t.Errorf("%q, want one line about glibc on pair 64", lines)
	}
	if !strings.Contains(report(r), lines[0]) {
		t.Error("the report does not have it")
	}
}

func TestLatencyIsTheMedianOfItsRuns(t *testing.T) {
	v := func(x float64) *float64 { return &x }
	got := medians([]answer{{P50: v(1), P999: v(30), EndRSS: v(7)}, {P50: v(9), P999: v(10)}, {P50: v(2), P999: v(20)}})
	if *got.P50 != 2 || *got.P999 != 20 || *got.EndRSS != 7 || got.P99 != nil {
		t.Errorf("p50 %v, p99 %v, p99.9 %v, at the end %v", *got.P50, got.P99, *got.P999, *got.EndRSS)
	}
}
