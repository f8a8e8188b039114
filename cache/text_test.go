package cache

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, c := range []struct {
		o    Options
		says string
	}{
		{Options{}, "MaxBytes 0: set it"},
		{Options{MaxBytes: -1}, "MaxBytes -1"},
		{Options{MaxBytes: 100}, "make it"},
		{Options{MaxBytes: 1 << 20}, "make it"},
		{Options{MaxBytes: 10 << 10, Allocator: galloc.System}, "make it"},
		{Options{MaxBytes: 2 << 20, MaxEntries: -1}, "MaxEntries -1"},
		{Options{MaxBytes: 2 << 20, MaxCost: -1}, "MaxCost -1"},
		{Options{MaxBytes: 2 << 20, MaxCost: 1}, "set both"},
		{Options{MaxBytes: 2 << 20, TTL: -1}, "TTL -1ns"},
		{Options{MaxBytes: 2 << 20, Allocator: galloc.GoHeap}, "garbage collector"},
	} {
		x, err := NewText(c.o)
		if err == nil {
			x.Close()
			t.Errorf("%+v: no error", c.o)
		} else if !strings.HasPrefix(err.Error(), "galloc/cache: ") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %q does not say %q", c.o, err, c.says)
		}
	}
	// The error says a number that suffices.
	_, err := NewText(Options{MaxBytes: 1})
	var had, least int64
	if _, scan := fmt.Sscanf(err.Error(), "galloc/cache: MaxBytes %d: make it %d or more", &had, &least); scan != nil {
		t.Fatal(err, scan)
	}
	x, err := NewText(Options{MaxBytes: least})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if err := x.Set("key", make([]byte, 1000)); err != nil || !x.Has("key") {
		t.Errorf("the least cache has no room: %v", err)
	}
}

func TestKeysInByteSlices(t *testing.T) {
	c := open(t, Options{MaxBytes: 2 << 20}, 0)
	key := []byte("key")
	if err := errors.Join(c.SetBytes(key, []byte("value")), c.SetBytesWithTTL([]byte("other"), nil, time.Hour)); err != nil {
		t.Fatal(err)
	}
	v, ok := c.GetBytes([]byte("a "), key)
	if string(v) != "a value" || !ok || !c.HasBytes(key) || !c.ViewBytes(key, func(v []byte) {
		if string(v) != "value" || cap(v) != 5 {
			t.Errorf("%q, capacity %d", v, cap(v))
		}
	}) {
		t.Errorf("%q, %v", v, ok)
	}
	if !c.DeleteBytes(key) || c.DeleteBytes(key) || c.HasBytes(key) || c.ViewBytes(key, nil) || !c.Has("other") || c.Len() != 1 {
		t.Error("DeleteBytes")
	}
	if err := c.SetWithTTL("other", nil, -1); err != nil || c.Has("other") {
		t.Error("a negative TTL does not delete")
	}
}

