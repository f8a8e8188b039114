package main

import (
	"flag"
	"maps"
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
	for v, want := range map[float64]string{
		0.04: "0.0", 9.96: "10.0", 99.94: "99.9", 123.4: "123", 1234: "1,234", 51234567: "51,234,567",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %q, want %q", v, got, want)
		}
	}
	if got := number(math.NaN()) + ratio(math.NaN()) + megabytes(math.NaN()) + bracketed(math.Inf(1)); got != "" {
		t.Errorf("an unknown number is written as %q", got)
	}
}

// fixed is a small set of results: a trace, alone and with threads, a workload on one CPU and on
// two, and a pair; with a failure, and a run for latency.
func fixed() *results {
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
	for _, a := range allocators() {
		if slices.Contains([]string{heapName, "glibc", "jemalloc", "mimalloc", "modernc", "new", sinkName}, a.Name) {
			r.Allocs = append(r.Allocs, a)
		}
	}
	for i, row := range r.Rows {
		for k, a := range r.Allocs {
			if !a.applies(row) {
				continue
			}
			s := sample{
				Row: row.id(), Alloc: a.Name,
				Answer: answer{Allocator: a.Name + " 1.0", Ops: 1000, Allocs: 1000, Bytes: 64000},
			}
			for rep := range 2 {
				s.Answer.Ns = float64(1000 * (10 + 7*i + (5*k+3*i)%11 + rep))
				peak := float64(1_000_000 * (i + k + 1))
				s.Answer.PeakRSS = &peak
				r.Samples = append(r.Samples, s)
			}
			if row.Latency && a.Listen {
				p50, p99, p999, longest, end := float64(5+k), float64(50+k), float64(500+k), float64(
					50000+k), float64(100000*k)
				s.Latency = true
				s.Answer.P50, s.Answer.P99, s.Answer.P999, s.Answer.Max, s.Answer.EndRSS = &p50, &p99, &p999, &longest, &end
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

// pageOf returns the report and its charts as one text.
func pageOf(f *figures) string {
	text := report(f, "2026-03-01.csv", func(name string) string { return "results/" + name })
	charts := f.charts()
	for _, name := range slices.Sorted(maps.Keys(charts)) {
		text += "\n" + name + "\n" + charts[name]
	}
	return text
}

var update = flag.Bool("update", false, "write testdata again")

func TestReportAsBefore(t *testing.T) {
	f := fixed().figures()
	for file, got := range map[string]string{
		"testdata/report.md":  report(f, "2026-03-01.csv", func(name string) string { return "results/" + name }),
		"testdata/brief.md":   brief(f),
		"testdata/report.csv": f.csv(),
		"testdata/traces.svg": f.charts()["traces.svg"],
	} {
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
			t.Errorf("%s differs; if it should, run go test ./versus -update. It is:\n%s", file, got)
		}
	}
}

func TestReportOfNothingAndOfTheHeapAloneHasNoTraceOfNaN(t *testing.T) {
	alone := fixed()
	alone.Allocs = alone.Allocs[:1]
	alone.Samples = slices.DeleteFunc(alone.Samples, func(s sample) bool { return s.Alloc != heapName })
	for _, r := range []*results{{}, alone} {
		f := r.figures()
		if text := pageOf(f) + brief(f) + f.csv(); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%s", text)
		}
	}
}

func TestTheCSVFileHasAllThatTheReportNeeds(t *testing.T) {
	r := fixed()
	r.Samples[3].Answer.Bytes++ // a fault
	want := r.figures()
	got, err := readCSV([]byte(want.csv()))
	if err != nil {
		t.Fatal(err)
	}
	if got.csv() != want.csv() {
		t.Error("the file that is written after reading one differs")
	}
	if pageOf(got) != pageOf(want) || brief(got) != brief(want) || targetsText(got) != targetsText(want) {
		t.Error("the report of the figures that were read differs")
	}
}

func TestFilesThatAreNoFiguresAreRefused(t *testing.T) {
	good := fixed().figures().csv()
	for _, c := range []struct{ text, want string }{
		{"", "the first line must be group,name,"},
		{"# date: 1 March 2026\n", "the first line must be group,name,"},
		{"a,b\n", "wrong number of fields"},
		{strings.Replace(good, "median_ns", "mean_ns", 1), "the first line must be group,name,"},
		{strings.Replace(good, "# repetitions: 2", "# repetitions: two", 1), `"two"`},
		{strings.Replace(good, "# memory: ", "# weather: ", 1), "unknown line"},
		{strings.Replace(good, "traces,mariadb,34,", "traces,mariadb,many,", 1), "many"},
		{strings.Replace(good, "pair,pair 64,1,heap,2,", "pair,pair 64,1,heap,2,fast", 1), "fast"},
	} {
		if _, err := readCSV([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

// BENCHMARKS.md is the report of its figures, and no paragraph is too wide.
func TestThePageIsWhatVersusWrites(t *testing.T) {
	page, err := os.ReadFile("../../BENCHMARKS.md")
	if err != nil {
		t.Fatal(err)
	}
	_, data, _ := strings.Cut(string(page), "](bench/results/")
	data, _, _ = strings.Cut(data, ")")
	text, err := os.ReadFile("../results/" + data)
	if err != nil {
		t.Fatal(err)
	}
	f, err := readCSV(text)
	if err != nil {
		t.Fatal(err)
	}
	const again = "run go -C bench run ./versus -from bench/results/"
	if got := report(f, data, func(name string) string { return "bench/results/" + name }); got != string(page) {
		t.Errorf("BENCHMARKS.md differs: %s%s", again, data)
	}
	for name, svg := range f.charts() {
		if got, err := os.ReadFile("../results/" + name); err != nil || string(got) != svg {
			t.Errorf("%s differs (%v): %s%s", name, err, again, data)
		}
	}
	lines := strings.Split(string(page), "\n")
	if len(lines) > 250 {
		t.Errorf("BENCHMARKS.md has %d lines: at most 250", len(lines))
	}
	for i, line := range lines {
		if len([]rune(line)) > pageWidth && !strings.HasPrefix(line, "|") {
			t.Errorf("BENCHMARKS.md:%d: %s", i+1, line)
		}
	}
}

func TestTargets(t *testing.T) {
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
	got := map[string]target{}
	targets := r.figures().targets()
	for i, m := range targets {
		if m.What == "the same, the worst workload" {
			m.What = targets[i-1].What + ", worst"
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
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "pair 64: ") ||
		!strings.Contains(lines[0], "glibc: 1000 blocks of 64001 bytes") {
		t.Errorf("%q, want one line about glibc on pair 64", lines)
	}
	if !strings.Contains(pageOf(r.figures()), lines[0]) {
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
