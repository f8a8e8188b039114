package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/internal/rss"
)

func TestMain(m *testing.M) { clitest.Main(m, []cli.Command{Command}, corrupt) }

// command runs galloc as a function.
func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, []cli.Command{Command}, args...)
}

// shortSoak is flags that make a soak short.
var shortSoak = []string{"-time", "300ms", "-live", "4000000", "-goroutines", "4"}

// soakJSON runs galloc soak -json and returns its report. A wantStatus of -1 allows for success and
// failure.
func soakJSON(t *testing.T, wantStatus int, args ...string) (report, string) {
	t.Helper()
	status, stdout, stderr := command(t.Context(), slices.Concat([]string{"soak", "-json"}, shortSoak, args)...)
	if status != wantStatus && (wantStatus != -1 || status > cli.ExitFailure) {
		t.Errorf("exit status %d, want %d; stderr:\n%s", status, wantStatus, stderr)
	}
	var r report
	d := json.NewDecoder(strings.NewReader(stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatalf("%v:\n%s", err, stdout)
	}
	if r.OK != (status == cli.ExitOK) || r.OK != (stderr == "") {
		t.Errorf("exit status %d, stderr %q: %+v", status, stderr, r)
	}
	return r, stderr
}

func TestSoak(t *testing.T) {
	clitest.NeedProcesses(t)
	for _, name := range allocators.Usual(allocators.RealNames()) {
		t.Run(name, func(t *testing.T) {
			status := cli.ExitOK
			if name != allocators.Heap {
				status = -1 // in so short a time, memory of others need not stay flat
			}
			got, _ := soakJSON(t, status, "-alloc", name, "-procs", "2", "-seed", "7")
			if want := (options{name, 300 * time.Millisecond, 4, 2, 4_000_000, 7}); got.options != want {
				t.Errorf("it did %+v, want %+v", got.options, want)
			}
			if got.Schema != schema || got.Go != runtime.Version() || got.OS != runtime.GOOS ||
				got.Arch != runtime.GOARCH ||
				got.CPUs != runtime.NumCPU() {
				t.Errorf("head: %+v", got)
			}
			if want := map[string]string{"heap": "galloc heap", "system": "galloc.System", "goheap": "galloc.GoHeap"}[name]; !strings.HasPrefix(
				got.Allocator, want) {
				t.Errorf("soaked %s, not %s", got.Allocator, want)
			}
			if got.OK == got.Grown || got.Error != "" || got.Interrupted || got.Elapsed < got.Time ||
				got.Busy > got.Elapsed {
				t.Errorf("%+v", got)
			}
			c := got.tally
			if c.Allocated == 0 || c.Zeroed == 0 || c.Reallocated == 0 || c.Tried == 0 || c.Exchanged == 0 ||
				c.Compared == 0 ||
				c.Resized > c.Tried ||
				got.Operations > c.operations() {
				t.Errorf("%+v", got)
			}
			if c.Freed != c.Allocated+c.Zeroed {
				t.Errorf("%d blocks allocated, %d freed", c.Allocated+c.Zeroed, c.Freed)
			}
			if got.PeakLive == 0 || got.PeakLive > 6_000_000 {
				t.Errorf("a peak of %d bytes, where 4,000,000 are asked for", got.PeakLive)
			}
			if (got.PeakRSS == nil) != (got.EndRSS == nil) || got.Judged != (got.PeakRSS != nil) ||
				got.Judged != (len(got.TroughRSS) == minWaves) {
				t.Errorf("resident memory that makes no sense: %+v", got)
			}
			if (got.Heap != nil) != (name == allocators.Heap) {
				t.Errorf("heap: %+v", got.Heap)
			}
			if got.Heap != nil && (got.Heap.Footprint < got.Heap.Metadata || got.Heap.Misuses != 0) {
				t.Errorf("heap: %+v", got.Heap)
			}
		})
	}
}

func TestSoakReport(t *testing.T) {
	clitest.NeedProcesses(t)
	status, stdout, stderr := command(t.Context(), slices.Concat([]string{"soak"}, shortSoak)...)
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stderr", stderr, "")
	memory := "trough RSS...end RSS...end heap...contents were right\nmemory      ok: stayed flat\n"
	if _, measured := rss.Start(); !measured || raceEnabled {
		memory = "contents were right\nmemory      not judged"
	}
	clitest.WantText(t, "stdout", stdout,
		"; heap\n300ms with 4 goroutines on ...up to 4.00 MB live, seed 1\n\noperations  ... a second...peak live..."+memory)
	for line := range strings.Lines(stdout) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

func TestWhatSoakRefuses(t *testing.T) {
	for _, c := range []struct{ args, stderr string }{
		{"-fast", "flag provided but not defined: -fast (galloc soak -h lists the flags)"},
		{"trace", `"trace" is not a flag: soak takes only flags`},
		{"-alloc sink", `-alloc: sink has one block for everything: choose one of heap, system, goheap`},
		{"-alloc best", `-alloc: unknown allocator "best": choose one of heap`},
		{"-alloc heap,system", `-alloc: unknown allocator "heap,system"`},
		{"-time 10", "-time 10: write a duration, such as 10s or 5m"},
		{"-time -1s", "-time -1s: write at least 10ms"},
		{"-goroutines none", "-goroutines none: write a whole number"},
		{"-goroutines 0", "-goroutines 0: write a number from 1 to "},
		{"-goroutines 100000", "-goroutines 100000: "},
		{"-procs 0", "-procs 0: write a number from 1 to "},
		{"-procs x", "-procs x: write a whole number"},
		{"-procs 5000", "-procs 5000: "},
		{"-seed -1", "-seed -1: write a whole number, at least 0"},
		{"-live much", "-live much: write a whole number of bytes"},
		{"-live 1XB", "-live 1XB: write a whole number of bytes"},
		{"-live MB", "-live MB: write a whole number of bytes"},
		{"-live 64MiBB", "-live 64MiBB: write a whole number of bytes"},
		{"-live 99999999TiB", "-live 99999999TiB: too large: write at most"},
		{"-live 99999999999999999999", "-live 99999999999999999999: too large: write at most"},
		{"-live 17TiB", "-live ...: write at most "},
		{"-live 1000000 -goroutines 20", "-live 1000000: write at least 100000 for each of the 20 goroutines"},
	} {
		status, stdout, stderr := command(t.Context(), append([]string{"soak"}, strings.Fields(c.args)...)...)
		if status != cli.ExitUsage {
			t.Errorf("%s: exit status %d", c.args, status)
		}
		clitest.WantText(t, "stdout", stdout, "")
		clitest.WantText(t, "stderr", stderr, "galloc soak: "+c.stderr)
		if strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: several lines:\n%s", c.args, stderr)
		}
	}
	for _, spec := range []string{"", "{}", `{"alloc":"sink","time_ns":1000000000,"goroutines":1,"procs":1,"live_bytes":1000000}`} {
		if status, _, stderr := command(t.Context(), childCommand, spec); status != cli.ExitUsage ||
			!strings.Contains(stderr, "only") {
			t.Errorf("%s: exit status %d, %s", spec, status, stderr)
		}
	}
}

func TestMoreThanTheMachineHasIsRefused(t *testing.T) {
	if runtime.GOOS != "linux" || strconv.IntSize == 32 {
		t.Skip("the memory of the machine is known on Linux, and a size on 32 bits is less")
	}
	status, stdout, stderr := command(t.Context(), "soak", "-live", "8TiB")
	if status != cli.ExitFailure || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout, "")
	clitest.WantText(t, "stderr", stderr, "galloc soak: -live 8TiB needs 8.80 TB of memory at its peak, and ... are available")
}

