package arrow_test

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/adapters/arrow"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

var _ memory.Allocator = (*arrow.Allocator)(nil)

// checked returns an allocator on a memory checker, which fails the test for misuse and for blocks
// that are not freed with the layout they were allocated with.
func checked(t *testing.T) *arrow.Allocator {
	c := memcheck.New(galloc.System, memcheck.Options{OnMisuse: func(r *memcheck.Report) { t.Error(r) }})
	t.Cleanup(func() {
		var leaks bytes.Buffer
		if n := c.ReportLeaks(&leaks); n != 0 {
			t.Errorf("%d leaks:\n%s", n, &leaks)
		}
	})
	return arrow.New(c)
}

func TestAllocator(t *testing.T) {
	a := checked(t)
	for _, size := range []int{0, 1, 4, 33, 63, 64, 65, 4095, 4096, 8193, 1 << 20} {
		b := a.Allocate(size)
		if len(b) != size || b == nil || cap(b) < size {
			t.Errorf("Allocate(%d): length %d, capacity %d", size, len(b), cap(b))
		}
		if size > 0 && uintptr(unsafe.Pointer(&b[0]))%arrow.Alignment != 0 {
			t.Errorf("Allocate(%d): the address is %p", size, &b[0])
		}
		if len(bytes.Trim(b, "\x00")) != 0 {
			t.Errorf("Allocate(%d): not zero", size)
		}
		if got := a.AllocatedBytes(); got != int64(cap(b)) {
			t.Errorf("Allocate(%d): %d bytes are allocated, want %d", size, got, cap(b))
		}
		for i := range b[:cap(b)] {
			b[:cap(b)][i] = 0xee // beyond the length too
		}
		c := a.Reallocate(cap(b)+100, b)
		for i, x := range c {
			if want := i < size; (x == 0xee) != want || !want && x != 0 {
				t.Errorf("Reallocate from %d to %d: byte %d is %#x", size, len(c), i, x)
				break
			}
		}
		d := a.Reallocate(1, c)
		if len(d) != 1 || &d[0] != &c[0] {
			t.Error("Reallocate to a smaller size moves the block")
		}
		a.Free(d)
		a.AssertSize(t, 0)
	}
	a.Free(nil)
	a.Free([]byte{})
}

func TestAssertSize(t *testing.T) {
	a := arrow.New(nil)
	b := a.Allocate(10)
	r := &recorder{}
	a.AssertSize(r, 0)
	a.AssertSize(r, cap(b))
	a.Free(b)
	if want := fmt.Sprintf("galloc/adapters/arrow: %d bytes are allocated, want 0", cap(b)); r.text != want {
		t.Errorf("%q, want %q", r.text, want)
	}
}

type recorder struct{ text string }

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { r.text += fmt.Sprintf(format, args...) }

func TestMisuse(t *testing.T) {
	a := arrow.New(nil)
	for _, f := range []func(){func() { a.Allocate(-1) }, func() { a.Reallocate(-1, nil) }} {
		func() {
			defer func() {
				if got, want := fmt.Sprint(recover()), "galloc/adapters/arrow: negative size (-1)"; got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

// A failure panics with an error, which Catch returns, and leaves the block as it was.
func TestOutOfMemory(t *testing.T) {
	a := arrow.New(wrap.Limit(galloc.Global, 1<<20))
	b := a.Allocate(1000)
	copy(b, "text")
	for _, size := range []int{1 << 21, math.MaxInt} {
		if err := arrow.Catch(func() error { a.Allocate(size); return nil }); err == nil {
			t.Errorf("Allocate(%d) does not fail", size)
		}
		if err := arrow.Catch(func() error { b = a.Reallocate(size, b); return nil }); err == nil {
			t.Errorf("Reallocate(%d) does not fail", size)
		}
	}
	err := arrow.Catch(func() error { a.Allocate(1 << 21); return nil })
	if !errors.Is(err, galloc.ErrLimit) {
		t.Errorf("error %v, want ErrLimit", err)
	}
	if string(b[:4]) != "text" || len(b) != 1000 {
		t.Error("the block has changed")
	}
	a.Free(b)
	a.AssertSize(t, 0)

	if err := arrow.Catch(func() error { return errors.ErrUnsupported }); err != errors.ErrUnsupported {
		t.Error(err)
	}
	defer func() {
		if v := recover(); v != "other" {
			t.Errorf("Catch passes %v on", v)
		}
	}()
	_ = arrow.Catch(func() error { panic("other") })
}

// Arrow's arrays, under failures of every allocation in turn: what is released leaves nothing.
func TestArraysUnderFailures(t *testing.T) {
	build := func(mem memory.Allocator) error {
		return arrow.Catch(func() error {
			b := array.NewStringBuilder(mem)
			defer b.Release()
			for i := range 1000 {
				b.Append(fmt.Sprint("value ", i))
			}
			x := b.NewStringArray()
			defer x.Release()
			if x.Len() != 1000 || x.Value(999) != "value 999" {
				return fmt.Errorf("%d values, the last is %q", x.Len(), x.Value(x.Len()-1))
			}
			return nil
		})
	}
	for n := range 1000 {
		track := alloctest.Track(galloc.System)
		f := &failing{track, n, false}
		err := build(arrow.New(f))
		if live, misuses := track.Live(), track.Misuses(); len(live)+len(misuses) > 0 {
			t.Errorf("allocation %d fails: %d blocks leak, misuses: %v", n, len(live), misuses)
		}
		if !f.refused {
			if err != nil {
				t.Error(err)
			}
			if n < 10 {
				t.Errorf("only %d allocations", n)
			}
			return
		}
		if !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Fatalf("allocation %d fails: error %v", n, err)
		}
	}
	t.Error("there is no end")
}

// failing fails all allocations after the first.
type failing struct {
	galloc.Allocator
	left    int
	refused bool
}

func (f *failing) Allocate(l galloc.Layout) ([]byte, error) {
	if f.left == 0 {
		f.refused = true
		return nil, galloc.ErrOutOfMemory
	}
	f.left--
	return f.Allocator.Allocate(l)
}

func TestManyGoroutines(t *testing.T) {
	a := checked(t)
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			b := a.Allocate(0)
			for range 300 {
				n := len(b)
				b = a.Reallocate(r.IntN(10_000), b)
				for i := n; i < len(b); i++ {
					b[i] = byte(g)
				}
				for i := range b {
					if b[i] != byte(g) {
						t.Errorf("byte %d is %d, want %d", i, b[i], g)
						return
					}
				}
			}
			a.Free(b)
		})
	}
	group.Wait()
	a.AssertSize(t, 0)
}
