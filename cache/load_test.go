package cache

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestGetOrLoad(t *testing.T) {
	c := open(t, Options{MaxBytes: 2 << 20}, 0)
	calls := 0
	load := func(_ context.Context, key string) ([]byte, error) {
		if calls++; calls < 3 {
			return nil, errors.New("not yet")
		}
		return []byte("value of " + key), nil
	}
	for range 2 {
		if _, err := c.GetOrLoad(t.Context(), nil, "k", load); err == nil || err.Error() != "not yet" || c.Has("k") {
			t.Errorf("%v", err)
		}
	}
	for range 3 {
		if v, err := c.GetOrLoad(t.Context(), []byte("the "), "k", load); string(v) != "the value of k" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	}
	if s := c.Stats(); calls != 3 || s.Hits != 2 || s.Misses != 3 {
		t.Errorf("%d calls: %+v", calls, s)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.GetOrLoad(ended, nil, "other", load); !errors.Is(err, context.Canceled) || calls != 3 {
		t.Errorf("%v", err)
	}
	// A value for which there is no room is returned all the same.
	long := make([]byte, 4<<20)
	if v, err := c.GetOrLoad(t.Context(), nil, "long", func(context.Context, string) ([]byte, error) { return long, nil }); err != nil || len(v) != len(long) {
		t.Errorf("%d bytes, %v", len(v), err)
	}
}

// One loader runs for a key, and the others wait for it, or until their contexts end.
func TestOneLoaderForAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{MaxBytes: 2 << 20}, 0)
		var running, calls atomic.Int64
		load := func(context.Context, string) ([]byte, error) {
			calls.Add(1)
			if running.Add(1) != 1 {
				t.Error("two loaders run")
			}
			time.Sleep(time.Second)
			running.Add(-1)
			return []byte("v"), nil
		}
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if v, err := c.GetOrLoad(t.Context(), nil, "k", load); string(v) != "v" || err != nil {
					t.Errorf("%q, %v", v, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.GetOrLoad(ctx, nil, "k", load); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		wg.Wait()
		if calls.Load() != 1 || c.c.loads.n.Load() != 0 {
			t.Errorf("%d calls", calls.Load())
		}
	})
}

// If a loader panics, or its context ends, another call goes on.
func TestALoaderMayFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{MaxBytes: 2 << 20}, 0)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_, err := c.GetOrLoad(short, nil, "k", func(ctx context.Context, _ string) ([]byte, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("loading: %w", ctx.Err())
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}()
		synctest.Wait()
		go func() {
			defer func() {
				if recover() != "bad" {
					t.Error("no panic")
				}
			}()
			c.GetOrLoad(t.Context(), nil, "k", func(context.Context, string) ([]byte, error) {
				time.Sleep(time.Second)
				panic("bad")
			})
		}()
		synctest.Wait()
		time.Sleep(1500 * time.Millisecond)
		v, err := c.GetOrLoad(t.Context(), nil, "k", func(context.Context, string) ([]byte, error) { return []byte("v"), nil })
		if string(v) != "v" || err != nil {
			t.Errorf("%q, %v", v, err)
		}
	})
}

// A value that is set or deleted while a loader runs is not replaced by an older one.
func TestALoadBecomesStale(t *testing.T) {
	for name, change := range map[string]func(c *Text){
		"old":   func(c *Text) { c.Set("other", nil) },
		"new":   func(c *Text) { c.Set("k", []byte("new")) },
		"none":  func(c *Text) { c.Delete("k") },
		"clear": func(c *Text) { c.Clear() },
	} {
		c := open(t, Options{MaxBytes: 2 << 20}, 0)
		v, err := c.GetOrLoad(t.Context(), nil, "k", func(context.Context, string) ([]byte, error) {
			change(c)
			return []byte("old"), nil
		})
		if string(v) != "old" || err != nil {
			t.Errorf("%s: %q, %v", name, v, err)
		}
		if v, _ := c.Get(nil, "k"); string(v) != name && len(name) == 3 || c.Has("k") != (len(name) == 3) {
			t.Errorf("%s: %q is left", name, v)
		}
	}
}
