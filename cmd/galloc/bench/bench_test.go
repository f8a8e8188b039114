package bench

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/internal/workload"
)

func TestMain(m *testing.M) { clitest.Main(m, []cli.Command{Command}, nil) }

// command runs galloc as a function.
func command(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return clitest.Run(ctx, []cli.Command{Command}, args...)
}

// benchLine is a line of a benchmark; values and units follow the number of iterations.
var benchLine = regexp.MustCompile(`^Benchmark(\S+)\t *([1-9]\d*)((?:\t *[0-9.]+ \S+)+)$`)

// benchLines runs galloc bench and returns the names of the benchmarks, without the number of Ps,
// and the units of each.
func benchLines(t *testing.T, wantStatus int, args ...string) (names []string, units map[string]string, stderr string) {
	t.Helper()
	status, stdout, stderr := command(t.Context(), append([]string{"bench"}, args...)...)
	if status != wantStatus {
		t.Errorf("exit status %d, want %d; stderr:\n%s", status, wantStatus, stderr)
	}
	units = map[string]string{}
	head, lines, ok := strings.Cut(stdout, "\nBenchmark")
	if !ok {
		return nil, units, stderr
	}
	clitest.WantText(t, "the head", head, "goos: ...goarch: ...pkg: ...Unit ")
	for line := range strings.Lines("Benchmark" + lines) {
		m := benchLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			t.Errorf("no line of a benchmark: %q", line)
			continue
		}
		name := strings.TrimSuffix(m[1], procs())
		names = append(names, name)
		fields := strings.Fields(m[3])
		for i := 1; i < len(fields); i += 2 {
			units[name] += fields[i] + " "
		}
		units[name] = strings.TrimSuffix(units[name], "peak-B ") // on Linux only
	}
	return names, units, stderr
}

func TestBench(t *testing.T) {
	clitest.NeedProcesses(t)
	for _, c := range []struct{ args, names, units string }{
		{
			"-count 2 -threads 1,2 -alloc heap,system pair iterations=1000",
			strings.Repeat("Pair/alloc=heap/threads=1/iterations=1000 Pair/alloc=system/threads=1/iterations=1000 "+
				"Pair/alloc=heap/threads=2/iterations=1000 Pair/alloc=system/threads=2/iterations=1000 ", 2),
			"ns/op ops/s ",
		},
		{
			"-count 1 xmalloc-test batches=2 pair batch=10", "", // pair has no batch
			"",
		},
		{
			"-count 1 -latency xmalloc-test batches=2 batch=10",
			"XmallocTest/alloc=heap/threads=1/batches=2/batch=10 XmallocTest/alloc=system/threads=1/batches=2/batch=10 " +
				"XmallocTest/alloc=goheap/threads=1/batches=2/batch=10 ",
			"p50-ns p99-ns p99.9-ns max-ns ",
		},
		{
			"-count 1 -alloc heap,heap -threads 1,1 pair pair size=8 iterations=100",
			"Pair/alloc=heap/threads=1/size=8/iterations=100 ",
			"ns/op ops/s ",
		},
	} {
		t.Run(c.args, func(t *testing.T) {
			wantStatus := cli.ExitOK
			if c.names == "" {
				wantStatus = cli.ExitUsage
			}
			names, units, _ := benchLines(t, wantStatus, strings.Fields(c.args)...)
			if got := strings.Join(append(names, ""), " "); got != c.names {
				t.Errorf("benchmarks\n%s\nwant\n%s", got, c.names)
			}
			for name, u := range units {
				if strings.Replace(u, c.units, "", 1) != "" && u != c.units+c.units {
					t.Errorf("%s has %q, want %q", name, u, c.units)
				}
			}
		})
	}
}

func TestAllWorkloadsAreThoseThatThereAre(t *testing.T) {
	o, err := parse([]string{"-alloc", "heap", "pair", "all", "seed=3"}, nil)
	if err != nil || len(o.cells()) != len(workload.All()) || o.cells()[0].workload != "pair" || o.count != 5 {
		t.Errorf("%v, %+v", err, o)
	}
}

func TestARunThatFailsDoesNotStopTheOthers(t *testing.T) {
	clitest.NeedProcesses(t)
	t.Setenv(clitest.BadChild, "crash system")
	names, _, stderr := benchLines(t, cli.ExitFailure, "-count", "2", "-alloc", "system,heap", "pair", "iterations=10")
	if got, want := strings.Join(names, " "), strings.Repeat(" Pair/alloc=heap/threads=1/iterations=10", 2)[1:]; got != want {
		t.Errorf("benchmarks\n%s\nwant\n%s", got, want)
	}
	clitest.WantText(t, "stderr", stderr,
		"galloc bench: pair on system, threads=1: the process failed: exit status 2\n    panic: a crash on purpose")
	if n := strings.Count(stderr, "galloc bench"); n != 1 {
		t.Errorf("told %d times: %s", n, stderr)
	}
	os.Unsetenv(clitest.BadChild)

	// An error that the workload itself finds is an answer of the process.
	_, _, stderr = benchLines(t, cli.ExitFailure, "-count", "1", "-alloc", "heap", "cache-thrash", "writes=0")
	clitest.WantText(t, "stderr", stderr,
		"galloc bench: cache-thrash on heap, threads=1: there was no operation to be timed")
}

func TestTheBarOfBench(t *testing.T) {
	clitest.NeedProcesses(t)
	var out bytes.Buffer
	b := cli.NewBarOn(&out, 1)
	o := options{settings: []string{"iterations=10"}}
	r, err := runInChild(t.Context(), o, cell{"pair", "heap", 1}, b)
	if err != nil || r.Error != "" || r.Ops != 10 {
		t.Fatalf("%v, %+v", err, r)
	}
	clitest.WantText(t, "the bar", out.String(), " 10% [...100% [")
}

func TestBenchstatReadsIt(t *testing.T) {
	clitest.NeedProcesses(t)
	tool := exec.Command("go", "tool", "-modfile=../../../internal/tools/go.mod", "benchstat", "-col", "/alloc", "-")
	if err := exec.Command("go", "tool", "-modfile=../../../internal/tools/go.mod", "-n", "benchstat").Run(); err != nil {
		t.Skip("benchstat cannot be built here: ", err)
	}
	status, stdout, stderr := command(t.Context(), "bench",
		"-count", "2", "-alloc", "heap,system", "pair", "iterations=1000")
	if status != cli.ExitOK {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	tool.Stdin = strings.NewReader(stdout)
	out, err := tool.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	clitest.WantText(t, "benchstat's table", string(out),
		"heap ...system...sec/op...Pair/threads=1/iterations=1000...ops/s...")
	if strings.Contains(string(out), "warning") || strings.Contains(string(out), "unexpected") {
		t.Errorf("%s", out)
	}
}

func TestNamesOfBenchmarks(t *testing.T) {
	for name, want := range map[string]string{"larson": "Larson", "xmalloc-test": "XmallocTest", "sh6bench": "Sh6bench"} {
		if got := benchName(name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func TestValuesHaveFourDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0.0000", 0.5: "0.5000", 1.23456: "1.235", 12.3456: "12.35", 123.456: "123.5", 1234.5: "1234", 1e9: "1000000000"} {
		var b strings.Builder
		value(&b, v, "x")
		if got := strings.Fields(b.String())[0]; got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}
