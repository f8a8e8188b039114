package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Measuring starts the running executable once more, which is the test binary: TestMain then
// does what the command does. badChild in the environment, as "MODE ALLOC", makes it fail in
// one of several ways when it is to measure ALLOC.
const badChild = "GALLOC_TEST_BAD_CHILD"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{measureCommand, soakingCommand, benchingCommand}, os.Args[1]) {
		mode, alloc, _ := strings.Cut(os.Getenv(badChild), " ")
		if mode != "" && strings.Contains(os.Args[2], `"alloc":"`+alloc+`"`) {
			if mode == "corrupt" {
				corrupt(alloc)
			} else {
				misbehave(mode)
			}
		}
		main()
	}
	// Under the race detector, each child would sleep for a second before it ends.
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func misbehave(mode string) {
	switch mode {
	case "crash":
		panic("a crash on purpose")
	case "garbage":
		fmt.Println(`{"done":0.5}`)
		fmt.Println("not an answer")
		fmt.Println(strings.Repeat("and much of it\n", 100_000)) // more than a pipe holds
	case "silent":
	case "hang":
		fmt.Println(`{"done":0.5}`)
		playDead()
	case "killed":
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Kill()
		}
		if err != nil {
			panic(err)
		}
		playDead()
	}
	os.Exit(0)
}

// playDead is what a child does that never answers: the test goes on because the parent kills
// it, not because time passes. Should nobody kill it, it does not stay for ever.
func playDead() { time.Sleep(time.Minute) }

// needProcesses skips a test that measures where that is impossible.
func needProcesses(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
}

// command runs galloc as a function.
func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, args, &out, &errs)
	return status, out.String(), errs.String()
}

const okTrace = "# malloctrace 1\nm 0 1 24\nc 0 2 4096\nr 0 1 3 48\nf 0 2\n"

// inTraces makes the working directory one with traces, good and bad.
func inTraces(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(okTrace))
	z.Close()
	for name, text := range map[string]string{
		"ok.trace":       okTrace,
		"ok.trace.gz":    zipped.String(),
		"cut.trace.gz":   zipped.String()[:zipped.Len()-4],
		"sub dir/ok":     okTrace,
		"-dash.trace":    okTrace,
		"sqlite":         okTrace,
		"threads.trace":  "# malloctrace 1\nm 0 1 100\nm 1 2 50\nf 0 2\nf 1 1\n",
		"empty.trace":    "",
		"comments.trace": "# malloctrace 1\n# a\n# b\n",
		"text.trace":     "# malloctrace 1\nm 0 1 24\nhello\n",
		"version.trace":  "# malloctrace 2\nm 0 1 24\n",
		"twice.trace":    "# malloctrace 1\nm 0 1 24\nf 0 1\nf 0 1\n",
		"huge.trace":     "# malloctrace 1\nm 0 1 99999999999999999999999\n",
		"oom.trace":      fmt.Sprintf("# malloctrace 1\nm 0 1 24\nm 1 2 %d\n", math.MaxInt-4095),
		"sum.trace":      fmt.Sprintf("# malloctrace 1\nm 0 1 4095\nm 0 2 %d\nm 0 3 1\n", math.MaxInt-4095),
		"leak.trace":     "# malloctrace 1\nm 0 1 1000000\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// In the tables below, want is text that must be there, in this order; "" is an empty output.

func wantText(t *testing.T, what, got, want string) {
	t.Helper()
	if want == "" && got != "" {
		t.Errorf("%s is not empty:\n%s", what, got)
	}
	rest := got
	for part := range strings.SplitSeq(want, "...") {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Errorf("%s is\n%s\nwhich lacks %q behind what comes before it in %q", what, got, part, want)
			return
		}
		rest = after
	}
}

