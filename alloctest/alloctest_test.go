package alloctest_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
)

func TestTrackerKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return alloctest.Track(galloc.System) }, alloctest.GoGarbage)
}

// small has exactly the memory that Run needs.
type small struct{ live atomic.Int64 }

func (s *small) Allocate(l galloc.Layout) ([]byte, error) {
	if s.live.Add(int64(l.Size())) > 16<<20 {
		s.live.Add(-int64(l.Size()))
		return nil, galloc.ErrOutOfMemory
	}
	b, err := galloc.System.Allocate(l)
	if err != nil {
		s.live.Add(-int64(l.Size()))
	}
	return b, err
}

func (s *small) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	s.live.Add(-int64(l.Size()))
	galloc.System.Deallocate(p, l)
}

func TestSixteenMebibytesAreEnough(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator { return new(small) })
}

func TestOpsArePossible(t *testing.T) {
	data := make([]byte, 40_000)
	for i := range data {
		data[i] = byte(i * i >> 3)
	}
	var text strings.Builder
	w := trace.NewWriter(&text) // refuses events that no program can produce
	for _, op := range alloctest.Ops(data) {
		if err := w.Write(op); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(alloctest.Ops(data)); n < 8000 {
		t.Errorf("only %d events", n)
	}
	if len(alloctest.Ops([]byte{0, 0, 0})) != 0 {
		t.Error("an event of three bytes")
	}
}

// pair allocates two blocks and frees them again.
func pair(a galloc.Allocator) error {
	p, err := galloc.New[[10]int](a)
	if err != nil {
		return err
	}
	defer galloc.Free(a, p)
	s, err := galloc.MakeSlice[byte](a, 100)
	if err != nil {
		return fmt.Errorf("no slice: %w", err)
	}
	s, err = galloc.GrowSlice(a, s, 200)
	galloc.FreeSlice(a, s[:cap(s):cap(s)])
	return err
}

// recovering makes do with less if it does not get what it asks for.
func recovering(a galloc.Allocator) error {
	for n := 64; ; n /= 2 {
		s, err := galloc.MakeSlice[byte](a, n)
		if err == nil {
			galloc.FreeSlice(a, s)
			return nil
		}
		if n == 1 {
			return err
		}
	}
}

// recorder is a testing.TB that records the errors of a test.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestCheckFailures(t *testing.T) {
	sloppy := 0
	for _, c := range []struct {
		name string
		f    func(galloc.Allocator) error
		want string // "" if it is right
	}{
		{"right", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err == nil {
				galloc.Free(a, p)
			}
			return err
		}, ""},
		{"no allocation", func(galloc.Allocator) error { return nil }, ""},
		{"leak always", func(a galloc.Allocator) error {
			_, err := galloc.New[int64](a)
			return err
		}, "nothing fails: blocks are left allocated: [Layout(size 8"},
		{"leak on failure", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err != nil {
				return err
			}
			q, err := galloc.New[int](a)
			if err != nil {
				return err // p is lost
			}
			galloc.Free(a, p)
			galloc.Free(a, q)
			return nil
		}, "allocation 2 of 2 fails: blocks are left allocated"},
		{"a failed grow loses the slice", pair, "allocation 3 of 3 fails: "},
		{"swallowed", func(a galloc.Allocator) error {
			if p, err := galloc.New[int](a); err == nil {
				galloc.Free(a, p)
			}
			return nil
		}, "allocation 1 of 1 fails: no error: the failure was swallowed\nthe allocation that failed came from"},
		{"other error", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err != nil {
				return errors.New("sorry")
			}
			galloc.Free(a, p)
			return nil
		}, "the error does not wrap ErrOutOfMemory: sorry"},
		{
			"error without failure", func(galloc.Allocator) error { return errors.New("sorry") },
			"nothing fails: error sorry",
		},
		{"double free", func(a galloc.Allocator) error {
			p, err := galloc.New[int](a)
			if err == nil {
				galloc.Free(a, p)
				galloc.Free(a, p)
			}
			return err
		}, "which is not a live block, from\n"},
		{"wrong layout", func(a galloc.Allocator) error {
			s, err := galloc.MakeSlice[byte](a, 10)
			if err == nil {
				galloc.FreeSlice(a, s[:5:5])
			}
			return err
		}, "with Layout(size 5, align 1 = 1<<0), but it has Layout(size 10"},
		{"different each time", func(a galloc.Allocator) error {
			sloppy++
			for range 5 - min(sloppy, 5) {
				p, err := galloc.New[int](a)
				if err != nil {
					return err
				}
				galloc.Free(a, p)
			}
			return nil
		}, "every run must make the same"},
		{"recovers", recovering, "allocation 1 of 1 fails: no error: the failure was swallowed"},
	} {
		r := &recorder{TB: t}
		alloctest.CheckFailures(r, c.f)
		all := strings.Join(r.errors, "\n")
		if (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
}

// A function that is content with less memory passes only if that is declared, and must fail if all
// later allocations do.
func TestCheckFailuresWithRetries(t *testing.T) {
	less := func(sizes ...int) func(a galloc.Allocator) error {
		return func(a galloc.Allocator) (err error) {
			for _, n := range sizes {
				var s []byte
				if s, err = galloc.MakeSlice[byte](a, n); err == nil {
					galloc.FreeSlice(a, s)
					return nil
				}
			}
			return err
		}
	}
	careless := func(a galloc.Allocator) error {
		_ = less(20, 10)(a)
		return nil
	}
	for _, c := range []struct {
		name    string
		retries bool
		f       func(a galloc.Allocator) error
		want    string
	}{
		{"declared", true, less(20, 10), ""},
		{"not declared", false, less(20, 10), "allocation 1 of 1 fails: no error: the failure was swallowed"},
		{"always content", true, careless, "allocations from 1 of 1 on fail: no error: the failure was swallowed"},
		{"no retry", true, less(20), ""},
		{"other error", true, func(a galloc.Allocator) error {
			if less(20)(a) != nil {
				return errors.New("sorry")
			}
			return nil
		}, "does not wrap ErrOutOfMemory: sorry"},
	} {
		r := &recorder{TB: t}
		alloctest.FailureCheck{Retries: c.retries}.Run(r, c.f)
		all := strings.Join(r.errors, "\n")
		if (c.want == "") != (all == "") || !strings.Contains(all, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
}

func TestFailFailsTheNthCall(t *testing.T) {
	blocks := alloctest.Track(galloc.System)
	a := alloctest.Fail(blocks, alloctest.At(3))
	var got []bool
	for range 5 {
		_, err := galloc.MakeSlice[byte](a, 0) // does not count
		if err != nil {
			t.Error(err)
		}
		p, err := galloc.New[int](a)
		got = append(got, err == nil)
		galloc.Free(a, p)
	}
	if !slices.Equal(got, []bool{true, true, false, true, true}) || a.Calls() != 5 || a.Failures() != 1 ||
		len(blocks.Live()) != 0 {
		t.Errorf("got %v, %d calls, %v", got, a.Calls(), blocks.Live())
	}
	if math.MaxInt == math.MaxInt32 {
		return // there may be enough memory
	}
	if _, err := galloc.MakeSlice[byte](a, math.MaxInt/16); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err)
	}
}
