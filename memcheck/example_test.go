package memcheck_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/memcheck"
)

type node struct {
	key, value, left, right int32
}

func newNode(a galloc.Allocator) *node { return galloc.Must(galloc.New[node](a)) }

// ReportLeaks lists the blocks that are still allocated, by the line of the program that has
// allocated them.
func Example_findingALeak() {
	a := memcheck.New(nil, memcheck.Options{StackDepth: 1})

	first, second := newNode(a), newNode(a)
	galloc.Free(a, first)
	_ = second // not freed

	var text strings.Builder // in main: defer a.ReportLeaks(os.Stderr)
	a.ReportLeaks(&text)
	show(text.String())
	// Output:
	// galloc: leaks: 16 bytes in 1 block not freed, allocated at 1 place
	// 16 bytes in 1 block (allocation 2), allocated at example_test.go:LINE by galloc.New[...]:
	// 	github.com/galloc-go/galloc/memcheck_test.newNode
	// 		example_test.go:LINE
}

// A block is freed twice. Without OnMisuse, the report would be on standard error, and the program
// would be aborted.
func Example_findingADoubleFree() {
	a := memcheck.New(nil, memcheck.Options{OnMisuse: printReport, StackDepth: 1})

	n := newNode(a)
	galloc.Free(a, n)
	galloc.Free(a, n)
	// Output:
	// galloc: double free: the 16-byte block (align 4) at 0xADDRESS was freed before
	// at this free:
	// 	github.com/galloc-go/galloc/memcheck_test.Example_findingADoubleFree
	// 		example_test.go:LINE
	// the block at 0xADDRESS was allocated here (allocation 1):
	// 	github.com/galloc-go/galloc/memcheck_test.newNode
	// 		example_test.go:LINE
	// and freed here:
	// 	github.com/galloc-go/galloc/memcheck_test.Example_findingADoubleFree
	// 		example_test.go:LINE
}

// A write past the end of a block is found when the block is freed. The report shows the stacks of
// the allocation and the free, and the bytes that were written.
func Example_findingAnOverflow() {
	a := memcheck.New(galloc.System, memcheck.Options{OnMisuse: printReport, StackDepth: 1})

	b := galloc.Must(galloc.MakeSlice[byte](a, 5))
	copy(unsafe.Slice(&b[0], 7), "too far")
	galloc.FreeSlice(a, b)
	// Output:
	// galloc: overflow: 2 bytes were written, from 0 bytes past the end of the 5-byte block (align 1) at 0xADDRESS
	// detected by this free:
	// 	github.com/galloc-go/galloc/memcheck_test.Example_findingAnOverflow
	// 		example_test.go:LINE
	// the block at 0xADDRESS was allocated here (allocation 1):
	// 	github.com/galloc-go/galloc/memcheck_test.Example_findingAnOverflow
	// 		example_test.go:LINE
	// bytes written (.. is unchanged):
	// 	0xADDRESS: 61 72                                            ar
}

func printReport(r *memcheck.Report) { show(r.String()) }

// show prints a report without what differs from run to run: addresses, folders, line numbers, and
// calls of package testing; and without the hint, which is not given on all systems.
func show(text string) {
	text = regexp.MustCompile(`0x[0-9a-f]+`).ReplaceAllString(text, "0xADDRESS")
	text = regexp.MustCompile(`\S*/(\w+\.go):\d+`).ReplaceAllString(text, "$1:LINE")
	text = regexp.MustCompile(`(?m)^\t(testing|main)\..*\n\t\t.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`(?m)^hint: .*\n`).ReplaceAllString(text, "")
	fmt.Print(text)
}

// In a test, CheckLeaks reports blocks that are not freed when the test ends.
func ExampleChecker_CheckLeaks() {
	var t printingT // a *testing.T in a test
	a := memcheck.New(galloc.System, memcheck.Options{StackDepth: -1})
	a.CheckLeaks(&t)

	_ = galloc.Must(galloc.New[int64](a))
	galloc.Free(a, galloc.Must(galloc.New[int32](a)))

	t.end()
	// Output:
	// galloc: leaks: 8 bytes in 1 block not freed, allocated at 1 place
	// 8 bytes in 1 block (allocation 1), without a stack
}

// Guarded blocks are next to inaccessible pages. An access past the end crashes at once, and is
// reported by the goroutines that have called CatchPageFaults.
func ExampleGuard() {
	a := memcheck.New(galloc.System, memcheck.Options{
		Guard:    memcheck.GuardEnd,
		GuardMax: 1 << 20, // bytes
		OnMisuse: func(r *memcheck.Report) { fmt.Println(r.Kind, "found at", r.Op) },
	})
	p := a.Alloc(galloc.LayoutOf[int64]())
	a.Dealloc(p, galloc.LayoutOf[int32]())
	a.Dealloc(p, galloc.LayoutOf[int64]())
	func() {
		defer func() { _ = recover() }() // the *Report
		defer a.CatchPageFaults()()
		// *(*int64)(p) = 1 would print "use after free found at access" on most systems
	}()
	// Output:
	// wrong layout found at free
}

// In production, one allocation in 100,000 is checked.
func ExampleOptions_sample() {
	a := memcheck.New(nil, memcheck.Options{Sample: 100_000})
	defer func() { fmt.Println(a.Misuses(), "misuses found") }()

	p := a.Alloc(galloc.LayoutOf[int64]())
	a.Dealloc(p, galloc.LayoutOf[int64]())
	// Output: 0 misuses found
}

// A program that begins like this checks itself when it is run with GALLOC=debug. Otherwise the
// calls do nothing.
func ExampleGlobal() {
	defer memcheck.Global().ReportLeaks(os.Stderr)
	defer memcheck.Global().CatchPageFaults()()

	p := galloc.Alloc(galloc.LayoutOf[int64]())
	galloc.Dealloc(p, galloc.LayoutOf[int64]())
	fmt.Println(memcheck.Global().Misuses(), "misuses found")
	// Output: 0 misuses found
}

// printingT is a testing.TB that prints.
type printingT struct{ end func() }

func (*printingT) Helper()                           {}
func (*printingT) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (t *printingT) Cleanup(f func())                { t.end = f }