func TestWhatIsRefusedBeforeMeasuring(t *testing.T) {
	inTraces(t)
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{nil, 2, "", "usage:"},
		{[]string{"fly"}, 2, "", `galloc: unknown command "fly"...usage:`},
		{[]string{"help"}, 0, "galloc replay [flags] [FILE...]...galloc bench [flags] NAME......galloc soak [flags]", ""},
		{[]string{"--help"}, 0, "usage:", ""},
		{[]string{"help", "replay"}, 0, "usage: galloc replay...mariadb, sqlite...null ...heap  ...galloc heap: ...system ...goheap...-threads...schema", ""},
		{[]string{"help", "soak"}, 0, "usage: galloc soak...heap  ...galloc heap: ...-live bytes...schema", ""},
		{[]string{"soak", "-h"}, 0, "usage: galloc soak", ""},
		{[]string{"help", "bench"}, 0, "usage: galloc bench...larson  ...batch  ...heap  ...galloc heap: ...benchstat...-alloc list", ""},
		{[]string{"bench", "-h"}, 0, "usage: galloc bench", ""},
		{[]string{"bench", "-list"}, 0, "larson: ...  blocks=5000  ...batch: ...  count=1000  ...all of them...  seed=4141 ", ""},
		{[]string{"bench"}, 2, "", "galloc bench: which workload? give a NAME, or all: there are larson, "},
		{[]string{"bench", "blocks=3"}, 2, "", "which workload?"},
		{[]string{"bench", "larsson"}, 2, "", `there is no workload "larsson": there are larson, ...batch, and all`},
		{[]string{"bench", "larson", "size=3"}, 2, "", `galloc bench: larson has no parameter "size": there are blocks, `},
		{[]string{"bench", "all", "blocks=3"}, 2, "", `has no parameter "blocks"`},
		{[]string{"bench", "larson", "blocks=0"}, 2, "", "blocks=0: give a whole number from 1 to "},
		{[]string{"bench", "-threads", "2,3", "sh6bench", "calls=2"}, 2, "", "calls must not be less than threads"},
		{[]string{"bench", "larson", "threads=2"}, 2, "", "threads=2: there is the flag -threads for that"},
		{[]string{"bench", "larson", "-latency"}, 2, "", "-latency stands behind a NAME"},
		{[]string{"bench", "-fast"}, 2, "", "not defined: -fast (galloc bench -h lists the flags)"},
		{[]string{"bench", "-count", "0", "pair"}, 2, "", "-count 0: give a whole number, at least 1"},
		{[]string{"bench", "-threads", "1,0", "pair"}, 2, "", "-threads 1,0: give whole numbers"},
		{[]string{"bench", "-threads", "5000", "pair"}, 2, "", "threads=5000: give a whole number from 1 to 1024"},
		{[]string{"bench", "-alloc", "null", "pair"}, 2, "", `all blocks are the same with "null": there are heap, system, goheap`},
		{[]string{"bench", "-alloc", "best", "pair"}, 2, "", `unknown allocator "best"`},
		{[]string{"benching"}, 2, "", "only"},
		{[]string{"benching", `{"alloc":"null"}`}, 2, "", "only"},
		{[]string{"help", "fly"}, 2, "", `unknown command "fly"`},
		{[]string{"replay", "-h"}, 0, "usage: galloc replay", ""},
		{[]string{"measure"}, 2, "", "only"},
		{[]string{"measure", `{"alloc":"nobody's","rounds":1}`, "ok.trace"}, 2, "", "only"},
		{[]string{"measure", `{"alloc":"system","rounds":0}`, "ok.trace"}, 2, "", "only"},
		{[]string{"replay", "-fast"}, 2, "", "not defined: -fast (galloc replay -h lists the flags)"},
		{[]string{"replay", "ok.trace", "-json"}, 2, "", "-json stands behind a FILE"},
		{[]string{"replay", "-"}, 2, "", "standard input"},
		{[]string{"replay", "-rounds", "0", "ok.trace"}, 2, "", "-rounds 0: give a whole number, at least 1"},
		{[]string{"replay", "-rounds", "many", "ok.trace"}, 2, "", "-rounds many"},
		{[]string{"replay", "-alloc", ""}, 2, "", `unknown allocator ""...null, heap, system, goheap`},
		{[]string{"replay", "-alloc", "system,best"}, 2, "", `unknown allocator "best"`},
		{[]string{"replay", "-check", "-alloc", "null"}, 2, "", "-check and -threads need an allocator other than null"},
		{[]string{"replay", "ok.trace", "missing"}, 1, "", "cannot read the trace missing: ...(FILE is a path, or one of mariadb, sqlite)"},
		{[]string{"replay", ""}, 1, "", `cannot read the trace "": `},
		{[]string{"replay", "sub dir"}, 1, "", "sub dir is a directory"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			status, stdout, stderr := command(t.Context(), c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			wantText(t, "stdout", stdout, c.stdout)
			wantText(t, "stderr", stderr, c.stderr)
		})
	}
}

