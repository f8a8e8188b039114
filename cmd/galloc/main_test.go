package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/internal/workload"
)

func TestMain(m *testing.M) { clitest.Main(m, commands, nil) }

func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, commands, args...)
}

func TestWhatIsRefusedBeforeMeasuring(t *testing.T) {
	clitest.InTraces(t)
	for _, c := range []struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		{nil, 2, "", "usage:"},
		{[]string{"fly"}, 2, "", `galloc: unknown command "fly"...usage:`},
		{[]string{"help"}, 0, "galloc replay [flags] [FILE...]...galloc bench [flags] NAME......galloc soak [flags]", ""},
		{[]string{"--help"}, 0, "usage:", ""},
		{[]string{"version"}, 0, "galloc version ...", ""},
		{[]string{"--version"}, 0, "galloc version ...", ""},
		{[]string{"version", "all"}, 2, "", `galloc version: "all": version takes no arguments`},
		{[]string{"help", "replay"}, 0, "usage: galloc replay...mariadb, sqlite...sink ...heap  ...galloc heap: ...system ...goheap...-threads...schema", ""},
		{[]string{"help", "soak"}, 0, "usage: galloc soak...heap  ...galloc heap: ...-live bytes...schema", ""},
		{[]string{"soak", "-h"}, 0, "usage: galloc soak", ""},
		{[]string{"help", "bench"}, 0, "usage: galloc bench...larson  ...batch  ...heap  ...galloc heap: ...benchstat...-alloc list", ""},
		{[]string{"bench", "-h"}, 0, "usage: galloc bench", ""},
		{[]string{"help", "ps"}, 0, "usage: galloc ps...URL...PID...-json...-pprof FILE...Examples:...exit status", ""},
		{[]string{"help", "top"}, 0, "usage: galloc top...-interval time...-n number...Examples:...exit status", ""},
		{[]string{"help", "completion"}, 0, "usage: galloc completion...Examples:", ""},
		{[]string{"help", "stat"}, 0, "usage: galloc stat...mariadb, sqlite...-json...Examples:...exit status", ""},
		{[]string{"help", "convert"}, 0, "usage: galloc convert...heaptrack ...mtrace ...android ...rep ...-strict...Examples:...exit status", ""},
		{[]string{"completion"}, 2, "", "galloc completion: write the shell: bash, zsh, fish"},
		{[]string{"completion", "csh"}, 2, "", "write the shell: bash, zsh, fish"},
		{[]string{"ps"}, 2, "", "galloc ps: which process? write a URL or a PID"},
		{[]string{"ps", "0"}, 2, "", "0 is not the number of a process"},
		{[]string{"ps", "localhost:80"}, 2, "", `"localhost:80" is neither the number of a process nor a URL`},
		{[]string{"ps", "1", "2"}, 2, "", `"2": write one URL or PID`},
		{[]string{"ps", "1", "-json"}, 2, "", "-json is after an argument: write flags first"},
		{[]string{"ps", "-fast", "1"}, 2, "", "not defined: -fast (galloc ps -h lists the flags)"},
		{[]string{"ps", "1073741824"}, 1, "", "galloc ps: galloc/procmem: "},
		{[]string{"top", "-interval", "1ms", "1"}, 2, "", "-interval 1ms: the least is 10ms"},
		{[]string{"top", "-n", "-1", "1"}, 2, "", "-n -1: write the number of tables"},
		{[]string{"top", "ftp://a"}, 2, "", `"ftp://a" is neither`},
		{[]string{"bench", "-list"}, 0, "larson: ...  blocks=5000  ...batch: ...  count=1000  ...all of them...  seed=4141 ", ""},
		{[]string{"bench"}, 2, "", "galloc bench: which workload? write a NAME, or all: the workloads are larson, "},
		{[]string{"bench", "blocks=3"}, 2, "", "which workload?"},
		{[]string{"bench", "larsson"}, 2, "", `unknown workload "larsson": the workloads are larson, ...batch; all means all of them`},
		{[]string{"bench", "larson", "size=3"}, 2, "", `galloc bench: larson has no parameter "size": the parameters are blocks, `},
		{[]string{"bench", "all", "blocks=3"}, 2, "", `has no parameter "blocks"`},
		{[]string{"bench", "larson", "blocks=0"}, 2, "", "blocks=0: write a whole number from 1 to "},
		{[]string{"bench", "-threads", "2,3", "sh6bench", "calls=2"}, 2, "", "calls must not be less than threads"},
		{[]string{"bench", "larson", "threads=2"}, 2, "", "threads=2: use the flag -threads"},
		{[]string{"bench", "larson", "-latency"}, 2, "", "-latency is after a NAME"},
		{[]string{"bench", "-fast"}, 2, "", "not defined: -fast (galloc bench -h lists the flags)"},
		{[]string{"bench", "-count", "0", "pair"}, 2, "", "-count 0: write a whole number, at least 1"},
		{[]string{"bench", "-threads", "1,0", "pair"}, 2, "", "-threads 1,0: write whole numbers"},
		{[]string{"bench", "-threads", "5000", "pair"}, 2, "", "threads=5000: write a whole number from 1 to 1024"},
		{[]string{"bench", "-alloc", "sink", "pair"}, 2, "", `sink has one block for everything: choose one of heap, system, goheap`},
		{[]string{"bench", "-alloc", "best", "pair"}, 2, "", `unknown allocator "best"`},
		{[]string{"benching"}, 2, "", "only"},
		{[]string{"benching", `{"alloc":"sink"}`}, 2, "", "only"},
		{[]string{"help", "fly"}, 2, "", `unknown command "fly"`},
		{[]string{"replay", "-h"}, 0, "usage: galloc replay", ""},
		{[]string{"measure"}, 2, "", "only"},
		{[]string{"measure", `{"alloc":"nobody's","rounds":1}`, "ok.trace"}, 2, "", "only"},
		{[]string{"measure", `{"alloc":"system","rounds":0}`, "ok.trace"}, 2, "", "only"},
		{[]string{"replay", "-fast"}, 2, "", "not defined: -fast (galloc replay -h lists the flags)"},
		{[]string{"replay", "-html", "page.html", "-check", "ok.trace"}, 2, "", "-html has no -check and no -threads"},
		{[]string{"replay", "ok.trace", "-json"}, 2, "", "-json is after a FILE"},
		{[]string{"replay", "-"}, 2, "", "standard input"},
		{[]string{"replay", "-rounds", "0", "ok.trace"}, 2, "", "-rounds 0: write a whole number, at least 1"},
		{[]string{"replay", "-rounds", "many", "ok.trace"}, 2, "", "-rounds many"},
		{[]string{"replay", "-alloc", ""}, 2, "", `unknown allocator ""...sink, heap, system, goheap`},
		{[]string{"replay", "-alloc", "system,best"}, 2, "", `unknown allocator "best"`},
		{[]string{"replay", "-check", "-alloc", "sink"}, 2, "", "-check and -threads need an allocator other than sink"},
		{[]string{"replay", "ok.trace", "missing"}, 1, "", "cannot read the trace missing: ...(FILE is a path, or one of mariadb, sqlite)"},
		{[]string{"replay", ""}, 1, "", `cannot read the trace "": `},
		{[]string{"replay", "sub dir"}, 1, "", "sub dir is a directory"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			status, stdout, stderr := command(t.Context(), c.args...)
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			clitest.WantText(t, "stdout", stdout, c.stdout)
			clitest.WantText(t, "stderr", stderr, c.stderr)
		})
	}
}

