package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReplay(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	absolute, err := filepath.Abs("ok.trace")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           string // separated by |
		status         int
		stdout, stderr string
	}{
		{"ok.trace", 0, "; up to 5 rounds\n\ntrace...ns/op...ok ...null  ... 4 ...ok ...system...4.14 kB...ok ...goheap", ""},
		{"-rounds|1|ok.trace.gz", 0, "; 1 round\n...ok ...goheap", ""},
		{"-rounds|2000|-alloc|null|ok.trace", 0, "ok ...null", ""},
		{"-alloc| system , system|ok.trace", 0, "system...system", ""},
		{"-alloc|null|" + absolute, 0, "ok ...null", ""},
		{"-alloc|null|--|-dash.trace", 0, "-dash ...null", ""},
		{"-alloc|null|sub dir/ok|ok.trace|threads.trace", 0, "sub dir/ok  null...ok.trace  ...null...threads  ", ""},
		{"-check|ok.trace", 0, "; 1 round\n...checked\nok ...heap...ok, 4.19 kB compared\nok ...system...ok, 4.19 kB compared\nok ...goheap...ok, 4.19 kB compared\n", ""},
		// Not null: its threads share one block, which the race detector would report.
		{"-threads|-alloc|heap,system,goheap|threads.trace", 0, "a goroutine for each recorded thread\n...threads ...heap ...threads ...system...threads ...goheap", ""},
		{"-threads|-check|-rounds|2|threads.trace", 0, "ok, 300 B compared...ok, 300 B compared...ok, 300 B compared", ""},
		{"-threads|-check|ok.trace", 0, "ok, 4.19 kB compared", ""},
		{"-alloc|system|comments.trace", 0, "comments ... 0 ... - ... - ... 0 B", ""},
		{"-check|comments.trace", 0, "ok, 0 B compared", ""},

		{"empty.trace", 1, "empty  -  ... failed\n", "galloc replay: empty.trace:1: the file is empty"},
		{"cut.trace.gz", 1, "failed", "galloc replay: cut.trace.gz:6: the trace is cut short"},
		{"text.trace", 1, "failed", `galloc replay: text.trace:3: "hello": unknown event`},
		{"version.trace", 1, "failed", `galloc replay: version.trace:1: ...version "2"`},
		{"twice.trace", 1, "failed", "galloc replay: twice.trace:4: free of object 1, which is already dead"},
		{"huge.trace", 1, "failed", "galloc replay: huge.trace:2: ...does not fit"},
		{"-threads|twice.trace", 1, "failed", "twice.trace:4: "},
		{"sum.trace", 1, "sum ...-  ...failed", "galloc replay: sum.trace: event 3: the live objects together"},
		{"-threads|sum.trace", 1, "sum ...-  ...failed", "galloc replay: sum.trace: event 3: the live objects together"},
		{"-alloc|goheap|oom.trace", 1, "oom  ...goheap ...failed", "galloc replay: oom on goheap: event 2, malloc: galloc: memory allocation of "},
		{"-alloc|goheap|-check|oom.trace", 1, "failed", "galloc replay: oom on goheap: thread 0, event 2, malloc: "},
		{"-alloc|goheap|-check|-threads|oom.trace", 1, "failed", "galloc replay: oom on goheap: thread 1, event 1, malloc: "},
		{"-alloc|goheap|-threads|oom.trace", 1, "failed", "galloc replay: oom on goheap: thread 1, event 1, malloc: galloc: memory allocation of "},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, stdout, stderr := command(t.Context(), append([]string{"replay"}, strings.Split(c.args, "|")...)...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			wantText(t, "stdout", stdout, c.stdout)
			wantText(t, "stderr", stderr, c.stderr)
			if n := strings.Count(stderr, "\n"); n > 1 {
				t.Errorf("%d lines on stderr:\n%s", n, stderr)
			}
		})
	}
}

