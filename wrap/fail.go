package wrap

import (
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// A Fault decides whether a call of an allocator fails. Calls are numbered from 1: each
// allocation, growth and shrinking, in the order that they are made in. l is what is asked
// for. A Fault may be called by several goroutines at once.
type Fault func(call uint64, l galloc.Layout) bool

// After lets n calls succeed, and makes all after them fail.
func After(n uint64) Fault {
	return func(call uint64, _ galloc.Layout) bool { return call > n }
}

// At makes the calls of these numbers fail, and no others.
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

// Sizes makes calls fail that ask for at least min bytes, and at most max.
func Sizes(min, max uintptr) Fault {
	return func(_ uint64, l galloc.Layout) bool { return min <= l.Size() && l.Size() <= max }
}

// Randomly makes calls fail with probability p, from 0 to 1: which of them depends on their
// numbers and the seed only.
func Randomly(p float64, seed uint64) Fault {
	return func(call uint64, _ galloc.Layout) bool {
		// The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): all bits depend on all
		// bits.
		x := seed + call*0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
		return float64(x>>11) < p*(1<<53)
	}
}

// Faulty is a wrapper that fails when it is told to: see [Fail].
type Faulty interface {
	Allocator
	// Calls returns how many calls could have failed so far, Failures how many were made to.
	Calls() uint64
	Failures() uint64
	// SetFaults replaces the faults, and begins to count anew.
	SetFaults(faults ...Fault)
}

// Fail returns an allocator on inner whose calls fail with galloc.ErrOutOfMemory if one of the
// faults says so, to test what programs do then. Frees and size 0 never fail; a Resize is not
// a call that counts, since it may be refused anyway. To try each allocation of a function in
// turn, use alloctest.CheckFailures, which looks for leaks too.
//
// It is safe for concurrent use if inner is, and costs an atomic addition per call. A nil
// inner stands for the global allocator.
func Fail(inner galloc.Allocator, faults ...Fault) Faulty {
	w := &fail{}
	w.init(inner, w, false)
	w.SetFaults(faults...)
	switch has(w.a) {
	default:
		return &struct {
			noOwns
			noReset
			noTyped
			*fail
		}{fail: w}
	case owns:
		return &struct {
			noReset
			noTyped
			*fail
		}{fail: w}
	case resets:
		return &struct {
			noOwns
			noTyped
			*fail
		}{fail: w}
	case typed:
		return &struct {
			noOwns
			noReset
			*fail
		}{fail: w}
	case owns | resets:
		return &struct {
			noTyped
			*fail
		}{fail: w}
	case owns | typed:
		return &struct {
			noReset
			*fail
		}{fail: w}
	case resets | typed:
		return &struct {
			noOwns
			*fail
		}{fail: w}
	case owns | resets | typed:
		return w
	}
}

type fail struct {
	layer
	state atomic.Pointer[faultState]
}

type faultState struct {
	faults          []Fault
	calls, failures atomic.Uint64
}

func (w *fail) String() string { return "fail(" + nameOf(w.a) + ")" }

func (w *fail) Calls() uint64 { return w.state.Load().calls.Load() }

func (w *fail) Failures() uint64 { return w.state.Load().failures.Load() }

func (w *fail) SetFaults(faults ...Fault) {
	w.state.Store(&faultState{faults: append([]Fault(nil), faults...)})
}

func (w *fail) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return galloc.Resize(w.a, p, l, newSize)
}

func (w *fail) admit(_, new galloc.Layout) error {
	s := w.state.Load()
	call := s.calls.Add(1)
	for _, f := range s.faults {
		if f(call, new) {
			s.failures.Add(1)
			return galloc.ErrOutOfMemory
		}
	}
	return nil
}

func (w *fail) done(_, _ galloc.Layout)           {}
func (w *fail) failed(_, _ galloc.Layout, _ bool) {}
func (w *fail) freed(galloc.Layout)               {}
func (w *fail) forgotten()                        {}
