package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/internal/percpu"
)

func TestMain(m *testing.M) { clitest.Main(m, []cli.Command{Command}, nil) }

// command runs galloc as a function.
func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, []cli.Command{Command}, args...)
}

func TestReplay(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	absolute, err := filepath.Abs("ok.trace")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           string // separated by |
		status         int
		stdout, stderr string
	}{
		{"ok.trace", 0, "; up to 5 rounds\n\ntrace...ns/op...ok ...sink  ... 4 ...ok ...system...4.14 kB...ok ...goheap", ""},
		{"-rounds|1|ok.trace.gz", 0, "; 1 round\n...ok ...goheap", ""},
		{"-rounds|2000|-alloc|sink|ok.trace", 0, "ok ...sink", ""},
		{"-alloc| system , system|ok.trace", 0, "system...system", ""},
		{"-alloc|sink|" + absolute, 0, "ok ...sink", ""},
		{"-alloc|sink|--|-dash.trace", 0, "-dash ...sink", ""},
		{"-alloc|sink|sub dir/ok|ok.trace|threads.trace", 0, "sub dir/ok  sink...ok.trace  ...sink...threads  ", ""},
		{"-check|ok.trace", 0, "; 1 round\n...checked\nok ...heap...ok, 4.19 kB compared\nok ...system...ok, 4.19 kB compared\nok ...goheap...ok, 4.19 kB compared\n", ""},
		// Not sink: its threads share one block, which the race detector would report.
		{"-threads|-alloc|heap,system,goheap|threads.trace", 0, "a goroutine for each recorded thread\n...threads ...heap ...threads ...system...threads ...goheap", ""},
		{"-threads|-check|-rounds|2|threads.trace", 0, "ok, 300 B compared...ok, 300 B compared...ok, 300 B compared", ""},
		{"-threads|-check|ok.trace", 0, "ok, 4.19 kB compared", ""},
		{"-alloc|system|comments.trace", 0, "comments ... 0 ... - ... - ... 0 B", ""},
		{"-check|comments.trace", 0, "ok, 0 B compared", ""},

		{"empty.trace", 1, "empty  -  ... failed\n", "galloc replay: empty.trace:1: the file is empty"},
		{"cut.trace.gz", 1, "failed", "galloc replay: cut.trace.gz:6: the trace is cut short"},
		{"text.trace", 1, "failed", `galloc replay: text.trace:3: "hello": unknown event`},
		{"version.trace", 1, "failed", `galloc replay: version.trace:1: ...version "2"`},
		{"twice.trace", 1, "failed", "galloc replay: twice.trace:4: free of object 1, which has ended"},
		{"huge.trace", 1, "failed", "galloc replay: huge.trace:2: ...does not fit"},
		{"-threads|twice.trace", 1, "failed", "twice.trace:4: "},
		{"sum.trace", 1, "sum ...-  ...failed", "galloc replay: sum.trace: event 3: the live objects together"},
		{"-threads|sum.trace", 1, "sum ...-  ...failed", "galloc replay: sum.trace: event 3: the live objects together"},
	} {
		t.Run(c.args, func(t *testing.T) {
			status, stdout, stderr := command(t.Context(), append([]string{"replay"}, strings.Split(c.args, "|")...)...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			clitest.WantText(t, "stdout", stdout, c.stdout)
			clitest.WantText(t, "stderr", stderr, c.stderr)
			if n := strings.Count(stderr, "\n"); n > 1 {
				t.Errorf("%d lines on stderr:\n%s", n, stderr)
			}
		})
	}
}

// A trace that needs more memory than there is must not be tried: the system would end the process,
// or another.
func TestATraceBeyondTheMachineIsRefused(t *testing.T) {
	if bits.UintSize == 32 {
		t.Skip("the address space ends before the memory")
	}
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	for _, args := range [][]string{nil, {"-check"}, {"-threads"}, {"-check", "-threads"}} {
		for _, alloc := range allocators.Names() {
			if alloc == allocators.Sink && args != nil {
				continue
			}
			line := slices.Concat([]string{"replay", "-alloc", alloc}, args, []string{"oom.trace"})
			status, stdout, stderr := command(t.Context(), line...)
			if status != cli.ExitFailure || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%q: exit status %d, %s", line, status, stderr)
			}
			clitest.WantText(t, "stdout", stdout, "failed")
			want := "galloc replay: oom on " + alloc + ": this needs ... of memory at its peak, and ... are available\n"
			if runtime.GOOS != "linux" {
				want = "galloc replay: oom on " + alloc + ": "
			}
			clitest.WantText(t, "stderr", stderr, want)
		}
	}
}