// The name of a shipped trace stands for it, even where there is a file of that name.
func TestShippedTraces(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	status, stdout, stderr := command(t.Context(), "replay", "-check", "-rounds", "1", "sqlite", "./sqlite")
	if status != exitOK {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stdout", stdout, "\nsqlite ...heap      1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\nsqlite ...system    1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\nsqlite ...goheap    1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\n./sqlite ...heap ...4.14 kB  ok, ")
	wantText(t, "stderr", stderr, "")

	status, stdout, _ = command(t.Context(), "replay", "-rounds", "1", "sqlite")
	if status != exitOK {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stdout", stdout, "sqlite  null      1,067,395 ...sqlite  heap      1,067,395 ...sqlite  system    1,067,395 ...sqlite  goheap    1,067,395 ")
}

// replayJSON runs galloc replay -json and returns its report.
func replayJSON(t *testing.T, wantStatus int, args ...string) (report, string) {
	t.Helper()
	status, stdout, stderr := command(t.Context(), append([]string{"replay", "-json"}, args...)...)
	if status != wantStatus {
		t.Errorf("exit status %d, want %d; stderr:\n%s", status, wantStatus, stderr)
	}
	var r report
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	return r, stderr
}

func TestJSON(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	got, stderr := replayJSON(t, exitOK, "-rounds", "3", "ok.trace", "sub dir/ok")
	wantText(t, "stderr", stderr, "")
	if got.Schema != schema || got.Rounds != 3 || got.Check || got.Threads ||
		got.Go != runtime.Version() || got.OS != runtime.GOOS || got.Arch != runtime.GOARCH || got.CPUs != runtime.NumCPU() {
		t.Errorf("head: %+v", got)
	}
	var order []string
	for _, r := range got.Results {
		order = append(order, r.File+" "+r.Alloc)
		if r.Events != 4 || r.Objects != 3 || r.Threads != 1 || r.PeakLive != 4144 || r.Compared != 0 || r.Error != "" {
			t.Errorf("%+v", r)
		}
		if len(r.RoundsNs) != 3 || r.NsPerOp != median(r.RoundsNs)/4 || r.MinNs != float64(slices.Min(r.RoundsNs))/4 {
			t.Errorf("times that do not fit together: %+v", r)
		}
		if (r.PeakRSS == nil) != (r.EndRSS == nil) || r.PeakRSS != nil && (r.Alloc == nullName || *r.EndRSS > *r.PeakRSS) {
			t.Errorf("resident memory that makes no sense: %+v", r)
		}
		if r.PeakRSS != nil && r.RSSRatio != float64(*r.PeakRSS)/4144 {
			t.Errorf("ratio %v of a peak of %d", r.RSSRatio, *r.PeakRSS)
		}
		if want := map[string]string{"null": "null", "heap": "galloc heap", "system": "galloc.System", "goheap": "galloc.GoHeap"}[r.Alloc]; !strings.HasPrefix(r.Allocator, want) {
			t.Errorf("measured %s, not %s", r.Allocator, want)
		}
	}
	want := []string{
		"ok.trace null", "ok.trace heap", "ok.trace system", "ok.trace goheap",
		"sub dir/ok null", "sub dir/ok heap", "sub dir/ok system", "sub dir/ok goheap",
	}
	if !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}

	got, _ = replayJSON(t, exitOK, "-check", "-threads", "-rounds", "2", "threads.trace")
	if got.Rounds != 2 || !got.Check || !got.Threads || len(got.Results) != 3 {
		t.Errorf("%+v", got)
	}
	for _, r := range got.Results {
		if r.Events != 4 || r.Threads != 2 || r.Compared != 300 || r.RoundsNs != nil || r.PeakRSS != nil {
			t.Errorf("%+v", r)
		}
	}
}

// What a trace leaves alive is freed after each round.
func TestRoundsDoNotAddUp(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	got, _ := replayJSON(t, exitOK, "-alloc", "system", "-rounds", "100", "leak.trace")
	r := got.Results[0]
	if r.PeakRSS == nil {
		t.Skip("resident memory is not measured here")
	}
	if *r.PeakRSS < 500_000 || *r.PeakRSS > 50_000_000 {
		t.Errorf("a peak of %d bytes with one object of 1 MB", *r.PeakRSS)
	}
}

func TestAFailureDoesNotStopTheOthers(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	t.Setenv(badChild, "silent goheap")
	status, stdout, stderr := command(t.Context(), "replay", "-alloc", "goheap,null", "text.trace", "ok.trace")
	if status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	// The first process ends before it sees that its trace is faulty.
	wantText(t, "stdout", stdout, "text ...goheap ...failed\ntext ...-  ...failed\nok ...goheap ...failed\nok ...null  ")
	wantText(t, "stderr", stderr, "galloc replay: text on goheap: ...galloc replay: text.trace:3: ...galloc replay: ok on goheap: ")

	os.Unsetenv(badChild)
	got, stderr := replayJSON(t, exitFailure, "-alloc", "goheap", "text.trace", "oom.trace", "ok.trace")
	wantText(t, "stderr", stderr, "galloc replay: text.trace:3: ...galloc replay: oom on goheap: ")
	var entries []string
	for _, r := range got.Results {
		entries = append(entries, fmt.Sprintf("%s/%s/%d/%t", r.Trace, r.Alloc, r.Events, r.Error != ""))
	}
	if want := "text//0/true oom/goheap/2/true ok/goheap/4/false"; strings.Join(entries, " ") != want {
		t.Errorf("entries %q, want %q", entries, want)
	}
}

func TestAMeasuringProcessThatFails(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	for mode, want := range map[string]string{
		"crash":   "exit status 2\n    panic: a crash on purpose\n    \n    goroutine 1...main_test.go:",
		"garbage": "its answer is not understood: invalid character",
		"silent":  "it ended without a result\n",
		"killed":  "", // the system's words
	} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(badChild, mode+" system")
			status, stdout, stderr := command(t.Context(), "replay", "ok.trace")
			if status != exitFailure {
				t.Errorf("exit status %d", status)
			}
			wantText(t, "stdout", stdout, "ok ...null  ...ok ...system ...failed\nok ...goheap  ")
			wantText(t, "stderr", stderr, "galloc replay: ok on system: the measuring process failed: "+want)
			if strings.Count(stderr, "galloc replay") != 1 || strings.Count(stderr, "\n") > 22 {
				t.Errorf("stderr is too long:\n%s", stderr)
			}
			got, _ := replayJSON(t, exitFailure, "-alloc", "system", "ok.trace")
			if len(got.Results) != 1 || got.Results[0].Alloc != "system" || got.Results[0].File != "ok.trace" {
				t.Fatalf("%+v", got)
			}
			wantText(t, "error", got.Results[0].Error, "the measuring process failed: ")
		})
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		args, allocs string
		rounds       int
	}{
		{"-json", "null heap system goheap", 5},
		{"-check", "heap system goheap", 1},
		{"-check -rounds=4", "heap system goheap", 4},
	} {
		o, err := parseReplay(strings.Fields(c.args), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := []traceFile{{"mariadb", true, "mariadb"}, {"sqlite", true, "sqlite"}}
		if !slices.Equal(o.traces, want) {
			t.Errorf("%s: traces %v", c.args, o.traces)
		}
		if got := strings.Join(o.allocs, " "); got != c.allocs || o.rounds != c.rounds {
			t.Errorf("%s: %d rounds on %s", c.args, o.rounds, got)
		}
	}
}