func TestWithoutProcessesThereIsAMessage(t *testing.T) {
	if runtime.GOOS != "js" && runtime.GOOS != "wasip1" {
		t.Skip("this platform has processes")
	}
	inTraces(t)
	status, _, stderr := command(t.Context(), "replay", "ok.trace")
	if status != exitFailure {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stderr", stderr, "galloc replay: cannot start a process for each measurement: ")
}

// full is a destination that fails after a number of bytes.
type full struct{ room int }

func (f *full) Write(b []byte) (int, error) {
	n := min(len(b), f.room)
	f.room -= n
	if n < len(b) {
		return n, errors.New("disk full")
	}
	return n, nil
}

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	for _, c := range []struct {
		room int
		args []string
	}{
		{0, []string{"help"}},
		{0, []string{"replay", "-h"}},
		{0, []string{"replay", "ok.trace"}},
		{200, []string{"replay", "-alloc", "null,null,null,null", "ok.trace"}},
		{200, []string{"replay", "-alloc", "null", "text.trace", "ok.trace", "ok.trace", "ok.trace"}},
		{100, []string{"replay", "-json", "-alloc", "null", "ok.trace"}},
		{0, []string{"bench", "-list"}},
		{0, []string{"bench", "pair", "iterations=1"}},
		{300, []string{"bench", "-count", "9", "pair", "iterations=1"}},
	} {
		var stderr bytes.Buffer
		if status := run(t.Context(), c.args, &full{c.room}, &stderr); status != exitFailure {
			t.Errorf("%q: exit status %d", c.args, status)
		}
		if n := strings.Count(stderr.String(), "disk full"); n != 1 {
			t.Errorf("%q: told %d times: %s", c.args, n, &stderr)
		}
	}
}

func TestAnInterruptionEndsWith130(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"replay", "ok.trace"}, {"replay", "-json", "ok.trace"}, {"bench", "pair"}} {
		status, stdout, stderr := command(ctx, args...)
		if status != exitInterrupted || stderr != "galloc: interrupted\n" {
			t.Errorf("%q: exit status %d, stderr %q", args, status, stderr)
		}
		if strings.Contains(stdout, "null") {
			t.Errorf("%q: there are results:\n%s", args, stdout)
		}
	}
}

// cancelling is a destination that cancels when it is told certain text.
type cancelling struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (c *cancelling) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.text) {
		c.cancel()
	}
	return c.Buffer.Write(b)
}

func TestRowsBeforeAnInterruptionStay(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	ctx, cancel := context.WithCancel(t.Context())
	stdout := cancelling{text: "system", cancel: cancel}
	var stderr bytes.Buffer
	if status := run(ctx, []string{"replay", "ok.trace"}, &stdout, &stderr); status != exitInterrupted {
		t.Errorf("exit status %d", status)
	}
	wantText(t, "stdout", stdout.String(), "ok ...null...ok ...system")
	if strings.Contains(stdout.String(), "goheap") {
		t.Errorf("it went on:\n%s", &stdout)
	}
	wantText(t, "stderr", stderr.String(), "galloc: interrupted\n")
}

// The bar gets the half that the child tells of, and with it comes the interruption. That
// measureInChild returns at all shows that the child, which would hang, is gone.
func TestAnInterruptionEndsTheMeasuringProcess(t *testing.T) {
	needProcesses(t)
	inTraces(t)
	t.Setenv(badChild, "hang system")
	ctx, cancel := context.WithCancel(t.Context())
	b := &bar{w: &cancelling{text: " 50% [######......] ", cancel: cancel}, cells: 1}
	_, err := measureInChild(ctx, options{rounds: 1}, traceFile{path: "ok.trace"}, "system", b)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
