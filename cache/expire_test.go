package cache

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Each entry is removed at its deadline, no earlier, and by the end of its tick.
func TestExpiry(t *testing.T) {
	now := time.Unix(0, 0)
	removed := map[string]time.Duration{}
	start := now
	c := open(t, Options{MaxBytes: 4 << 20, Now: func() time.Time { return now }, OnRemove: func(key string, _ []byte, why Reason) {
		if why != Expired {
			t.Errorf("%q was %v", key, why)
		}
		removed[string([]byte(key))] = now.Sub(start)
	}}, 2)
	r := rand.New(rand.NewPCG(5, 6))
	var ttls []time.Duration
	for i := range 2000 {
		ttl := time.Duration(1 + r.Int64N(1<<(1+r.IntN(62))))
		if i < 3 {
			ttl = math.MaxInt64 - time.Duration(i)
		}
		ttls = append(ttls, ttl)
		if err := c.SetWithTTL(fmt.Sprint(i), []byte("v"), ttl); err != nil {
			t.Fatal(err)
		}
	}
	c.c.verify(t)
	sorted := slices.Clone(ttls)
	slices.Sort(sorted)
	at := time.Duration(0)
	for i, ttl := range sorted {
		if i%3 != 0 || ttl > math.MaxInt64-time.Hour {
			continue // several are due at once
		}
		at = ttl
		now = start.Add(at)
		c.c.expire()
		if i%300 == 0 {
			c.c.verify(t)
		}
		for k, ttl := range ttls {
			key := fmt.Sprint(k)
			when, gone := removed[key]
			if gone && when < ttl || !gone && ttl <= at-1<<tickBits || c.Has(key) != (ttl > at) {
				t.Fatalf("entry with TTL %v at %v: removed %v at %v, present %v", ttl, at, gone, when, c.Has(key))
			}
			if i%300 != 0 && k > 20 {
				break
			}
		}
	}
}

// Expired entries leave without a call of the cache, a second later, and the timer stops.
func TestExpiredEntriesLeaveByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{MaxBytes: 2 << 20, TTL: 90 * time.Second}, 0)
		const n = 2000
		for i := range n {
			if err := c.Set(fmt.Sprint(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.SetWithTTL("k", nil, 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(89 * time.Second)
		synctest.Wait()
		if s := c.Stats(); c.Len() != n+1 || s.Expired != 0 || !c.Has("7") {
			t.Errorf("before: %+v", s)
		}
		time.Sleep(2*time.Second + 300*time.Millisecond)
		synctest.Wait()
		if s := c.Stats(); c.Len() != 1 || s.Expired != n || c.Has("7") || !c.Has("k") {
			t.Errorf("after: %+v", s)
		}
		if c.c.sweeper.armed {
			t.Error("the timer runs without entries")
		}
		c.SetWithTTL("other", nil, time.Millisecond)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if c.Len() != 1 || c.c.sweeper.armed {
			t.Error("the timer does not start again")
		}
		c.SetWithTTL("other", nil, time.Hour)
		c.Close() // the bubble fails if a timer or a goroutine is left
	})
}

// An expired entry makes room before another is evicted.
func TestExpiredEntriesAreEvictedFirst(t *testing.T) {
	now := time.Unix(0, 0)
	c := open(t, Options{MaxBytes: 2 << 20, MaxEntries: 100, Now: func() time.Time { return now }}, 1)
	for i := range 100 {
		c.SetWithTTL(fmt.Sprint(i), nil, time.Duration(i%2)*time.Minute)
	}
	now = now.Add(2 * time.Minute)
	for i := range 50 {
		c.Set(fmt.Sprint("new", i), nil)
	}
	if s := c.Stats(); s.Evicted != 0 || s.Expired != 50 || s.Entries != 100 {
		t.Errorf("%+v", s)
	}
}
