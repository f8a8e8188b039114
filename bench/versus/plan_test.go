package main

import (
	"context"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAllocatorsTakeTurnsAndNoneIsLeftOut(t *testing.T) {
	p := plan{rows: rows(2, false), allocs: allocators(), reps: 3, latency: true}
	firsts := map[string]bool{}
	for rep := range 3 {
		seen := map[string]int{}
		var first string
		for _, j := range p.jobs(rep, false) {
			if j.row.id() == "larson, 2 threads" && first == "" {
				first = j.alloc.Name
			}
			seen[j.String()]++
		}
		firsts[first] = true
		for _, r := range p.rows {
			for _, a := range p.allocs {
				want := 0
				if a.applies(r) && (!a.Brief || rep != 1) {
					want = 1
				}
				if got := seen[job{row: r, alloc: a}.String()]; got != want {
					t.Errorf("repetition %d has %s on %s %d times, want %d", rep, a.Name, r.id(), got, want)
				}
			}
		}
	}
	if len(firsts) < 2 {
		t.Errorf("the first on larson is always one of %v", firsts)
	}
}

// pretend carries out a plan on a simulated clock, with processes that take the given times.
func pretend(p plan, take func(j job) (time.Duration, answer)) (done map[string]int, reps int) {
	clock := time.Unix(0, 0)
	done = map[string]int{}
	_, reps = p.carryOut(context.Background(), func(_ context.Context, j job) sample {
		took, a := take(j)
		clock = clock.Add(took)
		done[j.String()]++
		return sample{Answer: a}
	}, func() time.Time { return clock }, &bar{w: io.Discard})
	return done, reps
}

func TestWhatTakesLongOrFailsIsNotRepeatedAndTheBudgetHolds(t *testing.T) {
	all := allocators()
	p := plan{rows: rows(2, false)[:1], allocs: all[:3], reps: 10, budget: time.Minute, patience: 5 * time.Second}
	done, reps := pretend(p, func(j job) (time.Duration, answer) {
		switch j.alloc.Name {
		case "glibc":
			return 6 * time.Second, answer{}
		case "jemalloc":
			return time.Second, answer{Error: "out of memory"}
		}
		return 10 * time.Second, answer{}
	})
	if reps != 10 || done["heap larson, 1 thread"] != 1 || done["glibc larson, 1 thread"] != 1 ||
		done["jemalloc larson, 1 thread"] != 1 {
		t.Errorf("%v in %d repetitions, want each once", done, reps)
	}
	p.patience = time.Hour
	done, reps = pretend(p, func(job) (time.Duration, answer) { return 5 * time.Second, answer{} })
	if want := 4; reps != want || done["heap larson, 1 thread"] != want {
		t.Errorf("%v in %d repetitions of 15 s, want %d in a minute", done, reps, want)
	}
}

// A row that takes little time has more runs than others, so its range means more.
func TestCheapRowsAreMeasuredOften(t *testing.T) {
	p := plan{
		rows: rows(2, false)[:2], allocs: allocators()[:2], reps: 3, budget: time.Hour, patience: time.Hour, cheap: time.Second,
	}
	slow := p.rows[0].id()
	done, reps := pretend(p, func(j job) (time.Duration, answer) {
		if j.row.id() == slow && j.alloc == p.allocs[1] { // one slow allocator is enough
			return time.Second, answer{}
		}
		return time.Millisecond, answer{}
	})
	for _, a := range p.allocs {
		for i, want := range []int{3, 1 + 2*often} {
			if j := (job{row: p.rows[i], alloc: a}); done[j.String()] != want {
				t.Errorf("%s was measured %d times in %d repetitions, want %d", j.String(), done[j.String()], reps, want)
			}
		}
	}
}

func TestLatencyComesSecond(t *testing.T) {
	p := plan{
		rows: []row{{Name: "larson", Threads: 2, Latency: true}}, allocs: allocators()[:2], reps: 4,
		latency: true,
	}
	var got []string
	for _, pass := range p.all() {
		switch j := pass[0]; {
		case j.settle:
			got = append(got, "settle")
		case j.latency:
			got = append(got, "latency")
		default:
			got = append(got, "time")
		}
	}
	if want := []string{"time", "settle", "time", "latency", "time", "latency", "time"}; !slices.Equal(got, want) {
		t.Errorf("passes %v, want %v", got, want)
	}
}

func TestAPassWithNothingToDoIsNone(t *testing.T) {
	brief := slices.DeleteFunc(allocators(), func(a *allocator) bool { return !a.Brief || a.Single != "" })
	p := plan{rows: rows(2, false)[:1], allocs: brief, reps: 4, latency: true, budget: time.Hour, patience: time.Hour}
	if n := len(p.all()); n != 2 { // the first row is one for which there is no run for latency
		t.Errorf("%d passes of allocators that are measured every other time, want 2", n)
	}
	done, _ := pretend(p, func(job) (time.Duration, answer) { return time.Second, answer{} })
	if got := done["modernc larson, 1 thread"]; got != 2 {
		t.Errorf("modernc was measured %d times, want 2", got)
	}
}

func TestFlags(t *testing.T) {
	o, err := parseFlags([]string{"-quick"})
	if err != nil || o.reps != 3 || o.out != "-" || o.budget >= 3*time.Minute {
		t.Errorf("-quick: %+v, %v", o, err)
	}
	o, err = parseFlags(nil)
	if err != nil || o.reps != 5 || o.out != "BENCHMARKS.md" || o.budget >= 40*time.Minute ||
		!slices.Equal(o.traces, []string{"cmd/galloc/traces", "bench/traces"}) {
		t.Errorf("no flags: %+v, %v", o, err)
	}
	if o, err = parseFlags([]string{"-traces="}); err != nil || len(o.traces) != 0 {
		t.Errorf("-traces=: %q, %v", o.traces, err)
	}
	for _, bad := range []string{"-rows=(", "larson", "-reps=-1"} {
		if _, err := parseFlags([]string{bad}); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
	for given, want := range map[string]string{
		"mine": "write NAME=PATH", "mine=/nowhere/at/all": "write NAME=PATH", "mimalloc=plan_test.go": "such as mimalloc-3",
	} {
		if _, err := parseFlags([]string{"-native", given}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-native %s: %v, want %q", given, err, want)
		}
	}
	o, err = parseFlags([]string{"-native", "mine=plan_test.go", "-native=other=plan_test.go", "-alloc=heap,mine,other"})
	if err != nil {
		t.Fatal(err)
	}
	chosen, err := chooseAllocators(o)
	if err != nil || len(chosen) != 3 || chosen[1].Name != "mine" || !chosen[2].Native ||
		!filepath.IsAbs(chosen[2].library) {
		t.Errorf("-native: %v, %v", chosen, err)
	}
	if _, err := chooseAllocators(options{allocs: []string{"hoard"}}); err == nil ||
		!strings.Contains(err.Error(), "mimalloc") {
		t.Errorf("-alloc hoard: %v, want the names", err)
	}
}

func TestRowsAreChosenByNameOrGroup(t *testing.T) {
	for _, c := range []struct {
		which string
		want  int
	}{{"^pair$", 10}, {"^pair 64$", 1}, {"larson, 2", 1}, {"nothing", 0}} {
		if got := choose(rows(2, false), regexp.MustCompile(c.which)); len(got) != c.want {
			t.Errorf("%s: %d rows, want %d", c.which, len(got), c.want)
		}
	}
	ids := map[string]bool{}
	for _, r := range append(rows(2, false), traceRow("a", "", 1, 2, false), traceRow("a", "", 34, 2, false)) {
		if ids[r.id()] {
			t.Errorf("two rows are called %s", r.id())
		}
		ids[r.id()] = true
	}
	if n := len(rows(1, false)); n >= len(rows(2, false)) {
		t.Errorf("%d rows on one CPU", n)
	}
}