// The command timeout, for example, sends SIGTERM to both processes.
func TestTheSoakingProcessLeavesSignalsToItsParent(t *testing.T) {
	clitest.NeedProcesses(t)
	if runtime.GOOS == "windows" || runtime.GOOS == "plan9" {
		t.Skip("this platform has no SIGTERM")
	}
	o := options{allocators.Heap, time.Hour, 4, 2, 4_000_000, 1}
	child, err := cli.NewChild(t.Context(), childCommand, o)
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	last, failure, err := cli.Converse(child, func(m message) {
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			if m.Now != nil {
				if err := child.Process.Signal(s); err != nil {
					t.Error(err)
				}
			}
		}
		stdin.Close()
	})
	if err != nil || failure != "" || last.Result.Error != "" || !last.Result.Interrupted {
		t.Errorf("%v, %q, %+v", err, failure, last.Result)
	}
}

// The quarantine of a checker fills over several waves: 64 MiB of blocks that are freed.
func TestAQuarantineIsNoGrowth(t *testing.T) {
	clitest.NeedProcesses(t)
	if testing.Short() {
		t.Skip("takes 12 s")
	}
	got, _ := soakJSON(t, cli.ExitOK, "-alloc", "debug", "-time", "12s", "-live", "32MiB")
	if got.Error != "" || got.Grown {
		t.Errorf("%+v", got)
	}
}

func TestSoakDefaults(t *testing.T) {
	spec, asJSON, err := parse([]string{"-procs", "3", "-live", "2MiB"}, nil)
	if want := (options{allocators.Heap, 10 * time.Second, 6, 3, 2 << 20, 1}); err != nil || asJSON || spec != want {
		t.Errorf("got %+v, %v", spec, err)
	}
	spec, _, err = parse(nil, nil)
	if p := runtime.GOMAXPROCS(0); err != nil || spec.Procs != p || spec.Goroutines != 2*p || spec.Live != 256<<20 {
		t.Errorf("got %+v, %v", spec, err)
	}
}