// smallBench is settings that make each workload short.
var smallBench = map[string]string{
	"larson":        "blocks=50 rounds=2 generations=3",
	"slots":         "slots=50 iterations=500 across=1",
	"growth":        "vectors=20 iterations=2000",
	"random-free":   "blocks=300 rounds=2",
	"xmalloc-test":  "batches=10 batch=20",
	"mstress":       "scale=1 iterations=3",
	"rptest":        "loops=7 allocs=50 ops=20",
	"sh6bench":      "calls=3",
	"cache-scratch": "size=8 iterations=20 writes=30",
	"cache-thrash":  "size=8 iterations=20 writes=30",
	"alloc-test":    "iterations=3000 slots=500",
	"glibc-simple":  "total=3200",
	"glibc-thread":  "iterations=3000 slots=64",
	"malloc-large":  "buffers=3 replacements=10 min=5000 max=20000",
	"pair":          "iterations=1000",
	"batch":         "iterations=1000 count=30",
}

// With GALLOC=debug a memory checker is in front of the allocator that is registered. A command
// that calls the allocator itself would free blocks that are not its own.
func TestEveryCommandRunsCleanWithTheChecker(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	const all = "heap,system,goheap,debug,sampled"
	lines := []string{
		"replay ok.trace", "replay -check ok.trace", "replay -threads threads.trace", "replay -check -threads threads.trace",
		"replay -rounds 1 -alloc " + all + " ok.trace leak.trace",
	}
	for name := range strings.SplitSeq(all, ",") {
		// What goheap holds depends on the garbage collector.
		if name != "goheap" {
			lines = append(lines, "soak -time 300ms -live 4000000 -goroutines 4 -alloc "+name)
		}
	}
	for _, w := range workload.All() {
		small, ok := smallBench[w.Name]
		if !ok {
			t.Errorf("%s is not tested: add it to smallBench", w.Name)
		}
		lines = append(lines, "bench -count 1 -threads 2 -alloc "+all+" "+w.Name+" "+small)
	}
	for _, setting := range []string{"debug", "debug,guard=end", "debug,sample=2"} {
		t.Setenv("GALLOC", setting)
		for _, line := range lines {
			if setting != "debug" && (testing.Short() || strings.Contains(line, "sampled")) {
				continue
			}
			status, stdout, stderr := command(t.Context(), strings.Fields(line)...)
			// A third of a second does not show whether memory grows.
			if strings.Contains(stderr, ": resident memory grows: ") && strings.Count(stderr, "\n") == 1 {
				continue
			}
			if status != cli.ExitOK || stderr != "" {
				t.Errorf("GALLOC=%s, %s: exit status %d, %s%s", setting, line, status, stdout, stderr)
			}
		}
	}
}

