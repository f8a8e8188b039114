package workload

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/golden.txt anew")

// small is settings that make each workload short.
var small = map[string][]string{
	"larson": {
		"blocks=50 rounds=2 generations=3", "blocks=7 min=100 max=101 generations=1 sized=1", "blocks=1 min=2 max=5000",
	},
	"xmalloc-test":  {"batches=10 batch=20", "batches=130 batch=3 size=0", "batches=1 batch=1 size=1"},
	"mstress":       {"scale=1 iterations=3", "scale=2 iterations=1"},
	"rptest":        {"loops=7 allocs=50 ops=20", "loops=4 allocs=3 ops=30 max=40 cross=3 iterations=3"},
	"sh6bench":      {"calls=3", "calls=20", "calls=37 min=3 max=200"},
	"cache-scratch": {"size=8 iterations=20 writes=30", "iterations=1"},
	"cache-thrash":  {"size=8 iterations=20 writes=30"},
	"alloc-test":    {"iterations=3000 slots=500", "iterations=100 slots=16"},
	"glibc-simple":  {"total=3200", "size=2 total=1600"},
	"glibc-thread":  {"iterations=3000 slots=64"},
	"malloc-large":  {"buffers=3 replacements=10 min=5000 max=20000", "buffers=1 replacements=1 min=1 max=2"},
	"slots": {
		"slots=50 iterations=500", "slots=7 iterations=100 across=1", "slots=5 iterations=50 min=5000 max=40000",
	},
	"growth":      {"vectors=20 iterations=2000", "vectors=3 iterations=300 min=8 max=16"},
	"random-free": {"blocks=300 rounds=2", "blocks=1 min=8 max=16"},
	"pair":        {"iterations=1000", "size=32768 iterations=100"},
	"batch":       {"iterations=1000 count=30", "size=1048576 iterations=640 count=2"},
}

// runSmall runs a workload on the checker.
func runSmall(t *testing.T, name, settings string) Result {
	t.Helper()
	check.reset()
	r, err := Run(name, strings.Fields(settings), nil)
	if err != nil || r.Error != "" {
		t.Fatalf("%s %s: %v, %q", name, settings, err, r.Error)
	}
	check.verdict(t, r)
	return r
}

// The C workloads are held to these numbers, too.
func TestEachDoesWhatItAlwaysDid(t *testing.T) {
	var got, order bytes.Buffer
	for _, w := range All() {
		if len(small[w.Name]) == 0 {
			t.Errorf("%s is not tested", w.Name)
		}
		for _, s := range small[w.Name] {
			for threads := 1; threads <= 3; threads++ {
				s := fmt.Sprintf("threads=%d %s", threads, s)
				t.Run(w.Name+" "+s, func(t *testing.T) {
					r := runSmall(t, w.Name, s)
					if threads == 1 && w.Name != "xmalloc-test" { // others follow no order
						fmt.Fprintf(&order, "%s %s: %016x\n", w.Name, s, check.order)
					}
					fmt.Fprintf(&got, "%s %s: ops=%d allocs=%d bytes=%d\n", w.Name, s, r.Ops, r.Allocs, r.Bytes)
					if r.Workload != w.Name || r.Threads != threads || r.Ns < 0 || r.Calls != 0 || r.P50 != 0 {
						t.Errorf("%+v", r)
					}
				})
			}
		}
	}
	compare(t, "testdata/golden.txt", got.String())
	compare(t, "testdata/order.txt", order.String())
}

// compare compares got with a file, or writes that with -update.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, lines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(g), len(lines)) {
		if i >= len(g) || i >= len(lines) || g[i] != lines[i] {
			t.Fatalf("line %d of %s is not what was done (-update writes it anew):\n%s",
				i+1, file, strings.Join(g[min(i, len(g)):], "\n"))
		}
	}
}

func TestTheSeedDecides(t *testing.T) {
	a, b := runSmall(t, "larson", "blocks=50 seed=1"), runSmall(t, "larson", "blocks=50 seed=2")
	if a.Bytes == b.Bytes || a.Allocs != b.Allocs {
		t.Errorf("with another seed, %d bytes and %d bytes in %d and %d blocks", a.Bytes, b.Bytes, a.Allocs, b.Allocs)
	}
}

