package main

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
)

// model is what a shard should be, in the simplest way.
type model struct {
	capacity int
	values   map[string]string
	order    []string // oldest first
}

func (m *model) set(key, value string) {
	if _, known := m.values[key]; !known {
		if len(m.order) == m.capacity {
			delete(m.values, m.order[0])
			m.order = m.order[1:]
		}
		m.order = append(m.order, key)
	}
	m.values[key] = value
}

func newPair(t *testing.T, capacity int) (pair [2]*cache, models []*model) {
	t.Helper()
	for i, newShard := range []func(int) (shard, error){newMapShard, newGlobalTextShard} {
		c, err := newCache(capacity, newShard)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.free)
		pair[i] = c
	}
	pair[1].seed = pair[0].seed // so that the same keys meet in a shard
	n := len(pair[0].shards)
	for range n {
		models = append(models, &model{capacity: (capacity + n - 1) / n, values: map[string]string{}})
	}
	return pair, models
}

func TestBothKeepWhatTheModelKeeps(t *testing.T) {
	for _, capacity := range []int{1, 2, 500, 5000} {
		t.Run(fmt.Sprint(capacity), func(t *testing.T) {
			pair, models := newPair(t, capacity)
			if want := max(capacity/1250, 1); len(models) != want {
				t.Fatalf("%d shards, not %d", len(models), want)
			}
			random := rand.New(rand.NewPCG(uint64(capacity), 1))
			text := newLoad(1).text
			check := func(key string) {
				t.Helper()
				m := models[maphash.String(pair[0].seed, key)%uint64(len(models))]
				want, known := m.values[key]
				for _, c := range pair {
					got, ok := c.get([]byte("before "), []byte(key))
					if ok != known || string(got) != "before "+want {
						t.Fatalf("%T has %q, %v for %q; it should be %q, %v", c.shards[0], got, ok, key, want, known)
					}
				}
			}
			for range 20 * max(capacity, 100) {
				// Of different lengths.
				key := fmt.Sprintf("%0*d", random.IntN(5), random.IntN(capacity*2+1))
				if random.IntN(3) > 0 {
					at, n := random.IntN(1000), random.IntN(300)
					if random.IntN(1000) == 0 {
						n = 1 << 15
					}
					value := string(text[at : at+n])
					models[maphash.String(pair[0].seed, key)%uint64(len(models))].set(key, value)
					for _, c := range pair {
						buffers := []byte(key + value)
						if err := c.set(buffers[:len(key)], buffers[len(key):]); err != nil {
							t.Fatal(err)
						}
						clear(buffers) // the cache must have copies
					}
				}
				check(key)
			}
			size := 0
			for _, m := range models {
				size += len(m.values)
				for key := range m.values {
					check(key)
				}
			}
			if pair[0].size() != size || pair[1].size() != size {
				t.Errorf("sizes %d and %d, not %d", pair[0].size(), pair[1].size(), size)
			}
		})
	}
}

func onAllocator(a galloc.Allocator) func(int) (shard, error) {
	return func(capacity int) (shard, error) { return newTextShard(a, capacity) }
}

// Whichever allocation fails, the entry is not there, all others are as they were, and nothing is
// left at the end.
func TestFailingAllocationsChangeNothing(t *testing.T) {
	seed := maphash.MakeSeed() // so that each time the same keys meet
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
		// Two shards: one can be made, and the other fail.
		c, err := newCache(2*minShardSize, onAllocator(a))
		if err != nil {
			return err
		}
		defer c.free()
		c.seed = seed
		l := newLoad(1)
		var key []byte
		for user := range uint64(20) {
			key = appendKey(key[:0], user%15)
			before, had := c.get(nil, key)
			if err := c.set(key, l.value(user)); err != nil {
				if after, has := c.get(nil, key); has != had || string(after) != string(before) {
					t.Errorf("after an error, %q has %q, %v; before, it had %q, %v", key, after, has, before, had)
				}
				if n := c.size(); n != int(min(user, 15)) {
					t.Errorf("%d entries after %d, and an error", n, user)
				}
				return err
			}
		}
		for user := range uint64(15) {
			key = appendKey(key[:0], user)
			last := user
			if user < 5 {
				last += 15 // its value was replaced
			}
			if v, ok := c.get(nil, key); !ok || string(v) != string(l.value(last)) {
				t.Errorf("%q has %q, %v", key, v, ok)
			}
		}
		// A TextMap that gets no memory makes room by moving its records, if there are unused ones.
		if f := a.(*alloctest.Failer); f.Failures() > 0 {
			return galloc.ErrOutOfMemory
		}
		return nil
	})
}