// What the allocator itself refuses.
func TestAnAllocationThatFails(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	t.Setenv("GALLOC", "heap,limit=2MiB")
	trace := "# malloctrace 1\nm 0 1 24\nm 1 2 8000000\n"
	if err := os.WriteFile("limit.trace", []byte(trace), 0o666); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"":                "event 2, malloc: galloc: memory allocation of ",
		"-check":          "thread 0, event 2, malloc: ",
		"-threads -check": "thread 1, event 1, malloc: ",
		"-threads":        "thread 1, event 1, malloc: galloc: memory allocation of ",
	} {
		line := slices.Concat([]string{"replay", "-alloc", "heap"}, strings.Fields(args), []string{"limit.trace"})
		status, stdout, stderr := command(t.Context(), line...)
		if status != cli.ExitFailure || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit status %d", line, status)
		}
		clitest.WantText(t, "stdout", stdout, "limit  ...heap ...failed")
		clitest.WantText(t, "stderr", stderr, "galloc replay: limit on heap: "+want)
	}
}

// The name of a shipped trace means that trace, even if there is a file of that name.
func TestShippedTraces(t *testing.T) {
	if percpu.Race && testing.Short() {
		t.Skip("it takes long, and the traces are replayed by one goroutine")
	}
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	status, stdout, stderr := command(t.Context(), "replay", "-check", "-rounds", "1", "sqlite", "./sqlite")
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout, "\nsqlite ...heap      1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\nsqlite ...system    1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\nsqlite ...goheap    1,067,395   4.37 MB  ok, 129.54 MB compared"+
		"\n./sqlite ...heap ...4.14 kB  ok, ")
	clitest.WantText(t, "stderr", stderr, "")

	status, stdout, _ = command(t.Context(), "replay", "-rounds", "1", "sqlite")
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout,
		"sqlite  sink      1,067,395 ...sqlite  heap      1,067,395 ...sqlite  system    1,067,395 ...sqlite  goheap    1,067,395 ")
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
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	got, stderr := replayJSON(t, cli.ExitOK, "-rounds", "3", "ok.trace", "sub dir/ok")
	clitest.WantText(t, "stderr", stderr, "")
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
		if (r.PeakRSS == nil) != (r.EndRSS == nil) ||
			r.PeakRSS != nil && (r.Alloc == allocators.Sink || *r.EndRSS > *r.PeakRSS) {
			t.Errorf("resident memory that makes no sense: %+v", r)
		}
		if r.PeakRSS != nil && r.RSSRatio != float64(*r.PeakRSS)/4144 {
			t.Errorf("ratio %v of a peak of %d", r.RSSRatio, *r.PeakRSS)
		}
		if want := map[string]string{"sink": "sink", "heap": "galloc heap", "system": "galloc.System", "goheap": "galloc.GoHeap"}[r.Alloc]; !strings.HasPrefix(
			r.Allocator, want) {
			t.Errorf("measured %s, not %s", r.Allocator, want)
		}
	}
	want := []string{
		"ok.trace sink", "ok.trace heap", "ok.trace system", "ok.trace goheap",
		"sub dir/ok sink", "sub dir/ok heap", "sub dir/ok system", "sub dir/ok goheap",
	}
	if !slices.Equal(order, want) {
		t.Errorf("order %q, want %q", order, want)
	}

	got, _ = replayJSON(t, cli.ExitOK, "-check", "-threads", "-rounds", "2", "threads.trace")
	if got.Rounds != 2 || !got.Check || !got.Threads || len(got.Results) != 3 {
		t.Errorf("%+v", got)
	}
	for _, r := range got.Results {
		if r.Events != 4 || r.Threads != 2 || r.Compared != 300 || r.RoundsNs != nil || r.PeakRSS != nil {
			t.Errorf("%+v", r)
		}
	}
}

// Blocks that a trace leaves alive are freed after each round.
func TestRoundsDoNotAddUp(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	got, _ := replayJSON(t, cli.ExitOK, "-alloc", "system", "-rounds", "100", "leak.trace")
	r := got.Results[0]
	if r.PeakRSS == nil {
		t.Skip("resident memory is not measured here")
	}
	if *r.PeakRSS < 500_000 || *r.PeakRSS > 50_000_000 {
		t.Errorf("a peak of %d bytes with one object of 1 MB", *r.PeakRSS)
	}
}

