package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// Goroutines that change the same keys lose no change, by all methods that change in one step.
func TestChangesAreOneStep(t *testing.T) {
	const keys, goroutines = 4, 8
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	c := open(t, Options{MaxBytes: 2 << 20, TTL: time.Hour}, 2)
	typed, err := New(OptionsOf[int, [3]int]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 4))
			for range rounds {
				key := r.IntN(keys)
				err := c.Update(fmt.Sprint(key), func(old []byte, ok bool) ([]byte, Change) {
					n := uint64(1)
					if ok {
						n += binary.LittleEndian.Uint64(old)
					}
					return binary.LittleEndian.AppendUint64(nil, n), Store
				})
				if err != nil {
					t.Error(err)
				}
				increment(t, typed, -1-key, r.IntN(2) == 0)
			}
		})
	}
	wg.Wait()
	sum, typedSum := uint64(0), 0
	for key := range keys {
		v, ok := c.Get(nil, fmt.Sprint(key))
		if !ok {
			t.Fatalf("key %d is absent", key)
		}
		sum += binary.LittleEndian.Uint64(v)
		w, _ := typed.Get(-1 - key)
		typedSum += w[1]
	}
	if want := goroutines * rounds; int(sum) != want || typedSum != want {
		t.Errorf("%d and %d changes are left of %d", sum, typedSum, want)
	}
}