func TestWithoutProcessesThereIsAMessage(t *testing.T) {
	if clitest.HasProcesses() {
		t.Skip("this platform has processes")
	}
	clitest.InTraces(t)
	status, _, stderr := command(t.Context(), "replay", "ok.trace")
	if status != cli.ExitFailure {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stderr", stderr, "galloc replay: cannot start a process for each measurement: ")
}

func TestOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	for _, c := range []struct {
		room int
		args []string
	}{
		{0, []string{"help"}},
		{0, []string{"replay", "-h"}},
		{0, []string{"replay", "ok.trace"}},
		{200, []string{"replay", "-alloc", "sink,sink,sink,sink", "ok.trace"}},
		{200, []string{"replay", "-alloc", "sink", "text.trace", "ok.trace", "ok.trace", "ok.trace"}},
		{100, []string{"replay", "-json", "-alloc", "sink", "ok.trace"}},
		{0, []string{"bench", "-list"}},
		{0, []string{"bench", "pair", "iterations=1"}},
		{300, []string{"bench", "-count", "9", "pair", "iterations=1"}},
	} {
		var stderr bytes.Buffer
		if status := cli.Run(t.Context(), commands, c.args, &clitest.Full{Room: c.room}, &stderr); status != cli.ExitFailure {
			t.Errorf("%q: exit status %d", c.args, status)
		}
		if n := strings.Count(stderr.String(), "disk full"); n != 1 {
			t.Errorf("%q: told %d times: %s", c.args, n, &stderr)
		}
	}
}

func TestAnInterruptionEndsWith130(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"replay", "ok.trace"}, {"replay", "-json", "ok.trace"}, {"bench", "pair"}} {
		status, stdout, stderr := command(ctx, args...)
		if status != cli.ExitInterrupted || stderr != "galloc: interrupted\n" {
			t.Errorf("%q: exit status %d, stderr %q", args, status, stderr)
		}
		if strings.Contains(stdout, "sink") {
			t.Errorf("%q: there are results:\n%s", args, stdout)
		}
	}
}

func TestRowsBeforeAnInterruptionStay(t *testing.T) {
	clitest.NeedProcesses(t)
	clitest.InTraces(t)
	ctx, cancel := context.WithCancel(t.Context())
	stdout := clitest.Canceling{Text: "system", Cancel: cancel}
	var stderr bytes.Buffer
	if status := cli.Run(ctx, commands, []string{"replay", "ok.trace"}, &stdout, &stderr); status != cli.ExitInterrupted {
		t.Errorf("exit status %d", status)
	}
	clitest.WantText(t, "stdout", stdout.String(), "ok ...sink...ok ...system")
	if strings.Contains(stdout.String(), "goheap") {
		t.Errorf("it went on:\n%s", &stdout)
	}
	clitest.WantText(t, "stderr", stderr.String(), "galloc: interrupted\n")
}
