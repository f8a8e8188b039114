package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/buddy"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/tlsf"
)

// The recorded figures are complete, and as this program writes them.
func TestRecordedFigures(t *testing.T) {
	text, err := os.ReadFile("figures.txt")
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseFigures(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if s := f.String(); s != string(text) {
		t.Errorf("figures.txt has been edited: it reads\n%s\nand would be written\n%s", text, s)
	}
}

func TestIncompleteFiguresAreRefused(t *testing.T) {
	whole := figures{"go1.26": counts{}, "go1.27": counts{}}
	for i, l := range loops {
		whole["go1.26"][l.name] = float64(i) + 0.5
		whole["go1.27"][l.name] = float64(i) + 1
	}
	text := whole.String()
	if f, err := parseFigures(text); err != nil || f.String() != text {
		t.Errorf("%v: %v", f, err)
	}
	for _, c := range [][2]string{
		{"version go1.26\n", ""},
		{"version go1.26\n", "version \n"},
		{"version go1.26\n", "version 1.26\n"},
		{"version go1.26\n", "version go1.26.8\n"},
		{"version go1.26\n", "version go1.27\n"},
		{"pair 0.5\n", ""},
		{"pair 0.5\n", "pair 0.5\npears 3\n"},
		{"pair 0.5\n", "pair 0\n"},
		{"pair 0.5\n", "pair -1\n"},
		{"pair 0.5\n", "pair NaN\n"},
		{"pair 0.5\n", "pair Inf\n"},
		{"pair 0.5\n", "pair\n"},
	} {
		if !strings.Contains(text, c[0]) {
			t.Fatalf("no %q in\n%s", c[0], text)
		}
		if f, err := parseFigures(strings.Replace(text, c[0], c[1], 1)); err == nil {
			t.Errorf("with %q in the place of %q it is %v", c[1], c[0], f)
		}
	}
}

// Recording the figures of one version keeps the other versions, except incomplete ones.
func TestCompleteVersionsAreKept(t *testing.T) {
	f := figures{"go1.26": counts{}, "go1.27": counts{"pair": 1}}
	for _, l := range loops {
		f["go1.26"][l.name] = 1
	}
	kept, err := parseFigures(f.String())
	if err == nil || len(kept) != 1 || kept["go1.26"] == nil {
		t.Errorf("%v: %v", kept, err)
	}
}

func TestCountsMustBeAsRecorded(t *testing.T) {
	for _, c := range []struct {
		now  float64
		want string
	}{
		{95.1, ""},
		{100, ""},
		{104.9, ""},
		{105.2, "pair takes 105.2 instructions, 5.2 % more than the 100.0 recorded."},
		{200, "pair takes 200.0 instructions, 100.0 % more than the 100.0 recorded."},
		{94.5, "pair takes 94.5 instructions, 5.5 % less than the 100.0 recorded: the figure must follow."},
	} {
		if got := judge("pair", c.now, 100); got != c.want {
			t.Errorf("%.1f: %q", c.now, got)
		}
	}
}

func TestParseCollected(t *testing.T) {
	const out = "==12== Events    : Ir\n==12== Collected : 67135427\n==12== \n==12== I   refs:      67,135,427\n"
	if n, err := parseCollected(out); n != 67135427 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := parseCollected("==12== Command: ./instructions\n"); err == nil {
		t.Errorf("%d out of nothing", n)
	}
}

// Each loop frees the blocks that it allocates: otherwise it would count another operation.
func TestLoopsLeaveNothing(t *testing.T) {
	for _, l := range loops {
		if l.name == "sampled" {
			continue // it registers an allocator, which works only once, and first, in a process
		}
		before := heap.Default().Stats()
		if err := runLoop([]string{l.name, "7000"}); err != nil {
			t.Errorf("%s: %v", l.name, err)
		}
		if after := heap.Default().Stats(); after.LiveBlocks != before.LiveBlocks {
			t.Errorf("%s: %d blocks are left, of %d before", l.name, after.LiveBlocks, before.LiveBlocks)
		}
	}
	for _, args := range [][]string{nil, {"pair"}, {"pair", "x"}, {"pair", "0"}, {"pears", "1"}} {
		if runLoop(args) == nil {
			t.Errorf("%q is no error", args)
		}
	}
}

// churn frees all blocks at the end, and runChurn refuses wrong names and numbers.
func TestChurnLeavesNothing(t *testing.T) {
	for _, name := range churned {
		a, err := newChurned(name)
		if err != nil {
			t.Fatal(err)
		}
		before := heap.Default().Stats().LiveBlocks
		if err := churn(a, 50_000, 10); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		left := 0
		switch a := a.(type) {
		case *tlsf.Region:
			left = a.Stats().LiveBlocks
			a.Close()
		case *buddy.Region:
			left = a.Stats().LiveBlocks
			a.Close()
		default:
			left = int(heap.Default().Stats().LiveBlocks - before)
		}
		if left != 0 {
			t.Errorf("%s: %d blocks are left", name, left)
		}
	}
	for _, args := range [][]string{
		nil, {"tlsf", "10"}, {"pears", "10", "10"}, {"tlsf", "x", "10"}, {"tlsf", "10", "0"}, {"tlsf", "10", "11"},
	} {
		if runChurn(args) == nil {
			t.Errorf("%q is no error", args)
		}
	}
}

// stepThrough counts each sample once. The counts can differ a little: the place of a block with a
// high alignment depends on the address of the region.
func TestSamplesAreSteppedThrough(t *testing.T) {
	if p := runtime.GOOS + "/" + runtime.GOARCH; p != platform {
		t.Skipf("on %s only", platform)
	}
	t.Chdir("..")
	program := filepath.Join(t.TempDir(), "instructions")
	if err := build(program); err != nil {
		t.Fatal(err)
	}
	var counts [2][][]int
	for i := range counts {
		var err error
		if counts[i], err = stepThrough(program, churnCommand, "tlsf", "20000", "60"); err != nil {
			t.Fatal(err)
		}
	}
	var n, total [2]int
	for try, all := range counts {
		for i, c := range all {
			n[try] += len(c)
			for _, k := range c {
				total[try] += k
				if k < 5 || k > 2000 {
					t.Errorf("%s took %d instructions", sampled[i], k)
				}
			}
		}
	}
	if n != [2]int{60, 60} || math.Abs(float64(total[0]-total[1])) > float64(total[0])/20 {
		t.Errorf("%d samples took %d instructions", n, total)
	}
}

func TestRowReportsTheWorst(t *testing.T) {
	var b strings.Builder
	worst := row(&b, "tlsf", "all", []int{30, 10, 20, 10, 10})
	if worst != 3 || strings.Join(strings.Fields(b.String()), " ") != "tlsf all 5 10 10 30 30 3.00" {
		t.Errorf("%v: %q", worst, b.String())
	}
	if worst := row(&b, "tlsf", "all", nil); worst != 0 {
		t.Errorf("of nothing it is %v", worst)
	}
}
