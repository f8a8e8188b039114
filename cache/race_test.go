package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
)

// valueOf returns a value that its key and length determine, so that a mixture is noticed.
func valueOf(k, n int) []byte {
	v := make([]byte, 4+n)
	binary.LittleEndian.PutUint32(v, uint32(k))
	copy(v[4:], bytes.Repeat([]byte{byte(k) + byte(n)}, n))
	return v
}

func isValue(k int, v []byte) bool {
	if len(v) < 4 || binary.LittleEndian.Uint32(v) != uint32(k) {
		return false
	}
	n := len(v) - 4
	return bytes.Count(v[4:], []byte{byte(k) + byte(n)}) == n
}

// Many goroutines use a cache. The limit holds at every moment, and each value is whole.
func TestManyGoroutines(t *testing.T) {
	calls := 3000
	if testing.Short() {
		calls = 500
	}
	for name, o := range map[string]Options{
		"heap":    {MaxBytes: 3 << 19, TTL: 20 * time.Millisecond},
		"system":  {MaxBytes: 200 << 10, Allocator: galloc.System},
		"entries": {MaxBytes: 2 << 20, MaxEntries: 10},
	} {
		t.Run(name, func(t *testing.T) {
			var removed atomic.Int64
			o.OnRemove = func(key string, v []byte, _ Reason) {
				var k int
				if fmt.Sscan(key, &k); !isValue(k, v) {
					t.Errorf("%q is removed with a wrong value", key)
				}
				removed.Add(1)
			}
			c := open(t, o, 4)
			stop := make(chan struct{})
			var watch, wg sync.WaitGroup
			watch.Go(func() {
				for {
					c.c.verifyLimit(t)
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Microsecond):
					}
				}
			})
			for g := range 16 {
				wg.Go(func() { hammer(t, c, rand.New(rand.NewPCG(uint64(g), 1)), calls) })
			}
			wg.Wait()
			close(stop)
			watch.Wait()
			c.c.verify(t)
			s := c.Stats()
			if n := int64(s.Evicted + s.Expired + s.Deleted + s.Replaced + s.Cleared); n != removed.Load() {
				t.Errorf("OnRemove was called %d times for %d entries", removed.Load(), n)
			}
			if s.Sets != s.Evicted+s.Expired+s.Deleted+s.Replaced+s.Cleared+uint64(s.Entries) {
				t.Errorf("entries are lost: %+v", s)
			}
		})
	}
}

func hammer(t *testing.T, c *Text, r *rand.Rand, calls int) {
	var buf []byte
	check := func(k int, v []byte, ok bool) {
		if ok && !isValue(k, v) {
			t.Errorf("key %d has a wrong value", k)
		}
	}
	for i := range calls {
		k := r.IntN(1 << r.IntN(12))
		key := fmt.Sprint(k)
		switch r.IntN(13) {
		case 0, 1, 2:
			if err := c.Set(key, valueOf(k, r.IntN(1<<r.IntN(14)))); err != nil && !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Error(err)
			}
		case 3:
			c.Delete(key)
		case 4:
			c.View(key, func(v []byte) { check(k, v, true) })
		case 5:
			v, err := c.GetOrLoad(t.Context(), buf[:0], key, func(context.Context, string) ([]byte, error) { return valueOf(k, k%1000), nil })
			check(k, v, true)
			if err != nil {
				t.Error(err)
			}
		case 6:
			if i%200 == 0 {
				for key, v := range c.All() {
					fmt.Sscan(key, &k)
					check(k, v, true)
				}
			} else if i%500 == 1 {
				c.Clear()
			}
		case 7:
			_, values := c.GetMany(nil, nil, []string{key, key, fmt.Sprint(k + 1)})
			check(k, values[0], values[0] != nil)
			check(k, values[1], values[1] != nil)
			check(k+1, values[2], values[2] != nil)
		case 8:
			if err := c.Update(key, func(old []byte, ok bool) ([]byte, Change) {
				check(k, old, ok)
				return valueOf(k, r.IntN(1<<r.IntN(14))), Change(r.IntN(3))
			}); err != nil && !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Error(err)
			}
		case 9:
			if _, err := c.CompareAndSwap(key, buf, valueOf(k, 5)); err != nil && !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Error(err)
			}
		default:
			var ok bool
			buf, ok = c.Get(buf[:0], key)
			check(k, buf, ok)
		}
	}
}

// Close waits for calls, and later ones find nothing.
func TestCloseWhileInUse(t *testing.T) {
	for i := range 20 {
		o := Options{MaxBytes: 2 << 20, TTL: time.Millisecond}
		if i%2 == 0 {
			o.Allocator = tracked(t)
		}
		c := open(t, o, 2)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), uint64(i)))
				for {
					k := r.IntN(1000)
					err := c.Set(fmt.Sprint(k), valueOf(k, r.IntN(5000)))
					c.View(fmt.Sprint(r.IntN(100)), func(v []byte) { _ = v[len(v)-1] })
					c.Get(nil, fmt.Sprint(r.IntN(1000)))
					c.Stats()
					if errors.Is(err, ErrClosed) {
						return
					}
					runtime.Gosched() // some systems do not preempt
				}
			})
		}
		time.Sleep(time.Duration(i) * 100 * time.Microsecond)
		c.Close()
		wg.Wait()
	}
}

// The entries that stay are visited exactly once, while the table grows and shrinks.
func TestRangeWhileTheTableChanges(t *testing.T) {
	c := open(t, Options{MaxBytes: 32 << 20}, 1)
	const n = 1000
	for i := range n {
		c.Set(fmt.Sprint("stays", i), nil)
	}
	seen, visits, other := map[string]int{}, 0, 0
	for key := range c.All() {
		if key[0] == 's' {
			seen[string([]byte(key))]++
		}
		switch visits++; {
		case visits < 300:
			for range 60 {
				other++
				c.Set(fmt.Sprint(other), nil)
			}
		case other > 0:
			for range 60 {
				c.Delete(fmt.Sprint(other))
				other--
			}
		}
	}
	if len(seen) != n {
		t.Errorf("%d entries of %d were visited", len(seen), n)
	}
	for key, times := range seen {
		if times != 1 {
			t.Errorf("%q was visited %d times", key, times)
		}
	}
	c.c.verify(t)
}
