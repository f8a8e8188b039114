package memtest_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memtest"
)

// recorder is a test that notes its errors and does not fail.
type recorder struct {
	testing.TB
	name   string
	errors []string
	logs   []string
}

func (r *recorder) Helper()      {}
func (r *recorder) Name() string { return r.name }
func (r *recorder) Failed() bool { return len(r.errors) > 0 }
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Logf(format string, args ...any) {
	r.logs = append(r.logs, fmt.Sprintf(format, args...))
}

// inFolder runs f in an empty folder.
func inFolder(t *testing.T, f func()) {
	t.Helper()
	t.Chdir(t.TempDir())
	f()
}

// update sets the flag for one call of f.
func update(t *testing.T, name string, f func()) {
	t.Helper()
	if err := flag.Set(name, "true"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set(name, "false") }()
	f()
}

// The tests of a package may have a flag of that name.
var _ = flag.Bool("update", false, "update the files of the tests")

// work allocates n blocks of 1024 bytes, and leaves one.
func work(n int) func(*memtest.M) {
	return func(m *memtest.M) {
		for i := range n {
			s := galloc.Must(galloc.MakeSlice[byte](m, 1024))
			if i > 0 {
				galloc.FreeSlice(m, s)
			}
		}
	}
}

func TestBudgets(t *testing.T) {
	inFolder(t, func() {
		run := func(name string, n int) *recorder {
			r := &recorder{TB: t, name: name}
			memtest.RunOn(r, heap.Default(), work(n))
			return r
		}
		if r := run("TestA", 3); len(r.errors) != 1 || !strings.Contains(r.errors[0], "has no line for TestA") {
			t.Errorf("without a budget: %q", r.errors)
		}
		update(t, "memtest.update", func() { run("TestB/sub", 2) })
		update(t, "update", func() { run("TestA", 3) })
		text, err := os.ReadFile(memtest.File)
		if err != nil {
			t.Fatal(err)
		}
		if want := "\nTestA\t3\t3072\t2048\t1024\nTestB/sub\t2\t2048\t2048\t1024\n"; !strings.HasSuffix(string(text), want) {
			t.Errorf("the file is\n%s", text)
		}
		if r := run("TestA", 3); len(r.errors) != 0 || len(r.logs) != 0 {
			t.Errorf("within the budget: %q, %q", r.errors, r.logs)
		}
		if r := run("TestA", 2); len(r.errors) != 0 || len(r.logs) != 1 {
			t.Errorf("less than the budget: %q, %q", r.errors, r.logs)
		}
		r := run("TestA", 4)
		want := []string{
			"memtest: 4 allocations, more than the 3 of the budget in testdata/memtest.txt",
			"memtest: 4096 bytes in total, more than the 3072 of the budget in testdata/memtest.txt",
		}
		if fmt.Sprint(r.errors) != fmt.Sprint(want) {
			t.Errorf("more than the budget: %q", r.errors)
		}
		if err := os.WriteFile(memtest.File, []byte("TestA\t3\tx\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := run("TestA", 3); len(r.errors) != 1 || !strings.Contains(r.errors[0], "has 1 numbers, not 4") {
			t.Errorf("with a broken line: %q", r.errors)
		}
	})
}

// A test that fails does not change its budget.
func TestFailedTestsWriteNothing(t *testing.T) {
	inFolder(t, func() {
		r := &recorder{TB: t, name: "TestA"}
		update(t, "memtest.update", func() {
			memtest.Run(r, func(*memtest.M) { r.Errorf("failed") })
		})
		if _, err := os.Stat(memtest.File); err == nil {
			t.Error("a budget was written")
		}
	})
}

func TestBudgetInTheTest(t *testing.T) {
	r := &recorder{TB: t, name: "TestA"}
	memtest.RunOn(r, bump.New(nil), func(m *memtest.M) {
		m.SetBudget(memtest.Figures{Allocs: 1, Total: 1 << 20, Peak: 100, Live: 1 << 20})
		galloc.Must(galloc.MakeSlice[byte](m, 1000))
		s := galloc.Must(galloc.MakeSlice[byte](m, 10))
		galloc.Must(galloc.GrowSlice(m, s, 20))
		if f := m.Figures(); f.Allocs != 3 || f.Live < 1020 || f.Peak < f.Live {
			t.Errorf("the figures are %+v", f)
		}
	})
	if text := strings.Join(r.errors, "\n"); len(r.errors) != 2 || !strings.Contains(text, "3 allocations, more than the 1 of") ||
		!strings.Contains(text, "bytes at the peak, more than the 100 of the budget in the test") {
		t.Errorf("the errors are %q", r.errors)
	}
}

// A collection has a budget in the file of this package.
func TestVec(t *testing.T) {
	memtest.RunOn(t, heap.Default(), func(m *memtest.M) {
		v := collections.NewVec[int64](m)
		defer v.Free()
		for i := range int64(1000) {
			v.Push(i)
		}
	})
}

func ExampleRun() {
	t := &recorder{name: "TestIndex"} // in a test, its *testing.T
	memtest.Run(t, func(m *memtest.M) {
		m.SetBudget(memtest.Figures{Allocs: 1, Total: 4096, Peak: 4096})
		s, _ := galloc.MakeSlice[byte](m, 4096)
		_ = s // it is not freed
	})
	fmt.Println(t.errors)
	// Output: [memtest: 4096 bytes at the end, more than the 0 of the budget in the test]
}

func ExampleRunOn() {
	arena := bump.New(nil)
	defer arena.Reset()
	t := &recorder{name: "TestArena"}
	memtest.RunOn(t, arena, func(m *memtest.M) {
		m.SetBudget(memtest.Figures{Allocs: 10, Total: 10_000, Peak: 10_000, Live: 10_000})
		for range 10 {
			_, _ = galloc.MakeSlice[byte](m, 500)
		}
		fmt.Println(m.Figures().Allocs)
	})
	fmt.Println(len(t.errors))
	// Output:
	// 10
	// 0
}
