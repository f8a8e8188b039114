package memlimit

import (
	"errors"
	"testing"

	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/engine"
)

// The limits of the real heap are set and removed, and limits of the program are kept.
func TestTheLimitsOfAHeap(t *testing.T) {
	h, _ := bridge.GlobalHeap().(*engine.Heap)
	if h == nil {
		t.Skip("GALLOC chooses another allocator")
	}
	l := &heapLimits{h: h}
	state := func() [2]uintptr {
		soft, hard := h.Limit()
		return [2]uintptr{soft, hard}
	}
	if soft, hard := h.Limit(); soft != 0 || hard != 0 {
		t.Skip("GALLOC sets limits")
	}
	l.set(0, 0, nil)
	l.set(gib, 0, func() {})
	if state() != [2]uintptr{uintptr(gib), 0} {
		t.Error(state())
	}
	l.set(2*minSoft, 3*minSoft, func() {})
	l.set(0, 0, nil)
	if state() != [2]uintptr{} {
		t.Error(state())
	}
	l.set(gib, 0, func() {})
	h.SetLimit(100*minSoft, 200*minSoft, nil) // by the program
	l.set(0, 0, nil)
	l.set(2*minSoft, 3*minSoft, func() {})
	if state() != [2]uintptr{100 * minSoft, 200 * minSoft} {
		t.Error(state())
	}
	h.SetLimit(0, 0, nil)
}

func TestLeastLimit(t *testing.T) {
	provider := func(n uint64, err error) func() (uint64, error) {
		return func() (uint64, error) { return n, err }
	}
	lost := errors.New("lost")
	for _, c := range []struct {
		o      Options
		n      uint64
		source string
	}{
		{Options{}, 16 * gib, "/proc/meminfo"},
		{Options{Limit: gib}, gib, "Options.Limit"},
		{Options{Limit: 32 * gib}, 16 * gib, "/proc/meminfo"},
		{Options{Provider: provider(gib, nil)}, gib, "Options.Provider"},
		{Options{Provider: provider(gib, nil), Limit: mib}, mib, "Options.Limit"},
		{Options{Provider: provider(0, lost), Limit: mib}, 0, ""},
	} {
		sys, err := newSystem(tree("proc/meminfo", meminfo))
		if err != nil {
			t.Fatal(err)
		}
		n, source, err := leastLimit(sys, c.o)
		if err == nil && (n != c.n || source != c.source) || err != nil && c.n != 0 {
			t.Errorf("%+v: %d of %s, %v", c.o, n, source, err)
		}
	}
	sys, _ := newSystem(tree())
	if n, source, err := leastLimit(sys, Options{Limit: gib}); n != gib || source != "Options.Limit" || err != nil {
		t.Error(n, source, err)
	}
	if _, _, err := leastLimit(sys, Options{}); err != errNoLimit {
		t.Error(err)
	}
}

func TestAvailable(t *testing.T) {
	sys, err := newSystem(tree("proc/meminfo", meminfo, "proc/self/status", "RssAnon: 2097152 kB\n"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := available(sys, gib, func(f *figures) { f.goTotal = gib / 2 })
	if n != 16*gib-gib-gib/2 || err != nil {
		t.Error(n, err)
	}
}
