package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/memcheck"
)

// A model is a cache and what is known about it: the values that were set, except the ones for
// which OnRemove was called.
type model struct {
	t      testing.TB
	c      *Text
	clock  time.Time
	values map[string]expected
	steps  int
	slides bool
}

type expected struct {
	value    []byte
	deadline time.Time // or zero
	ttl      time.Duration
}

// newModel returns a model of a cache with these options, without an OnRemove or a clock.
func newModel(t testing.TB, o Options, shards int) *model {
	m := &model{t: t, clock: time.Unix(1000, 0), values: map[string]expected{}, slides: o.Sliding}
	o.Now = func() time.Time { return m.clock }
	o.OnRemove = m.removed
	m.c = open(t, o, shards)
	return m
}

func (m *model) removed(key string, value []byte, why Reason) {
	want, ok := m.values[key]
	if !ok || !bytes.Equal(want.value, value) {
		m.t.Fatalf("%v: %q with %d bytes; want %d, %v", why, key, len(value), len(want.value), ok)
	}
	if expired := m.expired(want); why == Expired != expired && why != Cleared && why != Evicted {
		m.t.Fatalf("%v: %q, expired %v", why, key, expired)
	}
	delete(m.values, string([]byte(key)))
}

func (m *model) expired(x expected) bool { return !x.deadline.IsZero() && !m.clock.Before(x.deadline) }

// step makes one call, chosen by what, for key k with a value of n bytes, and checks its result.
func (m *model) step(what, k, n int) {
	key := fmt.Sprintf("key-%d", k)
	if k%7 == 0 {
		key = key[:k%5]
	}
	switch what % 20 {
	case 0, 1, 2, 3, 4, 5:
		x := expected{value: modelValue(k, n)}
		if what%20 >= 4 {
			x.ttl = time.Duration(1+n%977*31%977) * time.Duration(n%3*1000+1) * time.Millisecond
			x.deadline = m.clock.Add(x.ttl)
		}
		// OnRemove reports the old value in the call.
		err := m.c.SetWithTTL(key, x.value, x.ttl)
		if err != nil && !errors.Is(err, galloc.ErrOutOfMemory) && !errors.Is(err, ErrTooLarge) {
			m.t.Fatalf("Set: %v", err)
		}
		if errors.Is(err, ErrTooLarge) && n < 16<<10 {
			m.t.Fatalf("%d bytes: %v", n, err)
		}
		if err == nil {
			if old, ok := m.values[key]; ok {
				m.t.Fatalf("%q was replaced, and OnRemove not called for %d bytes", key, len(old.value))
			}
			m.values[key] = x
		}
	case 6, 7, 8, 9:
		v, ok := m.c.Get([]byte("buf"), key)
		m.check(key, bytes.TrimPrefix(v, []byte("buf")), ok)
		m.touch(key)
	case 10:
		ok := m.c.View(key, func(v []byte) { m.check(key, v, true) })
		if !ok {
			m.check(key, nil, false)
		}
		m.touch(key)
	case 11:
		if want, ok := m.values[key]; m.c.Has(key) != (ok && !m.expired(want)) {
			m.t.Fatalf("Has(%q) is not %v", key, ok)
		}
	case 12:
		want, ok := m.values[key]
		ok = ok && !m.expired(want)
		if m.c.Delete(key) != ok {
			m.t.Fatalf("Delete(%q) is not %v", key, ok)
		}
	case 13:
		m.clock = m.clock.Add(time.Duration(n) * time.Millisecond)
		if n%2 == 0 {
			m.c.c.expire()
		}
	case 14:
		m.iterate()
	case 15:
		if n%8 == 0 {
			m.c.Clear()
			if len(m.values) != 0 {
				m.t.Fatalf("Clear has left %d entries", len(m.values))
			}
		}
	case 16:
		keys := []string{key}
		for i := range n % 100 {
			keys = append(keys, fmt.Sprintf("key-%d", k+i))
		}
		_, values := m.c.GetMany([]byte("buf"), nil, keys)
		for i, v := range values {
			m.check(keys[i], v, v != nil)
			m.touch(keys[i])
		}
	case 17, 18:
		m.update(key, k, n)
	case 19:
		m.compare(key, k, n)
	}
	if m.steps++; m.steps%16 == 0 || m.c.c.heap == nil {
		m.c.c.verifyLimit(m.t)
	}
	if n := m.c.Len(); n != len(m.values) {
		m.t.Fatalf("%d entries, want %d", n, len(m.values))
	}
}

