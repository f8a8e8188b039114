package alloctest

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// A Fault decides whether a call of a [Failer] fails. Calls are numbered from 1: each allocation,
// growth and shrinking counts, in order. l is the layout asked for. A Fault may be called by
// several goroutines at once.
type Fault func(call uint64, l galloc.Layout) bool

// After returns a Fault that lets n calls succeed and makes all later calls fail.
func After(n uint64) Fault {
	return func(call uint64, _ galloc.Layout) bool { return call > n }
}

// At returns a Fault that makes the calls with these numbers fail, and no others.
func At(calls ...uint64) Fault {
	return func(call uint64, _ galloc.Layout) bool {
		for _, c := range calls {
			if c == call {
				return true
			}
		}
		return false
	}
}

// Sizes returns a Fault that makes calls fail that ask for at least low and at most high bytes.
func Sizes(low, high uintptr) Fault {
	return func(_ uint64, l galloc.Layout) bool { return low <= l.Size() && l.Size() <= high }
}

// Randomly returns a Fault that makes each call fail with probability p, from 0 to 1. Whether a
// call fails depends only on its number and the seed.
func Randomly(p float64, seed uint64) Fault {
	return func(call uint64, _ galloc.Layout) bool {
		// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): each bit of the result depends
		// on all bits of x.
		x := seed + call*0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		return float64(x>>11) < p*(1<<53)
	}
}

// A Failer is an allocator that fails on demand: see [Fail].
type Failer struct {
	gate
	state atomic.Pointer[failState]
}

// failState is what Failer.SetFaults replaces.
type failState struct {
	faults          []Fault
	calls, failures atomic.Uint64

	// callers are the callers of the first call that failed, once known is true.
	callers [16]uintptr
	known   atomic.Bool
}

// Fail returns an allocator that takes its memory from inner, and whose calls fail with
// [galloc.ErrOutOfMemory] if one of the faults says so: to test a program that runs out of memory.
// Deallocating never fails, nor does size 0. A Resize does not count as a call, since it may always
// be refused. To try each allocation of a function in turn, use [CheckFailures], which also looks
// for leaks.
//
// The Failer is safe for concurrent use if inner is. It costs an atomic addition for each call, and
// allocates nothing on the Go heap, not even when it fails. A nil inner means the global allocator.
func Fail(inner galloc.Allocator, faults ...Fault) *Failer {
	f := &Failer{}
	f.gate = newGate(inner, f.admit)
	f.SetFaults(faults...)
	return f
}

// String names the allocator, as in "fail(heap)".
func (f *Failer) String() string { return fmt.Sprintf("fail(%v)", block.Name(f.inner)) }

// Calls returns the number of calls that could have failed, since Fail or SetFaults.
func (f *Failer) Calls() uint64 { return f.state.Load().calls.Load() }

// Failures returns the number of calls that the faults made fail, since Fail or SetFaults.
func (f *Failer) Failures() uint64 { return f.state.Load().failures.Load() }

// SetFaults replaces the faults and starts counting at 0 again.
func (f *Failer) SetFaults(faults ...Fault) {
	f.state.Store(&failState{faults: append([]Fault(nil), faults...)})
}

// Resize implements [galloc.Resizer]. It is never made to fail.
func (f *Failer) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return galloc.Resize(f.inner, p, l, newSize)
}

func (f *Failer) admit(_, to galloc.Layout) error {
	s := f.state.Load()
	call := s.calls.Add(1)
	for _, fault := range s.faults {
		if fault(call, to) {
			if s.failures.Add(1) == 1 {
				runtime.Callers(3, s.callers[:])
				s.known.Store(true)
			}
			return galloc.ErrOutOfMemory
		}
	}
	return nil
}

// origin returns where the first call that failed came from, or "" if none failed.
func (f *Failer) origin() string {
	s := f.state.Load()
	if !s.known.Load() {
		return ""
	}
	return "\nthe allocation that failed came from\n" + frames(s.callers[:])
}

// frames returns the text of a stack, two lines for each call.
func frames(pcs []uintptr) string {
	for len(pcs) > 0 && pcs[len(pcs)-1] == 0 {
		pcs = pcs[:len(pcs)-1]
	}
	frames := runtime.CallersFrames(pcs)
	var b strings.Builder
	for more := true; more; {
		var fr runtime.Frame
		fr, more = frames.Next()
		fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", fr.Function, fr.File, fr.Line)
	}
	return b.String()
}