func TestAFailureDoesNotStopTheOthers(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	t.Setenv(clitest.BadChild, "silent goheap")
	status, stdout, stderr := command(t.Context(), "replay", "-alloc", "goheap,sink", "text.trace", "ok.trace")
	if status != cli.ExitFailure {
		t.Errorf("exit status %d", status)
	}
	// The first process ends before it sees that its trace is faulty.
	clitest.WantText(t, "stdout", stdout,
		"text ...goheap ...failed\ntext ...-  ...failed\nok ...goheap ...failed\nok ...sink  ")
	clitest.WantText(t, "stderr", stderr,
		"galloc replay: text on goheap: ...galloc replay: text.trace:3: ...galloc replay: ok on goheap: ")

	os.Unsetenv(clitest.BadChild)
	got, stderr := replayJSON(t, cli.ExitFailure, "-alloc", "goheap", "text.trace", "oom.trace", "ok.trace")
	clitest.WantText(t, "stderr", stderr, "galloc replay: text.trace:3: ...galloc replay: oom on goheap: ")
	var entries []string
	for _, r := range got.Results {
		entries = append(entries, fmt.Sprintf("%s/%s/%d/%t", r.Trace, r.Alloc, r.Events, r.Error != ""))
	}
	if want := "text//0/true oom/goheap/2/true ok/goheap/4/false"; strings.Join(entries, " ") != want {
		t.Errorf("entries %q, want %q", entries, want)
	}
}

func TestAMeasuringProcessThatFails(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	for mode, want := range map[string]string{
		"crash":   "exit status 2\n    panic: a crash on purpose\n    \n    goroutine 1...clitest.go:",
		"garbage": "its answer is not understood: invalid character",
		"silent":  "it ended without a result\n",
		"killed":  "", // the system's words
	} {
		t.Run(mode, func(t *testing.T) {
			t.Setenv(clitest.BadChild, mode+" system")
			status, stdout, stderr := command(t.Context(), "replay", "ok.trace")
			if status != cli.ExitFailure {
				t.Errorf("exit status %d", status)
			}
			clitest.WantText(t, "stdout", stdout, "ok ...sink  ...ok ...system ...failed\nok ...goheap  ")
			clitest.WantText(t, "stderr", stderr, "galloc replay: ok on system: the measuring process failed: "+want)
			if strings.Count(stderr, "galloc replay") != 1 || strings.Count(stderr, "\n") > 22 {
				t.Errorf("stderr is too long:\n%s", stderr)
			}
			got, _ := replayJSON(t, cli.ExitFailure, "-alloc", "system", "ok.trace")
			if len(got.Results) != 1 || got.Results[0].Alloc != "system" || got.Results[0].File != "ok.trace" {
				t.Fatalf("%+v", got)
			}
			clitest.WantText(t, "error", got.Results[0].Error, "the measuring process failed: ")
		})
	}
}

func TestDefaults(t *testing.T) {
	for _, c := range []struct {
		args, allocs string
		rounds       int
	}{
		{"-json", "sink heap system goheap", 5},
		{"-check", "heap system goheap", 1},
		{"-check -rounds=4", "heap system goheap", 4},
	} {
		o, err := parse(strings.Fields(c.args), nil)
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
		setLabels(all)
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
			if !f.IsExported() { // so it is not in the output
				continue
			}
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
		r, err := timeRounds(result{Alloc: allocators.Sink, Events: 1000}, &s, 5, c.limit, func(int) {})
		if err != nil || s.rounds != c.want || len(r.RoundsNs) != c.want || r.NsPerOp != 2e6 {
			t.Errorf("limit %v: %d rounds, %+v, %v", c.limit, s.rounds, r, err)
		}
	}
}

// The interruption comes with the message of the child that half is done. That measureInChild
// returns at all shows that the child, which would hang, is gone.
func TestAnInterruptionEndsTheMeasuringProcess(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	t.Setenv(clitest.BadChild, "hang system")
	ctx, cancel := context.WithCancel(t.Context())
	b := cli.NewBarOn(&clitest.Canceling{Text: " 50% [######......] ", Cancel: cancel}, 1)
	_, err := measureInChild(ctx, options{rounds: 1}, traceFile{path: "ok.trace"}, "system", b)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestTheMeasuringProcessTellsItsProgress(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	var out bytes.Buffer
	b := cli.NewBarOn(&out, 1)
	if _, err := measureInChild(t.Context(), options{rounds: 1}, traceFile{path: "ok.trace"}, "system", b); err != nil {
		t.Fatal(err)
	}
	// The trace is loaded; all is done.
	clitest.WantText(t, "the bar", out.String(), " 50% [...100% [")
}