// modelValue returns a value of n bytes.
func modelValue(k, n int) []byte {
	value := make([]byte, n)
	for i := range value {
		value[i] = byte(k + n + i)
	}
	return value
}

// touch is a use of key, which renews a TTL that slides.
func (m *model) touch(key string) {
	if x, ok := m.values[key]; m.slides && ok && x.ttl > 0 && !m.expired(x) {
		x.deadline = m.clock.Add(x.ttl)
		m.values[key] = x
	}
}

// update calls Update with a function that appends to the value, deletes it, or leaves it.
func (m *model) update(key string, k, n int) {
	m.touch(key)
	before, there := m.values[key]
	there = there && !m.expired(before)
	after, change, calls := expected{}, Change(n%3), 0
	f := func(old []byte, ok bool) ([]byte, Change) {
		if calls++; calls == 1 {
			m.check(key, old, ok)
		} else if ok {
			m.t.Fatalf("Update calls its function %d times", calls)
		}
		if ok {
			after = before
		} else {
			after = expected{}
		}
		if after.value = append(bytes.Clone(old), modelValue(k, n)...); len(after.value) > 5000 {
			after.value = old[:len(old)/2]
		}
		after.value = bytes.Clone(after.value)
		return after.value, change
	}
	var err error
	if ttl := time.Duration(n%5-1) * time.Minute; k%2 == 0 {
		err = m.c.Update(key, f)
	} else {
		err = m.c.UpdateWithTTL(key, ttl, f)
		after.ttl, after.deadline = ttl, time.Time{}
		if ttl > 0 {
			after.deadline = m.clock.Add(ttl)
		} else if ttl < 0 && change == Store {
			change = Remove
		}
	}
	if err != nil && (!errors.Is(err, galloc.ErrOutOfMemory) || change != Store) {
		m.t.Fatalf("Update: %v", err)
	}
	now, still := m.values[key]
	still = still && !m.expired(now)
	switch {
	case err != nil:
	case change == Store && still || change == Remove && still || change == Keep && still != there:
		m.t.Fatalf("%q: change %d; present %v, before %v, after %d calls", key, change, still, there, calls)
	case change == Store:
		m.values[key] = after
	}
}

// compare calls CompareAndSwap or CompareAndDelete.
func (m *model) compare(key string, k, n int) {
	m.touch(key)
	x, there := m.values[key]
	there = there && !m.expired(x)
	old := bytes.Clone(x.value)
	if n%4 == 0 {
		old = append(old, 'x')
	}
	if n%3 == 0 {
		if m.c.CompareAndDelete(key, old) != (there && n%4 != 0) {
			m.t.Fatalf("CompareAndDelete(%q) is wrong", key)
		}
		return
	}
	x.value = modelValue(k, n)
	swapped, err := m.c.CompareAndSwap(key, old, x.value)
	if _, still := m.values[key]; !still && !swapped {
		there = false // it was evicted for the new value
	}
	if swapped != (there && n%4 != 0 && err == nil) || err != nil && !errors.Is(err, galloc.ErrOutOfMemory) &&
		!errors.Is(err, ErrTooLarge) {
		m.t.Fatalf("CompareAndSwap(%q): %v, %v", key, swapped, err)
	}
	if swapped {
		m.values[key] = x
	}
}

func (m *model) check(key string, v []byte, ok bool) {
	want, there := m.values[key]
	there = there && !m.expired(want)
	if ok != there || ok && !bytes.Equal(v, want.value) {
		m.t.Fatalf("%q: %d bytes, %v; want %d, %v", key, len(v), ok, len(want.value), there)
	}
}

