// Package memtest tests how much memory a function allocates. It compares the figures with a budget
// in a file, which it also writes:
//
//	func TestIndex(t *testing.T) {
//		memtest.Run(t, func(m *memtest.M) {
//			index := build(m) // m is the allocator
//			defer index.Free()
//			...
//		})
//	}
//
// The first time, and whenever a figure may change, run
//
//	go test -run TestIndex -memtest.update
//
// and commit testdata/memtest.txt. From then on, the test fails if a figure exceeds its budget. If
// the tests of a package define a flag -update, it does the same.
//
// The idea is from the heap tests of dhat (Nethercote, 2021).
package memtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

// File is the name of the file with the budgets, in the folder of the tests. It has a line for each
// test: the name, and the figures.
const File = "testdata/memtest.txt"

// Figures are what a function has allocated, or the budget for it. Blocks of size 0 do not count.
// Bytes are bytes that blocks occupy: see [wrap.Snapshot].
type Figures struct {
	Allocs uint64 // number of calls that allocated, grew or shrank a block
	Total  uint64 // bytes allocated, also if they were freed
	Peak   uint64 // bytes that were allocated at the same time, at most
	Live   uint64 // bytes that are allocated at the end
}

// names are the names of the figures, in the order of fields.
var names = [...]string{"allocations", "bytes in total", "bytes at the peak", "bytes at the end"}

func (f *Figures) fields() [len(names)]*uint64 {
	return [...]*uint64{&f.Allocs, &f.Total, &f.Peak, &f.Live}
}

// M is the allocator of a test, and counts what goes through it. It is safe for concurrent use if
// the allocator inside is. If several goroutines allocate, Peak is inexact: see [wrap.Snapshot].
type M struct {
	*wrap.Counter
	budget *Figures
}

// Figures returns the figures so far.
func (m *M) Figures() Figures {
	s := m.Snapshot()
	return Figures{s.Allocs + s.Reallocs, s.AllocatedBytes, s.PeakBytes, uint64(max(s.LiveBytes(), 0))}
}

// SetBudget sets the budget of this run, in place of the budget in the file.
func (m *M) SetBudget(budget Figures) { m.budget = &budget }

// Run calls f with an allocator that takes its memory from the global allocator. Then it compares
// the figures with the budget for t.Name(), and reports an error for each that is more. It also
// reports an error if there is no budget. With -memtest.update it writes the budget instead, unless
// the test has failed. A test can call Run once; subtests have their own names.
func Run(t testing.TB, f func(m *M)) {
	t.Helper()
	RunOn(t, nil, f)
}

// RunOn is Run with an allocator that takes its memory from inner; nil is the global allocator.
func RunOn(t testing.TB, inner galloc.Allocator, f func(m *M)) {
	t.Helper()
	m := &M{Counter: wrap.Stats(inner)}
	f(m)
	got := m.Figures()
	switch {
	case m.budget != nil:
		compare(t, got, *m.budget, "the budget in the test")
	case t.Failed():
	case updating():
		if err := update(t.Name(), got); err != nil {
			t.Errorf("memtest: %v", err)
		}
	default:
		budget, err := read(t.Name())
		if err != nil {
			t.Errorf("memtest: %v: go test -memtest.update writes the budget", err)
			return
		}
		compare(t, got, budget, "the budget in "+File)
	}
}

// compare reports an error for each figure that exceeds its budget.
func compare(t testing.TB, got, budget Figures, where string) {
	t.Helper()
	less := false
	for i, limit := range budget.fields() {
		n := *got.fields()[i]
		if n > *limit {
			t.Errorf("memtest: %d %s, more than the %d of %s", n, names[i], *limit, where)
		}
		less = less || n < *limit
	}
	if less && !t.Failed() {
		t.Logf("memtest: %s is not used up: %+v of %+v", where, got, budget)
	}
}

var updateFlag = flag.Bool("memtest.update", false, "write the budgets of package memtest")

// updating reports whether the budgets must be written.
func updating() bool {
	if *updateFlag {
		return true
	}
	f := flag.Lookup("update")
	if f == nil {
		return false
	}
	value, ok := f.Value.(flag.Getter)
	return ok && value.Get() == true
}

const header = "# Budgets of package memtest. go test -memtest.update writes them.\n" +
	"# test\tallocations\ttotal\tpeak\tend (bytes)\n"

// file guards the file against the parallel tests of a package.
var file sync.Mutex

// lines returns the lines of the file that are budgets. A missing file has none.
func lines() ([]string, error) {
	text, err := os.ReadFile(File)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all, nil
}

// nameOf returns the name of the test in a line.
func nameOf(line string) string {
	name, _, _ := strings.Cut(line, "\t")
	return name
}

// read returns the budget of a test.
func read(name string) (budget Figures, err error) {
	file.Lock()
	defer file.Unlock()
	all, err := lines()
	if err != nil {
		return budget, err
	}
	i := slices.IndexFunc(all, func(line string) bool { return nameOf(line) == name })
	if i < 0 {
		return budget, fmt.Errorf("%s has no line for %s", File, name)
	}
	f := budget.fields()
	_, rest, _ := strings.Cut(all[i], "\t")
	if n, err := fmt.Sscanf(rest, "%d\t%d\t%d\t%d", f[0], f[1], f[2], f[3]); err != nil {
		return budget, fmt.Errorf("%s: the line for %s has %d numbers, not %d: %w", File, name, n, len(f), err)
	}
	return budget, nil
}

// update writes the budget of a test, and leaves the others.
func update(name string, budget Figures) error {
	file.Lock()
	defer file.Unlock()
	all, err := lines()
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(line string) bool { return nameOf(line) == name })
	all = append(all, fmt.Sprintf("%s\t%d\t%d\t%d\t%d", name, budget.Allocs, budget.Total, budget.Peak, budget.Live))
	slices.Sort(all)
	if err := os.MkdirAll(filepath.Dir(File), 0o777); err != nil {
		return err
	}
	return os.WriteFile(File, []byte(header+strings.Join(all, "\n")+"\n"), 0o666)
}