// The soaking process uses what the test puts in the place of system: see TestMain.
func TestSoakFindsABrokenAllocator(t *testing.T) {
	clitest.NeedProcesses(t)
	t.Setenv(clitest.BadChild, "corrupt system")
	got, stderr := soakJSON(t, cli.ExitFailure, "-alloc", "system")
	clitest.WantText(t, "stderr", stderr, "galloc soak: system: ...was written there\n")
	if got.OK || !strings.Contains(got.Error, "was written there") || !strings.Contains(stderr, got.Error) {
		t.Errorf("%+v", got)
	}
	status, stdout, _ := command(t.Context(), slices.Concat([]string{"soak", "-alloc", "system"}, shortSoak)...)
	if status != cli.ExitFailure {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout, "operations...\nblocks      FAILED\n")
}

func TestASoakingProcessThatFails(t *testing.T) {
	clitest.NeedProcesses(t)
	for mode, want := range map[string]string{
		"crash":   "exit status 2\n    panic: a crash on purpose",
		"garbage": "its answer is not understood: ",
		"silent":  "it ended without a result",
	} {
		t.Setenv(clitest.BadChild, mode+" heap")
		got, stderr := soakJSON(t, cli.ExitFailure)
		clitest.WantText(t, "stderr", stderr, "galloc soak: heap: the soaking process failed: "+want)
		if got.OK || got.Judged || got.Operations != 0 ||
			!strings.HasPrefix(got.Error, "the soaking process failed: "+want) {
			t.Errorf("%+v", got)
		}
	}
}

// The line on the terminal comes after a second, and with it the interruption.
func TestAnInterruptedSoakReports(t *testing.T) {
	clitest.NeedProcesses(t)
	ctx, cancel := context.WithCancel(t.Context())
	spec, _, err := parse([]string{"-time", "1h", "-live", "4000000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	terminal := clitest.Canceling{Text: "M/s live ", Cancel: cancel}
	r, err := runInChild(ctx, spec, cli.NewBarOn(&terminal, 0))
	if err != nil || !r.Interrupted || r.Error != "" || r.Operations == 0 || r.Elapsed > time.Minute ||
		r.Freed != r.Allocated+r.Zeroed {
		t.Errorf("%+v, %v", r, err)
	}
	if s := newReport(spec, r); s.Judged || !s.OK {
		t.Errorf("%+v", s)
	}
}

func TestAnInterruptedSoakEndsWith130(t *testing.T) {
	clitest.NeedProcesses(t)
	for _, c := range []struct{ flag, stdout string }{{"-time=1h", "operations...contents were right\nmemory ...not judged"}, {"-json", `"interrupted": true`}} {
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the soak must end as soon as it has begun
		var stdout, stderr bytes.Buffer
		status := cli.Run(ctx, []cli.Command{Command}, []string{"soak", "-time", "1h", "-live", "4000000", c.flag},
			&stdout, &stderr)
		if status != cli.ExitInterrupted {
			t.Errorf("exit status %d", status)
		}
		clitest.WantText(t, "stdout", stdout.String(), c.stdout)
		clitest.WantText(t, "stderr", stderr.String(), "galloc: interrupted\n")
	}
}

func TestSoakWithoutProcesses(t *testing.T) {
	if clitest.HasProcesses() {
		t.Skip("this platform has processes")
	}
	status, _, stderr := command(t.Context(), "soak")
	if status != cli.ExitFailure {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stderr", stderr, "galloc soak: cannot start a process for each measurement: ")
}

func TestSoakOutputThatCannotBeWritten(t *testing.T) {
	clitest.NeedProcesses(t)
	for _, room := range []int{0, 200} {
		for _, args := range [][]string{{"-h"}, shortSoak, append([]string{"-json"}, shortSoak...)} {
			var stderr bytes.Buffer
			if status := cli.Run(t.Context(), []cli.Command{Command}, append([]string{"soak"}, args...), &clitest.Full{Room: room}, &stderr); status != cli.ExitFailure {
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
			case f.Type == reflect.TypeFor[*heapStats]():
				look(f.Type.Elem())
			}
			if name == "" || !slices.Contains(words, name) {
				t.Errorf("%v.%s: the help lacks %q", of, f.Name, name)
			}
		}
	}
	look(reflect.TypeFor[report]())
}

// The allocator that a child process with clitest.BadChild=corrupt has in the place of one that it
// names: it writes into a block that it has handed out.
func corrupt(name string) {
	i := slices.Index(allocators.Names(), name)
	allocators.All[i].Open = func(uint64) (galloc.GlobalAlloc, error) { return galloc.AsGlobal(&spoiler{fault: "writes"}), nil }
	_ = os.Unsetenv(clitest.BadChild)
}