func TestFreedWithoutTheLayout(t *testing.T) {
	runSmall(t, "larson", "blocks=50 sized=0")
	if check.unsized != check.frees {
		t.Errorf("%d of %d blocks were freed without their layout", check.unsized, check.frees)
	}
	runSmall(t, "larson", "blocks=50 sized=1")
	if check.unsized != 0 {
		t.Errorf("%d blocks were freed without their layout", check.unsized)
	}
}

// Each call that is made while the clock runs is timed, and no other.
func TestLatency(t *testing.T) {
	timed := map[string]func(r Result, threads uint64) uint64{
		"mstress":       func(r Result, _ uint64) uint64 { return r.Ops },
		"rptest":        func(r Result, _ uint64) uint64 { return r.Ops },
		"cache-scratch": func(_ Result, threads uint64) uint64 { return threads * (2*20 + 1) },
		"cache-thrash":  func(_ Result, threads uint64) uint64 { return threads * 2 * 20 },
		"alloc-test":    func(r Result, _ uint64) uint64 { return r.Ops },
		"growth":        func(r Result, _ uint64) uint64 { return 3 * r.Ops },
		// All places are filled in the end.
		"glibc-thread": func(r Result, threads uint64) uint64 { return 2*r.Ops - 64*threads },
	}
	for _, w := range All() {
		for threads := range uint64(3) {
			threads++
			settings := fmt.Sprintf("latency=1 threads=%d %s", threads, small[w.Name][0])
			t.Run(w.Name+" "+settings, func(t *testing.T) {
				r := runSmall(t, w.Name, settings)
				want := 2 * r.Ops
				if f := timed[w.Name]; f != nil {
					want = f(r, threads)
				}
				if r.Calls != want {
					t.Errorf("%d calls were timed, of %d", r.Calls, want)
				}
				if r.Ns != 0 || r.P50 > r.P99 || r.P99 > r.P999 || r.P999 > r.Max {
					t.Errorf("%+v", r)
				}
			})
		}
	}
}

// The callback with 0.1 comes before the clock starts, that with 0.9 when it has stopped.
func TestNoGarbageWhileTheClockRuns(t *testing.T) {
	check.reset()
	check.through = true
	defer check.reset()
	for _, w := range All() {
		for threads := 1; threads <= 2; threads++ {
			settings := strings.Fields(fmt.Sprintf("threads=%d %s", threads, small[w.Name][0]))
			if w.Name == "larson" {
				settings = append(settings, "generations=1")
			}
			// The heap's own memory comes with the first run.
			for _, again := range []bool{false, true} {
				var before, after runtime.MemStats
				_, err := Run(w.Name, settings, func(done float64) {
					switch done {
					case 0.1:
						runtime.ReadMemStats(&before)
					case 0.9:
						runtime.ReadMemStats(&after)
					}
				})
				if err != nil {
					t.Fatal(err)
				}
				if n := after.Mallocs - before.Mallocs; again && n > 60 {
					t.Errorf("%s %q: %d Go allocations", w.Name, settings, n)
				}
			}
		}
	}
}

func TestProgress(t *testing.T) {
	check.reset()
	var told []float64
	if _, err := Run("pair", []string{"iterations=10", "settle=1"}, func(done float64) { told = append(told, done) }); err != nil {
		t.Fatal(err)
	}
	if r, err := Run("pair", []string{"iterations=100000"}, nil); err != nil || r.Ns <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if len(told) < 3 || !slices.IsSorted(told) || told[0] < 0 || told[len(told)-1] != 1 {
		t.Errorf("progress %v", told)
	}
}

