package alloctest_test

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
)

// In a test of your own: func TestMine(t *testing.T) { ... }.
func ExampleRun() {
	var t *testing.T // the test's
	alloctest.Run(t, func() galloc.Allocator { return galloc.System })
}

// In a test of your own: every allocation of the function fails in turn.
func ExampleCheckFailures() {
	var t *testing.T // the test's
	alloctest.CheckFailures(t, func(a galloc.Allocator) error {
		b, err := galloc.NewBox(a, 1)
		if err != nil {
			return err
		}
		defer b.Free()
		s, err := galloc.MakeSlice[byte](a, 100)
		galloc.FreeSlice(a, s)
		return err
	})
}

func ExampleFailing() {
	a := alloctest.Failing(2)
	p, err := galloc.New[int32](a)
	fmt.Println(err)
	_, err = galloc.New[int32](a)
	fmt.Println(err)
	fmt.Println(a.Live())
	galloc.Free(a, p)
	// Output:
	// <nil>
	// galloc: memory allocation of 4 bytes (align 4) failed: out of memory
	// [Layout(size 4, align 4 = 1<<2)]
}

func ExampleCheck() {
	ops := []trace.Op{
		{Kind: trace.Malloc, ID: 1, Size: 24},
		{Kind: trace.Realloc, Old: 1, ID: 2, Size: 5000},
		{Kind: trace.Free, ID: 2},
	}
	fmt.Println(alloctest.Check(galloc.System, ops))
	// Output: <nil>
}