func TestALimitIsAnErrorAndTheCacheGoesOn(t *testing.T) {
	h, err := heap.New(heap.Options{HardLimit: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := newCache(10_000_000, onAllocator(h)); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("an empty cache that is too large: %v", err)
	}
	c, err := newCache(20_000, onAllocator(h))
	if err != nil {
		t.Fatal(err)
	}
	l := newLoad(1)
	n := uint64(0)
	for err == nil && n < 20_000 {
		if err = c.set(appendKey(nil, n), l.value(n)); err == nil {
			n++
		}
	}
	if !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%v after %d entries", err, n)
	}
	for user := range n {
		if v, ok := c.get(nil, appendKey(nil, user)); !ok || string(v) != string(l.value(user)) {
			t.Fatalf("%d of %d has %q, %v", user, n, v, ok)
		}
	}
	if err := c.set(appendKey(nil, 0), nil); err != nil { // short keys and values still fit
		t.Error(err)
	}
	c.free()
	if s := h.Stats(); s.LiveBlocks != 0 {
		t.Errorf("%d blocks are left, of %d bytes", s.LiveBlocks, s.Live)
	}
}

func TestTextShardCostsNoGoMemory(t *testing.T) {
	c, err := newCache(100, newGlobalTextShard)
	if err != nil {
		t.Fatal(err)
	}
	defer c.free()
	l := newLoad(1)
	user := uint64(0)
	var key, value []byte
	step := func() {
		user++
		key = appendKey(key[:0], user)
		if err := c.set(key, l.value(user)); err != nil {
			t.Fatal(err)
		}
		if value, _ = c.get(value[:0], key); len(value) == 0 {
			t.Fatal("not there")
		}
	}
	for range 10_000 {
		step()
	}
	if n := testing.AllocsPerRun(1000, step); n != 0 {
		t.Errorf("%v allocations on the Go heap for an insertion and a look-up", n)
	}
}

// Values are found whole, even while they are replaced. That is so if they are copied while nobody
// can replace them, which the race detector is the better judge of.
func TestReplacedValuesAreFoundWhole(t *testing.T) {
	pair, _ := newPair(t, 1)
	for _, c := range pair {
		key, n := []byte("key"), 20_000
		var replacing sync.WaitGroup
		replacing.Go(func() {
			for i := range n {
				if err := c.set(key, bytes.Repeat([]byte{byte(i)}, maxValue)); err != nil {
					t.Error(err)
				}
			}
		})
		var value []byte
		for range n {
			value, _ = c.get(value[:0], key)
			if len(value) > 0 && bytes.Count(value, value[:1]) != maxValue {
				t.Errorf("%T has %q", c.shards[0], value)
				break
			}
		}
		replacing.Wait()
	}
}

// needThreads skips a test of goroutines that wait for each other where there is one thread.
func needThreads(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("this platform has one thread")
	}
}

func TestTheLoadFindsWhatItInserts(t *testing.T) {
	needThreads(t)
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			const n = 5000
			c, err := newCache(n, k.shard)
			if err != nil {
				t.Fatal(err)
			}
			defer c.free()
			l := newLoad(7)
			if _, err := l.fill(c, n, new(atomic.Int64)); err != nil {
				t.Fatal(err)
			}
			v, err := l.serve(c, n, spec{Seconds: .2, Rate: 10_000, Garbage: 100})
			if err != nil {
				t.Fatal(err)
			}
			if v.wrong != 0 || v.inserts.n == 0 || v.lookups.n == 0 || v.hits < v.lookups.n*9/10 {
				t.Errorf("%d look-ups, of which %d found something, of which %d was wrong; %d insertions",
					v.lookups.n, v.hits, v.wrong, v.inserts.n)
			}
		})
	}
}

// lying is a shard that always has the same value.
type lying struct{ shard }

func (lying) get(dst, _ []byte) ([]byte, bool) { return append(dst, "not what was inserted"...), true }
func (lying) set(_, _ []byte) error            { return nil }

func TestTheLoadNoticesWrongValues(t *testing.T) {
	needThreads(t)
	v, err := newLoad(1).serve(&cache{[]shard{lying{}}, maphash.MakeSeed()}, 1000, spec{Seconds: .05, Rate: 10_000})
	if err != nil || v.wrong != v.lookups.n {
		t.Errorf("%d of %d were noticed; %v", v.wrong, v.lookups.n, err)
	}
}

// slow is a shard that stands still once.
type slow struct {
	lying
	calls *int
}

const standstill = 30 * time.Millisecond

func (s slow) get(dst, _ []byte) ([]byte, bool) {
	if *s.calls++; *s.calls == 10 {
		for start := time.Now(); time.Since(start) < standstill; {
		}
	}
	return dst, false
}

// A stop of the process counts as every look-up that was due during it.
func TestLookUpsThatHadToWaitCount(t *testing.T) {
	needThreads(t)
	v, err := newLoad(
		1).serve(&cache{[]shard{slow{calls: new(int)}}, maphash.MakeSeed()}, 1000, spec{Seconds: .5, Rate: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	waited := uint64(0)
	for i, n := range v.responses.counts {
		if last(i) >= standstill/2 {
			waited += n
		}
	}
	if v.lookups.max < standstill || waited < 100 {
		t.Errorf("the longest look-up took %v, and %d have waited for %v or more", v.lookups.max, waited, standstill/2)
	}
}
