package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/rss"
)

// shortSoak is flags that make a soak short.
var shortSoak = []string{"-time", "300ms", "-live", "4MB", "-goroutines", "4"}

// soakJSON runs galloc soak -json and returns its report. A wantStatus of -1 allows for
// success and failure.
func soakJSON(t *testing.T, wantStatus int, args ...string) (soakReport, string) {
	t.Helper()
	status, stdout, stderr := command(t.Context(), slices.Concat([]string{"soak", "-json"}, shortSoak, args)...)
	if status != wantStatus && (wantStatus != -1 || status > exitFailure) {
		t.Errorf("exit status %d, want %d; stderr:\n%s", status, wantStatus, stderr)
	}
	var r soakReport
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	if r.OK != (status == exitOK) || r.OK != (stderr == "") {
		t.Errorf("exit status %d, stderr %q: %+v", status, stderr, r)
	}
	return r, stderr
}

func TestSoak(t *testing.T) {
	needProcesses(t)
	for _, name := range usual(soakNames()) {
		t.Run(name, func(t *testing.T) {
			status := exitOK
			if name != heapName {
				status = -1 // in so short a time, memory of others need not stay flat
			}
			got, _ := soakJSON(t, status, "-alloc", name, "-procs", "2", "-seed", "7")
			if want := (soakSpec{name, 300 * time.Millisecond, 4, 2, 4_000_000, 7}); got.soakSpec != want {
				t.Errorf("it did %+v, want %+v", got.soakSpec, want)
			}
			if got.Schema != soakSchema || got.Go != runtime.Version() || got.OS != runtime.GOOS || got.Arch != runtime.GOARCH || got.CPUs != runtime.NumCPU() {
				t.Errorf("head: %+v", got)
			}
			if want := map[string]string{"heap": "galloc heap", "system": "galloc.System", "goheap": "galloc.GoHeap"}[name]; !strings.HasPrefix(got.Allocator, want) {
				t.Errorf("soaked %s, not %s", got.Allocator, want)
			}
			if got.OK == got.Grown || got.Error != "" || got.Interrupted || got.Elapsed < got.Time || got.Busy > got.Elapsed {
				t.Errorf("%+v", got)
			}
			c := got.soakCounts
			if c.Allocated == 0 || c.Zeroed == 0 || c.Reallocated == 0 || c.Tried == 0 || c.Exchanged == 0 || c.Compared == 0 ||
				c.Resized > c.Tried || got.Operations > c.operations() {
				t.Errorf("%+v", got)
			}
			if c.Freed != c.Allocated+c.Zeroed {
				t.Errorf("%d blocks allocated, %d freed", c.Allocated+c.Zeroed, c.Freed)
			}
			if got.PeakLive == 0 || got.PeakLive > 6_000_000 {
				t.Errorf("a peak of %d bytes, where 4,000,000 are asked for", got.PeakLive)
			}
			if (got.PeakRSS == nil) != (got.EndRSS == nil) || got.Judged != (got.PeakRSS != nil) || got.Judged != (len(got.TroughRSS) == minWaves) {
				t.Errorf("resident memory that makes no sense: %+v", got)
			}
			if (got.Heap != nil) != (name == heapName) {
				t.Errorf("heap: %+v", got.Heap)
			}
			if got.Heap != nil && (got.Heap.Footprint < got.Heap.Metadata || got.Heap.Misuses != 0) {
				t.Errorf("heap: %+v", got.Heap)
			}
		})
	}
}