// An entry that can never fit is refused, and nothing is evicted for it. The largest one that may
// fit does, in a cache full of small entries.
func TestEntriesOfAnySize(t *testing.T) {
	for _, o := range []Options{
		{MaxBytes: 1500 << 10},
		{MaxBytes: 12 << 20},
		{MaxBytes: 1 << 20, Allocator: tracked(t)},
	} {
		c := open(t, o, 0)
		for i := range int(o.MaxBytes) / 150 {
			if err := c.Set(fmt.Sprint(i), make([]byte, i%300)); err != nil {
				t.Fatal(err)
			}
		}
		n := c.Len()
		size := c.c.largest // of the largest value, with a short key
		for c.c.fits(1, int(size), 0) != nil {
			size -= 64
		}
		for _, size := range []int64{o.MaxBytes + 1, o.MaxBytes, size + 64} {
			if err := c.Set("k", make([]byte, size)); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		if err := c.Set(strings.Repeat("k", maxKey+1), nil); !errors.Is(err, ErrTooLarge) || c.Len() != n {
			t.Errorf("%v; %d entries, before %d", err, c.Len(), n)
		}
		for range 3 {
			if err := c.Set("k", make([]byte, size)); err != nil {
				t.Errorf("%d bytes of %d: %v", size, o.MaxBytes, err)
			}
			if v, ok := c.Get(nil, "k"); !ok || int64(len(v)) != size {
				t.Errorf("%d bytes, %v", len(v), ok)
			}
			c.c.verify(t)
			for i := range 1000 {
				if err := c.Set(fmt.Sprint(i), make([]byte, i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.c.verify(t)
	}
}

// The memory follows the sizes of the entries, and most of it holds them, although a few entries
// that are used often stay all the time.
func TestSizesMayChange(t *testing.T) {
	if percpu.Race {
		t.Skip("it is long, and has one goroutine")
	}
	const limit, hot = 8 << 20, 500
	least := int64(limit / 10 * 7) // mostly 80 % and more, and 76 % in the worst of 23 runs
	if vm.PageSize() > 16<<10 {
		least = limit / 2 // the heap has a few long pages for itself, and others are used in part
	}
	passes := 3
	if testing.Short() {
		passes = 1
	}
	c := open(t, Options{MaxBytes: limit}, 0)
	k := 0
	for _, size := range []int{100, 3000, 20, 60_000, 500} {
		for range passes * limit / (size + 100) {
			k++
			if err := c.SetWithTTL(fmt.Sprint(k), valueOf(k, size/2+k%size), time.Duration(k%2)*time.Hour); err != nil {
				t.Fatal(err)
			}
			if i := k % hot; !c.View(fmt.Sprint("hot", i), func(v []byte) {
				if !isValue(i, v) {
					t.Errorf("the value of %d is wrong", i)
				}
			}) {
				c.SetWithTTL(fmt.Sprint("hot", i), valueOf(i, i), time.Hour)
			}
			if k%64 == 0 {
				c.c.verifyLimit(t)
			}
		}
		c.c.verify(t)
		s := c.Stats()
		if t.Logf("size %d: %d %% are used, %d entries", size, s.Used*100/limit, s.Entries); s.Used < least {
			t.Errorf("size %d: only %d of %d bytes are used: %+v", size, s.Used, limit, s)
		}
		for i := range k {
			if v, ok := c.Get(nil, fmt.Sprint(i)); ok && !isValue(i, v) {
				t.Fatalf("the value of %d is wrong", i)
			}
		}
	}
	if s := c.Stats(); s.Moved < 1000 {
		t.Errorf("only %d entries were moved", s.Moved)
	}
}

// An entry that is being viewed stays in its place, while others move.
func TestViewedEntriesDoNotMove(t *testing.T) {
	const limit = 4 << 20
	c := open(t, Options{MaxBytes: limit}, 2)
	var hot []int
	for k := range limit / 200 {
		if err := c.Set(fmt.Sprint(k), valueOf(k, 100)); err != nil {
			t.Fatal(err)
		}
		if k%20 == 0 {
			hot = append(hot, k)
			for range 3 {
				c.View(fmt.Sprint(k), func([]byte) {})
			}
		}
	}
	views := 0
	var view func()
	view = func() {
		if len(hot) == 0 {
			for k := range 200 {
				if err := c.Set(fmt.Sprint("other", k), valueOf(k, 30_000)); err != nil {
					t.Fatal(err)
				}
			}
			return
		}
		k := hot[0]
		if hot = hot[1:]; !c.View(fmt.Sprint(k), func(v []byte) {
			views++
			if view(); !isValue(k, v) {
				t.Errorf("the value of %d has moved", k)
			}
		}) {
			view()
		}
	}
	view()
	if s := c.Stats(); s.Moved == 0 || views < 100 {
		t.Errorf("%d entries have moved, %d were viewed", s.Moved, views)
	}
}

// A shard may take the memory that the others do not need.
func TestShardsShareOneBudget(t *testing.T) {
	c := open(t, Options{MaxBytes: 2 << 20, Allocator: tracked(t)}, 8)
	for i := 0; i < 100_000; i++ {
		key := fmt.Sprint(i)
		if c.c.shardOf(c.hash(key)) != &c.c.shards[3] {
			continue
		}
		if err := c.Set(key, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Used < s.Limit*9/10 {
		t.Errorf("one shard has only %d of %d bytes", s.Used, s.Limit)
	}
}

// The table grows and shrinks with the entries, a few buckets at a time.
func TestTheTableFollowsTheEntries(t *testing.T) {
	c := open(t, Options{MaxBytes: 64 << 20}, 1)
	const n = 30_000
	for i := range n {
		if err := c.Set(fmt.Sprint(i), nil); err != nil {
			t.Fatal(err)
		}
	}
	table := &c.c.shards[0].table
	longest := 0
	for b := range table.count {
		length := 0
		for r := *table.head(b); r != 0; r = r.entry().chain {
			length++
		}
		longest = max(longest, length)
	}
	if table.count < n || longest > 16 {
		t.Errorf("%d buckets, %d entries in one", table.count, longest)
	}
	full := c.Stats().Table
	for i := range n {
		if !c.Delete(fmt.Sprint(i)) {
			t.Fatal("an entry is missing")
		}
		if i%5000 == 0 {
			c.c.verify(t)
		}
	}
	if s := c.Stats(); s.Table > full/50 || table.count != segmentBuckets {
		t.Errorf("an empty table has %d bytes, a full one %d", s.Table, full)
	}
}

// Each allocation of a few calls fails, alone or with all that follow.
func TestEveryAllocationFails(t *testing.T) {
	run := func(faults ...alloctest.Fault) (calls, failures uint64) {
		a := alloctest.Fail(tracked(t), faults...)
		o := Options{MaxBytes: 128 << 10, Allocator: a}
		c, err := newCore(&o, 2)
		if err != nil {
			if !errors.Is(err, galloc.ErrOutOfMemory) || a.Failures() == 0 {
				t.Errorf("%v, with %d failures", err, a.Failures())
			}
			return a.Calls(), a.Failures()
		}
		x := &Text{c: c}
		for i := range 400 {
			key, value := fmt.Sprint(i%350), make([]byte, i)
			before := a.Failures()
			err := x.SetWithTTL(key, value, time.Duration(i%3)*time.Hour)
			if err != nil && (!errors.Is(err, galloc.ErrOutOfMemory) || a.Failures() == before) {
				t.Errorf("%v, with %d failures", err, a.Failures()-before)
			}
			if i%5 == 0 {
				before := a.Failures()
				if err := x.Update(fmt.Sprint(i/2), func(old []byte, ok bool) ([]byte, Change) {
					return append(bytes.Clone(old), 'v'), Store
				}); err != nil && (!errors.Is(err, galloc.ErrOutOfMemory) || a.Failures() == before) {
					t.Errorf("Update: %v, with %d failures", err, a.Failures()-before)
				}
				continue
			}
			if v, ok := x.Get(nil, key); ok != (err == nil) && err == nil || ok && err == nil && len(v) != i {
				t.Errorf("%q: %d bytes, %v after %v", key, len(v), ok, err)
			}
		}
		c.verify(t)
		x.Close()
		return a.Calls(), a.Failures()
	}
	calls, _ := run()
	if calls < 400 {
		t.Fatalf("only %d allocations", calls)
	}
	for n := range calls {
		if n > 60 && n%7 != 0 {
			continue
		}
		if _, failures := run(alloctest.At(n + 1)); failures != 1 {
			t.Errorf("call %d has not failed", n+1)
		}
		if n%4 == 0 {
			run(alloctest.After(n))
		}
	}
}

// If OnRemove or View panics, the cache remains usable.
func TestPanicsLoseNothing(t *testing.T) {
	bad := false
	o := Options{MaxBytes: 2 << 20, MaxEntries: 4, Allocator: tracked(t), OnRemove: func(string, []byte, Reason) {
		if bad {
			panic("bad")
		}
	}}
	c := open(t, o, 1)
	try := func(f func()) {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
			bad = false
			c.c.verify(t)
		}()
		bad = true
		f()
	}
	for i := range 4 {
		if err := c.Set(fmt.Sprint(i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	try(func() { c.Delete("0") })
	try(func() { c.Set("1", nil) })
	try(func() { c.Clear() })
	c.Set("1", nil)
	try(func() { c.View("1", func([]byte) { panic("bad") }) })
	try(func() { c.Range(func(string, []byte) bool { panic("bad") }) })
	try(func() { c.Update("1", func([]byte, bool) ([]byte, Change) { panic("bad") }) })
	try(func() { c.CompareAndDelete("1", nil) })
}

func TestACallbackMayUseTheCache(t *testing.T) {
	var c *Text
	seen := 0
	c = open(t, Options{MaxBytes: 2 << 20, MaxEntries: 100, OnRemove: func(key string, _ []byte, why Reason) {
		if seen++; why == Deleted {
			return
		}
		c.Delete(key)
		c.Has("0")
	}}, 2)
	for i := range 1000 {
		c.Set(fmt.Sprint(i), []byte{byte(i)})
	}
	c.Set("k", []byte("value"))
	c.View("k", func(v []byte) {
		c.Set("k", []byte("other"))
		c.Clear()
		if string(v) != "value" {
			t.Errorf("the view shows %q", v)
		}
		if s := c.Stats(); s.Unlinked == 0 {
			t.Error("the viewed entry takes no memory")
		}
	})
	if s := c.Stats(); seen != 1002 || s.Unlinked != 0 || s.Entries != 0 || s.Cleared != 99 {
		t.Errorf("%d entries removed: %+v", seen, s)
	}
}

func TestAfterClose(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 20 {
		c, err := NewText(Options{MaxBytes: 2 << 20, TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		c.Set("k", []byte("v"))
		c.Close()
		c.Close()
		if _, ok := c.Get(nil, "k"); ok || c.Has("k") || c.Delete("k") || c.View("k", nil) || c.Len() != 0 {
			t.Error("there is an entry")
		}
		if err := c.Set("k", nil); err != ErrClosed {
			t.Error(err)
		}
		if err := c.SetWithTTL("k", nil, -1); err != ErrClosed {
			t.Error(err)
		}
		if _, err := c.GetOrLoad(t.Context(), nil, "k", nil); err != ErrClosed {
			t.Error(err)
		}
		c.Clear()
		for range c.All() {
			t.Error("there is an entry")
		}
		if s := c.Stats(); s.Entries != 0 || s.Used != 0 {
			t.Errorf("%+v", s)
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 1000 {
			t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNoGoMemory(t *testing.T) {
	c := open(t, Options{MaxBytes: 2 << 20}, 0)
	typed, err := New(OptionsOf[int, [3]int]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	keys, value, buf := make([]string, 5000), bytes.Repeat([]byte("v"), 500), make([]byte, 0, 5000)
	values, ints, numbers, found := make([][]byte, 0, 10), make([]int, 10), make([][3]int, 0, 10), make([]bool, 0, 10)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
		c.Set(keys[i], value)
		typed.Set(i, [3]int{i})
	}
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		i++
		c.Set(keys[i%5000], value)
		c.Get(buf, keys[i%5000])
		c.Get(buf, keys[i*7%5000])
		c.Has(keys[i*3%5000])
		c.Delete(keys[i*11%5000])
		c.Update(keys[i*13%5000], func(old []byte, ok bool) ([]byte, Change) { return value, Store })
		c.CompareAndSwap(keys[i*13%5000], value, value[:8])
		buf, values = c.GetMany(buf[:0], values[:0], keys[:10])
		typed.Update(i, func(old [3]int, ok bool) ([3]int, Change) { old[1]++; return old, Store })
		typed.CompareAndSwap(i, [3]int{0, 1}, [3]int{i})
		numbers, found = typed.GetMany(numbers[:0], found[:0], ints)
		typed.Set(i, [3]int{i})
		typed.Get(i)
		typed.Delete(i / 2)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