func (m *model) iterate() {
	seen := map[string]bool{}
	for key, v := range m.c.All() {
		m.check(key, v, true)
		if seen[key] {
			m.t.Fatalf("%q is visited twice", key)
		}
		seen[string([]byte(key))] = true
	}
	for key, x := range m.values {
		if !m.expired(x) && !seen[key] {
			m.t.Fatalf("%q is not visited", key)
		}
	}
}

// configurations are caches that differ in how they run out of room.
var configurations = map[string]func(t testing.TB) (Options, int){
	"heap":    func(testing.TB) (Options, int) { return Options{MaxBytes: 5 << 18}, 4 },
	"entries": func(testing.TB) (Options, int) { return Options{MaxBytes: 2 << 20, MaxEntries: 37}, 2 },
	"one":     func(testing.TB) (Options, int) { return Options{MaxBytes: 2 << 20, MaxEntries: 1}, 2 },
	"sliding": func(testing.TB) (Options, int) { return Options{MaxBytes: 5 << 18, Sliding: true}, 2 },
	"cost": func(testing.TB) (Options, int) {
		cost := func(key string, value []byte) int64 { return int64(len(value)%7) - 1 }
		return Options{MaxBytes: 2 << 20, MaxCost: 100, Cost: cost}, 4
	},
	"system": func(t testing.TB) (Options, int) {
		return Options{MaxBytes: 96 << 10, Allocator: tracked(t)}, 2
	},
	"checked": func(t testing.TB) (Options, int) {
		a := memcheck.New(galloc.System, memcheck.Options{OnMisuse: func(r *memcheck.Report) { t.Error(r) }})
		t.Cleanup(func() {
			a.CheckAll()
			a.CheckLeaks(t)
		})
		return Options{MaxBytes: 96 << 10, Allocator: a}, 2
	},
	"failing": func(t testing.TB) (Options, int) {
		a := alloctest.Fail(tracked(t))
		o := Options{MaxBytes: 256 << 10, Allocator: a}
		a.SetFaults(alloctest.Fault(func(call uint64, l galloc.Layout) bool { return call > 10 && call%3 == 0 }))
		return o, 2
	},
}

// tracked returns an allocator whose blocks must be free when the test ends.
func tracked(t testing.TB) *alloctest.Tracker {
	a := alloctest.Track(galloc.System)
	t.Cleanup(func() {
		if len(a.Live()) != 0 || len(a.Misuses()) != 0 {
			t.Errorf("%d blocks are left: %v", len(a.Live()), a.Misuses())
		}
	})
	return a
}

func TestModel(t *testing.T) {
	steps := 6000
	if testing.Short() {
		steps = 2000
	}
	for name, o := range configurations {
		t.Run(name, func(t *testing.T) {
			for _, keys := range []int{10, 2000} {
				options, shards := o(t)
				m, r := newModel(t, options, shards), rand.New(rand.NewPCG(1, 2))
				for i := range steps {
					n := r.IntN(1 << r.IntN(11))
					if r.IntN(100) == 0 {
						n *= 100
					}
					what := r.IntN(20)
					if (what == 14 || what == 15) && r.IntN(100) > 0 {
						what = r.IntN(8)
					}
					if m.step(what, r.IntN(keys), n); i%2000 == 0 {
						m.c.c.verify(t)
					}
				}
				m.c.c.verify(t)
			}
		})
	}
}

// FuzzModel takes 4 bytes for a step, after one for the configuration.
func FuzzModel(f *testing.F) {
	for i := range len(configurations) {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		b := []byte{byte(i)}
		for range 300 {
			b = append(b, byte(r.IntN(256)), byte(r.IntN(20)))
			b = binary.LittleEndian.AppendUint16(b, uint16(r.IntN(1<<(2+r.IntN(14)))))
		}
		f.Add(b)
	}
	names := []string{"heap", "entries", "one", "cost", "system", "checked", "failing", "sliding"}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 20_000 {
			return
		}
		o, shards := configurations[names[int(data[0])%len(names)]](t)
		m := newModel(t, o, shards)
		for b := data[1:]; len(b) >= 4; b = b[4:] {
			m.step(int(b[0]), int(b[1]), int(binary.LittleEndian.Uint16(b[2:])))
		}
		m.c.c.verify(t)
	})
}