func TestWhatIsRefused(t *testing.T) {
	for _, c := range []struct{ name, settings, want string }{
		{"larsson", "", `unknown workload "larsson": the workloads are larson, xmalloc-test, mstress, `},
		{"", "", `unknown workload ""`},
		{"larson", "blocks", `"blocks" is not a setting: write key=value, with a key of blocks, min, max, `},
		{"larson", "size=3", `larson has no parameter "size": the parameters are blocks, min, max, rounds, generations, sized, threads, seed, latency, settle`},
		{"larson", "blocks=many", "blocks=many: write a whole number from 1 to "},
		{"larson", "blocks=0", "blocks=0: write"},
		{"larson", "blocks=-1", "blocks=-1: write"},
		{"larson", "blocks=1=2", "blocks=1=2: write"},
		{"larson", "sized=2", "sized=2: write a whole number from 0 to 1"},
		{"larson", "min=1000", "min=1000 max=1000: min must be less than max"},
		{"pair", "threads=0", "threads=0: write"},
		{"pair", "size=99999999999999999999", "write a whole number"},
		{"rptest", "allocs=2042", "rptest: allocs must not be divisible by"},
		{"rptest", "min=7", "min=7: write"},
		{"sh6bench", "calls=2 threads=3", "sh6bench: calls must not be less than threads"},
		{"alloc-test", "slots=15", "slots=15: write"},
	} {
		check.reset()
		r, err := Run(c.name, strings.Fields(c.settings), nil)
		if err == nil || !strings.HasPrefix(err.Error(), "workload: ") || !strings.Contains(err.Error(), c.want) ||
			r.Error != err.Error() {
			t.Errorf("%s %s: %v, want %q; the result says %q", c.name, c.settings, err, c.want, r.Error)
		}
		if other := Check(c.name, strings.Fields(c.settings)); other == nil || other.Error() != err.Error() {
			t.Errorf("%s %s: Check says %v", c.name, c.settings, other)
		}
		if check.allocs != 0 {
			t.Errorf("%s %s: %d blocks were allocated", c.name, c.settings, check.allocs)
		}
	}
	if err := Check("pair", []string{"size=1", "seed=18446744073709551615"}); err != nil {
		t.Error(err)
	}
}

func TestAnAllocationThatFailsIsAnError(t *testing.T) {
	for _, w := range All() {
		for _, left := range []uint64{1, 3, 15} {
			if w.Name == "malloc-large" && left > 13 {
				continue
			}
			check.reset()
			check.left = left
			r, err := Run(w.Name, strings.Fields(small[w.Name][0]), nil)
			if err == nil || !strings.Contains(err.Error(), "out of memory") || r.Error == "" {
				t.Errorf("%s: with the allocation number %d failing, %v", w.Name, left, err)
			}
		}
	}
	// No goroutine is still running: each of these had one goroutine that allocates.
	check.reset()
}

// WORKLOADS.md has the same parameters.
func TestThePageHasTheSameParameters(t *testing.T) {
	page, err := os.ReadFile("../../bench/WORKLOADS.md")
	if err != nil {
		t.Fatal(err)
	}
	setting := regexp.MustCompile(`\b(\w+)=(\d+)\b`)
	said := map[string]map[string]uint64{}
	for section := range strings.SplitSeq(string(page), "\n## ") {
		lines := strings.SplitN(section, "\n", 4) // the heading, an empty line, the parameters
		heading, _, ok := strings.Cut(lines[0], ":")
		if !ok || len(lines) < 4 {
			continue
		}
		for name := range strings.SplitSeq(heading, ", ") {
			said[name] = map[string]uint64{}
			for _, m := range setting.FindAllStringSubmatch(lines[2], -1) {
				said[name][m[1]], _ = strconv.ParseUint(m[2], 10, 64)
			}
		}
	}
	for _, w := range All() {
		if said[w.Name] == nil {
			t.Errorf("the page lacks %s", w.Name)
		}
		params := 0
		for _, p := range w.Params {
			if n, ok := said[w.Name][p.Name]; !ok || n != p.Default {
				t.Errorf("%s: %s=%d is %d on the page, if it is there: %t", w.Name, p.Name, p.Default, n, ok)
			}
			if p.Doc == "" || p.Default < p.Min || p.Default > p.Max {
				t.Errorf("%s: %+v", w.Name, p)
			}
			params++
		}
		if len(said[w.Name]) != params && w.Name != "pair" { // its section also describes batch
			t.Errorf("%s has %d parameters, and on the page %v", w.Name, params, said[w.Name])
		}
	}
}
