package cache

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// A call is a call on one key, from the moment begin to the moment end.
type call struct {
	begin, end int64
	what       int    // see step
	arg, old   string // "" means absent
	got        string // the result, likewise
	ok         bool
}

// The calls.
const (
	callSet = iota
	callGet
	callDelete
	callSwap
	callUpdate
	numCalls
)

// step returns the value after the call, and whether its result is right for the value before.
func (x *call) step(value string) (after string, right bool) {
	switch x.what {
	case callSet:
		return x.arg, true
	case callGet:
		return value, x.got == value && x.ok == (value != "")
	case callDelete:
		return "", x.ok == (value != "")
	case callSwap:
		if value != "" && value == x.old {
			return x.arg, x.ok
		}
		return value, !x.ok
	default: // Update, which returns the value that it has found
		return x.arg, x.got == value
	}
}

// do makes the call.
func (x *call) do(c *Text, key string) (err error) {
	var v []byte
	switch x.what {
	case callSet:
		err = c.Set(key, []byte(x.arg))
	case callGet:
		v, x.ok = c.Get(nil, key)
		x.got = string(v)
	case callDelete:
		x.ok = c.Delete(key)
	case callSwap:
		x.ok, err = c.CompareAndSwap(key, []byte(x.old), []byte(x.arg))
	case callUpdate:
		err = c.Update(key, func(old []byte, _ bool) ([]byte, Change) {
			x.got = string(old)
			return []byte(x.arg), Store
		})
	}
	return err
}

// linear reports whether the calls have an order that explains their results and that keeps calls
// in order if one ended before the other began (Wing and Gong 1993).
func linear(calls []call) bool {
	type state struct {
		done  uint32
		value string
	}
	seen := map[state]bool{}
	var search func(s state) bool
	search = func(s state) bool {
		if bits.OnesCount32(s.done) == len(calls) {
			return true
		}
		if seen[s] {
			return false
		}
		seen[s] = true
		firstEnd := int64(1) << 62
		for i := range calls {
			if s.done>>i&1 == 0 {
				firstEnd = min(firstEnd, calls[i].end)
			}
		}
		for i := range calls {
			if s.done>>i&1 != 0 || calls[i].begin > firstEnd {
				continue
			}
			if after, right := calls[i].step(s.value); right && search(state{s.done | 1<<i, after}) {
				return true
			}
		}
		return false
	}
	return search(state{})
}

// Calls on a key are linearizable, if the cache evicts nothing.
func TestCallsAreLinearizable(t *testing.T) {
	const goroutines, callsEach = 4, 5
	rounds := 1000
	if testing.Short() {
		rounds = 200
	}
	c := open(t, Options{MaxBytes: 4 << 20}, 1)
	var clock atomic.Int64
	for round := range rounds {
		key := fmt.Sprint("key", round%100)
		c.Delete(key)
		calls := make([]call, goroutines*callsEach)
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for i := range callsEach {
					x := &calls[g*callsEach+i]
					*x = call{what: r.IntN(numCalls), arg: fmt.Sprint(g*callsEach + i + 1), old: fmt.Sprint(r.IntN(len(calls)) + 1)}
					if x.what == callSwap && i > 0 {
						x.old = calls[g*callsEach+r.IntN(i)].arg // a value that was set
					}
					x.begin = clock.Add(1)
					err := x.do(c, key)
					if x.end = clock.Add(1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if !linear(calls) {
			t.Fatalf("no order explains %+v", calls)
		}
	}
}

// The search finds histories that no order explains.
func TestHistoriesThatAreNotLinear(t *testing.T) {
	for name, calls := range map[string][]call{
		"stale":  {{begin: 1, end: 2, arg: "a"}, {begin: 3, end: 4, arg: "b"}, {begin: 5, end: 6, what: callGet, got: "a", ok: true}},
		"future": {{begin: 1, end: 2, what: callGet, got: "a", ok: true}, {begin: 3, end: 4, arg: "a"}},
		"lost":   {{begin: 1, end: 4, what: callUpdate, arg: "a"}, {begin: 2, end: 3, what: callUpdate, arg: "b"}},
		"twice": {
			{begin: 1, end: 2, arg: "a"},
			{begin: 3, end: 6, what: callDelete, ok: true},
			{begin: 4, end: 5, what: callDelete, ok: true},
		},
	} {
		if linear(calls) {
			t.Errorf("%s: an order explains it", name)
		}
	}
	if !linear([]call{{begin: 1, end: 4, arg: "a"}, {begin: 2, end: 3, what: callGet}}) {
		t.Error("calls at the same time have no order")
	}
}