func TestLabelsTellTracesApart(t *testing.T) {
	for _, c := range []struct{ paths, labels []string }{
		{[]string{"a.trace", "dir/b.trace.gz", "c.gz", "d"}, []string{"a", "b", "c", "d"}},
		{[]string{"x/a.trace", "a.trace.gz", "b"}, []string{"x/a.trace", "a.trace.gz", "b"}},
		{[]string{"x/a.trace", "x/a.trace"}, []string{"a", "a"}},
		{[]string{".trace.gz", "my trace.gz"}, []string{".trace.gz", "my trace"}},
		{[]string{"line\nfeed", "\xff"}, []string{`"line\nfeed"`, `"\xff"`}},
	} {
		var all []traceFile
		for _, p := range c.paths {
			all = append(all, traceFile{path: p})
		}
		giveLabels(all)
		for i, want := range c.labels {
			if all[i].label != want {
				t.Errorf("of %q, %q is called %q, want %q", c.paths, c.paths[i], all[i].label, want)
			}
		}
	}
}

func TestHelpNamesEveryField(t *testing.T) {
	_, stdout, _ := command(t.Context(), "replay", "-h")
	words := strings.Fields(stdout)
	for _, of := range []reflect.Type{reflect.TypeFor[report](), reflect.TypeFor[result]()} {
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || !slices.Contains(words, name) {
				t.Errorf("%v.%s: the help lacks %q", of, f.Name, name)
			}
		}
	}
}

// slowReplay says that each round took two seconds.
type slowReplay struct {
	replayer
	rounds int
}

func (s *slowReplay) Round() (time.Duration, error) {
	s.rounds++
	return 2 * time.Second, nil
}

func (s *slowReplay) FreeSurvivors() {}

func TestPatience(t *testing.T) {
	for _, c := range []struct {
		limit time.Duration
		want  int
	}{{1, 1}, {2 * time.Second, 1}, {patience, 2}, {math.MaxInt64, 5}} {
		var s slowReplay
		r, err := timeRounds(result{Alloc: nullName, Events: 1000}, &s, 5, c.limit, func(int) {})
		if err != nil || s.rounds != c.want || len(r.RoundsNs) != c.want || r.NsPerOp != 2e6 {
			t.Errorf("limit %v: %d rounds, %+v, %v", c.limit, s.rounds, r, err)
		}
	}
}