func TestSoakReport(t *testing.T) {
	needProcesses(t)
	status, stdout, stderr := command(t.Context(), slices.Concat([]string{"soak"}, shortSoak)...)
	if status != exitOK {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stderr", stderr, "")
	memory := "trough RSS...end RSS...end heap...contents were right\nmemory      ok: stays flat\n"
	if _, measured := rss.Start(); !measured || raceDetector {
		memory = "contents were right\nmemory      not judged"
	}
	wantText(t, "stdout", stdout, "; heap\n300ms with 4 goroutines on ...up to 4.00 MB live, seed 1\n\noperations  ... a second...peak live..."+memory)
	for line := range strings.Lines(stdout) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestWhatSoakRefuses(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"-fast", "flag provided but not defined: -fast (galloc soak -h lists the flags)"},
		{"trace", `"trace" is no flag: soak takes nothing else`},
		{"-alloc null", `-alloc: all blocks are the same with "null": there are heap, system, goheap`},
		{"-alloc best", `-alloc: unknown allocator "best": there are heap`},
		{"-alloc heap,system", `-alloc: unknown allocator "heap,system"`},
		{"-time 10", "-time 10: give a duration, such as 10s or 5m"},
		{"-time -1s", "-time -1s: give 10ms or more"},
		{"-goroutines none", "-goroutines none: give a whole number"},
		{"-goroutines 0", "-goroutines 0: give a number from 1 to "},
		{"-goroutines 100000", "-goroutines 100000: "},
		{"-procs 0", "-procs 0: give a number from 1 to "},
		{"-procs x", "-procs x: give a whole number"},
		{"-procs 5000", "-procs 5000: "},
		{"-seed -1", "-seed -1: give a whole number, at least 0"},
		{"-live much", "-live much: give bytes, as 300000, 64MB"},
		{"-live 1XB", "-live 1XB: give bytes"},
		{"-live MB", "-live MB: give bytes"},
		{"-live 64MiBB", "-live 64MiBB: give bytes"},
		{"-live 99999999TB", "-live 99999999TB: that is more than there can be"},
		{"-live 99999999999999999999", "-live 99999999999999999999: that is more than there can be"},
		{"-live 1MB -goroutines 20", "-live 1000000: give 100000 or more for each of the 20 goroutines"},
	} {
		status, stdout, stderr := command(t.Context(), append([]string{"soak"}, strings.Fields(c.args)...)...)
		if status != exitUsage {
			t.Errorf("%s: exit status %d", c.args, status)
		}
		wantText(t, "stdout", stdout, "")
		wantText(t, "stderr", stderr, "galloc soak: "+c.stderr)
		if strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: several lines:\n%s", c.args, stderr)
		}
	}
	for _, spec := range []string{"", "{}", `{"alloc":"null","time_ns":1000000000,"goroutines":1,"procs":1,"live_bytes":1000000}`} {
		if status, _, stderr := command(t.Context(), soakingCommand, spec); status != exitUsage || !strings.Contains(stderr, "only") {
			t.Errorf("%s: exit status %d, %s", spec, status, stderr)
		}
	}
}

func TestSoakDefaults(t *testing.T) {
	spec, asJSON, err := parseSoak([]string{"-procs", "3", "-live", "2MiB"}, nil)
	if want := (soakSpec{heapName, 10 * time.Second, 6, 3, 2 << 20, 1}); err != nil || asJSON || spec != want {
		t.Errorf("got %+v, %v", spec, err)
	}
	spec, _, err = parseSoak(nil, nil)
	if p := runtime.GOMAXPROCS(0); err != nil || spec.Procs != p || spec.Goroutines != 2*p || spec.Live != 256e6 {
		t.Errorf("got %+v, %v", spec, err)
	}
}

// The soaking process uses what the test puts in the place of system: see TestMain.
func TestSoakFindsABrokenAllocator(t *testing.T) {
	needProcesses(t)
	t.Setenv(badChild, "corrupt system")
	got, stderr := soakJSON(t, exitFailure, "-alloc", "system")
	wantText(t, "stderr", stderr, "galloc soak: system: ...was written there\n")
	if got.OK || !strings.Contains(got.Error, "was written there") || !strings.Contains(stderr, got.Error) {
		t.Errorf("%+v", got)
	}
	status, stdout, _ := command(t.Context(), slices.Concat([]string{"soak", "-alloc", "system"}, shortSoak)...)
	if status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stdout", stdout, "operations...\nblocks      FAILED\n")
}

