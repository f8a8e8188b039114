package alloctest_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
)

// In a test of your allocator: func TestMine(t *testing.T) { ... }.
func ExampleRun() {
	var t *testing.T // the test's
	alloctest.Run(t, func() galloc.Allocator { return galloc.System })
}

// In a test of your code: every allocation of the function fails in turn.
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

func ExampleTrack() {
	a := alloctest.Track(galloc.System)
	p, _ := galloc.New[int32](a)
	fmt.Println(a.Live())
	galloc.Free(a, p)
	fmt.Println(a.Live(), len(a.Misuses()))
	// Output:
	// [Layout(size 4, align 4 = 1<<2)]
	// [] 0
}

func ExampleFail() {
	a := alloctest.Fail(galloc.System, alloctest.After(1))
	p, err := galloc.New[[8]byte](a)
	fmt.Println(err)
	_, err = galloc.New[[8]byte](a)
	fmt.Println(err)
	galloc.Free(a, p)
	fmt.Println(a.Calls(), a.Failures())
	// Output:
	// <nil>
	// galloc: memory allocation of 8 bytes (align 1) failed: out of memory
	// 2 1
}

// Calls 2 and 3 fail, and every request for more than a page.
func ExampleAt() {
	a := alloctest.Fail(galloc.System, alloctest.At(2, 3), alloctest.Sizes(4097, math.MaxUint))
	for _, n := range []int{10, 10, 10, 10, 4097} {
		s, err := galloc.MakeSlice[byte](a, n)
		fmt.Print(err == nil, " ")
		galloc.FreeSlice(a, s)
	}
	fmt.Println(a.Failures())
	// Output: true false false true false 3
}

// The same calls fail in every run with the same seed.
func ExampleRandomly() {
	tenth := alloctest.Randomly(0.1, 42)
	failed := 0
	for call := range uint64(10_000) {
		if tenth(call, galloc.Layout{}) {
			failed++
		}
	}
	fmt.Println(900 < failed && failed < 1100)
	// Output: true
}

func ExampleNoAlloc() {
	a := alloctest.NoAlloc(galloc.System, func(at *alloctest.Attempt) {
		fmt.Println(at.Layout, "by", at.Function)
	})
	leave := a.Enter()
	_, err := galloc.New[[10]byte](a)
	leave()
	fmt.Println(err != nil)
	// Output:
	// Layout(size 10, align 1 = 1<<0) by github.com/galloc-go/galloc/alloctest_test.ExampleNoAlloc
	// true
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