// increment adds one to the value of key.
func increment(t *testing.T, c *Cache[int, [3]int], key int, swap bool) {
	if !swap {
		if err := c.Update(key, func(old [3]int, _ bool) ([3]int, Change) {
			old[1]++
			return old, Store
		}); err != nil {
			t.Error(err)
		}
		return
	}
	for {
		old, ok := c.Get(key)
		if !ok {
			if err := c.Update(key, func(old [3]int, ok bool) ([3]int, Change) {
				if ok {
					return old, Keep
				}
				return old, Store
			}); err != nil {
				t.Error(err)
			}
			continue
		}
		if swapped, err := c.CompareAndSwap(key, old, [3]int{0, old[1] + 1}); swapped || err != nil {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}

// If the entry changes while the function of an Update runs, the function runs again.
func TestAnUpdateBeginsAgain(t *testing.T) {
	c := open(t, Options{MaxBytes: 2 << 20, TTL: time.Hour}, 1)
	for name, change := range map[string]func(){
		"set":    func() { c.Set("k", []byte("new")) },
		"same":   func() { c.Set("k", []byte("old")) },
		"delete": func() { c.Delete("k") },
		"clear":  func() { c.Clear() },
		"again":  func() { c.Delete("k"); c.Set("k", []byte("old")) },
		"update": func() {
			c.Update("k", func([]byte, bool) ([]byte, Change) { return nil, Remove })
		},
	} {
		for _, present := range []bool{true, false} {
			for _, do := range []Change{Store, Remove} {
				c.Clear()
				if present {
					c.Set("k", []byte("old"))
				}
				calls := 0
				var last string
				err := c.Update("k", func(old []byte, ok bool) ([]byte, Change) {
					if calls++; calls == 1 {
						change()
					}
					last = fmt.Sprint(string(old), ok)
					return []byte("updated"), do
				})
				v, ok := c.Get(nil, "k")
				unchanged := !present && (name == "delete" || name == "clear" || name == "update")
				if want := 2; err != nil || calls != want && !unchanged && (present || do == Store) || unchanged && calls != 1 {
					t.Errorf("%s, present %v, change %d: %d calls, %v", name, present, do, calls, err)
				}
				if ok && do == Remove && (present || last != "false") || do == Store && string(v) != "updated" {
					t.Errorf("%s, present %v, change %d: %q is left", name, present, do, v)
				}
			}
		}
	}
	// Keep changes nothing, whatever others do at the same time.
	c.Set("k", []byte("old"))
	c.Update("k", func([]byte, bool) ([]byte, Change) { c.Set("k", []byte("new")); return nil, Keep })
	if v, _ := c.Get(nil, "k"); string(v) != "new" {
		t.Errorf("%q is left", v)
	}
}

func TestUpdatesAndTTLs(t *testing.T) {
	now := time.Unix(0, 0)
	c := open(t, Options{MaxBytes: 2 << 20, TTL: time.Minute, Now: func() time.Time { return now }}, 1)
	store := func([]byte, bool) ([]byte, Change) { return []byte("v"), Store }
	c.Update("new", store)
	c.SetWithTTL("old", nil, time.Hour)
	c.Update("old", store)
	c.SetWithTTL("forever", nil, 0)
	c.Update("forever", store)
	c.UpdateWithTTL("day", 24*time.Hour, store)
	c.SetWithTTL("swapped", nil, time.Hour)
	if ok, err := c.CompareAndSwap("swapped", nil, []byte("v")); !ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	c.Set("negative", nil)
	c.UpdateWithTTL("negative", math.MinInt64, store)
	for _, x := range []struct {
		after time.Duration
		want  string
	}{
		{0, "new old forever day swapped"},
		{time.Minute, "old forever day swapped"},
		{time.Hour, "forever day"},
		{24 * time.Hour, "forever"},
	} {
		now = time.Unix(0, 0).Add(x.after)
		got := ""
		for _, key := range []string{"new", "old", "forever", "day", "swapped", "negative"} {
			if c.Has(key) {
				got += " " + key
			}
		}
		if got != " "+x.want {
			t.Errorf("after %v there are%s, want %s", x.after, got, x.want)
		}
	}
}

// An entry that is used lives on, and one that is not expires, without a look at it in between.
func TestSlidingTTL(t *testing.T) {
	const ttl = 5 * time.Second // entries that are due are used while they are in the lowest level
	now := time.Unix(0, 0)
	removed := map[string]time.Duration{}
	c := open(t, Options{MaxBytes: 2 << 20, Sliding: true, TTL: ttl, Now: func() time.Time { return now }, OnRemove: func(key string, _ []byte, why Reason) {
		removed[string([]byte(key))] = now.Sub(time.Unix(0, 0))
	}}, 1)
	uses := map[string]func(){
		"Get":     func() { c.Get(nil, "Get") },
		"View":    func() { c.View("View", func([]byte) {}) },
		"GetMany": func() { c.GetMany(nil, nil, []string{"GetMany"}) },
		"Update":  func() { c.Update("Update", func([]byte, bool) ([]byte, Change) { return nil, Keep }) },
		"Store":   func() { c.Update("Store", func(old []byte, _ bool) ([]byte, Change) { return old, Store }) },
		"load":    func() { c.GetOrLoad(t.Context(), nil, "load", nil) },
		"swap":    func() { c.CompareAndSwap("swap", nil, []byte("v")) },
		"Has":     func() { c.Has("Has") },
		"Range":   func() { c.Range(func(string, []byte) bool { return true }) },
		"none":    func() {},
	}
	for key := range uses {
		c.Set(key, nil)
	}
	c.SetWithTTL("long", nil, math.MaxInt64)
	c.SetWithTTL("forever", nil, 0)
	for range 40 {
		now = now.Add(time.Second)
		for _, use := range uses {
			use()
		}
		c.Get(nil, "long")
		c.c.expire()
		c.c.verify(t)
	}
	used := now.Sub(time.Unix(0, 0))
	now = now.Add(ttl + 1<<tickBits)
	c.c.expire()
	for key := range uses {
		want := used + ttl
		if key == "Has" || key == "Range" || key == "none" {
			want = ttl
		}
		if at := removed[key]; at < want || at > want+time.Second {
			t.Errorf("%s was removed after %v, want %v", key, at, want)
		}
	}
	if !c.Has("long") || !c.Has("forever") || c.Len() != 2 {
		t.Errorf("%d entries are left", c.Len())
	}
}

func TestGetMany(t *testing.T) {
	c := open(t, Options{MaxBytes: 4 << 20}, 8)
	typed, err := New(OptionsOf[int, int]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer typed.Close()
	var keys []string
	var byteKeys [][]byte
	var numbers []int
	for i := range 300 {
		keys, byteKeys, numbers = append(keys, fmt.Sprint(i)), append(byteKeys, fmt.Append(nil, i)), append(numbers, i)
		if i%3 != 0 {
			c.Set(keys[i], valueOf(i, i*20)[:max(0, i-1)])
			typed.Set(i, -i)
		}
	}
	keys, byteKeys, numbers = append(keys, "7"), append(byteKeys, []byte("7")), append(numbers, 7)
	buf, values := c.GetMany([]byte("buf"), [][]byte{nil}, keys)
	_, other := c.GetManyBytes(nil, nil, byteKeys)
	ints, found := typed.GetMany([]int{1}, nil, numbers)
	if len(values) != 1+len(keys) || len(other) != len(keys) || len(ints) != 1+len(keys) || len(found) != len(keys) {
		t.Fatalf("%d, %d, %d and %d values of %d", len(values), len(other), len(ints), len(found), len(keys))
	}
	sum := 3
	for j, key := range numbers {
		v, ok := values[j+1], key%3 != 0
		if (v != nil) != ok || string(v) != string(other[j]) || found[j] != ok || ok && ints[j+1] != -key || !ok && ints[j+1] != 0 {
			t.Errorf("%d: %d bytes, %d", key, len(v), ints[j+1])
		}
		if want := valueOf(key, key*20)[:max(0, key-1)]; ok && string(v) != string(want) || cap(v) != len(v) {
			t.Errorf("%d: a wrong value of %d bytes", key, len(v))
		}
		sum += len(v)
	}
	if s := c.Stats(); len(buf) != sum || string(buf[:3]) != "buf" || s.Hits != 402 || s.Misses != 200 {
		t.Errorf("%d bytes, want %d: %+v", len(buf), sum, s)
	}
	c.Close()
	if _, values := c.GetMany(nil, nil, keys); len(values) != len(keys) || values[1] != nil {
		t.Error("there are values after Close")
	}
	if err := c.Update("k", nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if _, err := c.CompareAndSwap("k", nil, nil); !errors.Is(err, ErrClosed) || c.CompareAndDelete("k", nil) {
		t.Error(err)
	}
}

func TestTypedCompare(t *testing.T) {
	c, err := New(OptionsOf[int8, place]{MaxBytes: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Set(1, place{1, 0})
	zero := place{1, math.Copysign(0, -1)}
	if ok, err := c.CompareAndSwap(1, zero, place{2, 2}); !ok || err != nil {
		t.Errorf("%v, %v: values are equal by ==", ok, err)
	}
	if ok, err := c.CompareAndSwap(1, zero, place{3, 3}); ok || err != nil || c.CompareAndDelete(1, zero) || c.CompareAndDelete(2, zero) {
		t.Errorf("%v, %v: other values", ok, err)
	}
	if err := c.UpdateWithTTL(1, -1, func(p place, ok bool) (place, Change) { return p, Store }); err != nil || c.Has(1) {
		t.Errorf("%v: a negative TTL does not delete", err)
	}
	c.Set(1, place{2, 2})
	if !c.CompareAndDelete(1, place{2, 2}) || c.Has(1) {
		t.Error("CompareAndDelete")
	}
}