func TestASoakingProcessThatFails(t *testing.T) {
	needProcesses(t)
	for mode, want := range map[string]string{
		"crash":   "exit status 2\n    panic: a crash on purpose",
		"garbage": "its answer is not understood: ",
		"silent":  "it ended without a result",
	} {
		t.Setenv(badChild, mode+" heap")
		got, stderr := soakJSON(t, exitFailure)
		wantText(t, "stderr", stderr, "galloc soak: heap: the soaking process failed: "+want)
		if got.OK || got.Judged || got.Operations != 0 || !strings.HasPrefix(got.Error, "the soaking process failed: "+want) {
			t.Errorf("%+v", got)
		}
	}
}

// The line on the terminal comes after a second, and with it the interruption.
func TestAnInterruptedSoakReports(t *testing.T) {
	needProcesses(t)
	ctx, cancel := context.WithCancel(t.Context())
	spec, _, err := parseSoak([]string{"-time", "1h", "-live", "4MB"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	terminal := cancelling{text: "M/s live ", cancel: cancel}
	r, err := soakInChild(ctx, spec, &bar{w: &terminal})
	if err != nil || !r.Interrupted || r.Error != "" || r.Operations == 0 || r.Elapsed > time.Minute || r.Freed != r.Allocated+r.Zeroed {
		t.Errorf("%+v, %v", r, err)
	}
	if s := newSoakReport(spec, r); s.Judged || !s.OK {
		t.Errorf("%+v", s)
	}
}

func TestAnInterruptedSoakEndsWith130(t *testing.T) {
	needProcesses(t)
	for _, c := range []struct{ flag, stdout string }{{"-time=1h", "operations...contents were right\nmemory ...not judged"}, {"-json", `"interrupted": true`}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the soak is told to end as soon as it has begun
		var stdout, stderr bytes.Buffer
		status := run(ctx, []string{"soak", "-time", "1h", "-live", "4MB", c.flag}, &stdout, &stderr)
		if status != exitInterrupted {
			t.Errorf("exit status %d", status)
		}
		wantText(t, "stdout", stdout.String(), c.stdout)
		wantText(t, "stderr", stderr.String(), "galloc: interrupted\n")
	}
}

func TestSoakWithoutProcesses(t *testing.T) {
	if runtime.GOOS != "js" && runtime.GOOS != "wasip1" {
		t.Skip("this platform has processes")
	}
	status, _, stderr := command(t.Context(), "soak")
	if status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stderr", stderr, "galloc soak: cannot start a process for each measurement: ")
}

func TestSoakOutputThatCannotBeWritten(t *testing.T) {
	needProcesses(t)
	for _, room := range []int{0, 200} {
		for _, args := range [][]string{{"-h"}, shortSoak, append([]string{"-json"}, shortSoak...)} {
			var stderr bytes.Buffer
			if status := run(t.Context(), append([]string{"soak"}, args...), &full{room}, &stderr); status != exitFailure {
				t.Errorf("%q: exit status %d", args, status)
			}
			if n := strings.Count(stderr.String(), "disk full"); n != 1 {
				t.Errorf("%q: told %d times: %s", args, n, &stderr)
			}
		}
	}
}

func TestSoakHelpNamesEveryField(t *testing.T) {
	_, stdout, _ := command(t.Context(), "soak", "-h")
	words := strings.Fields(stdout)
	var look func(reflect.Type)
	look = func(of reflect.Type) {
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case f.Anonymous:
				look(f.Type)
				continue
			case f.Type == reflect.TypeFor[*soakHeap]():
				look(f.Type.Elem())
			}
			if name == "" || !slices.Contains(words, name) {
				t.Errorf("%v.%s: the help lacks %q", of, f.Name, name)
			}
		}
	}
	look(reflect.TypeFor[soakReport]())
}

// The allocator that a child process with badChild=corrupt has in the place of one that it
// names: it writes into a block that it has handed out.
func corrupt(name string) {
	i := slices.Index(allocatorNames(), name)
	allocators[i].open = func(uint64) (galloc.GlobalAlloc, error) { return galloc.AsGlobal(&spoiler{fault: "writes"}), nil }
	_ = os.Unsetenv(badChild)
}
