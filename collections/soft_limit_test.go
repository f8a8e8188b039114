package collections_test

import (
	"cmp"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
)

// A cache evicts from itself in OnSoftLimit, under its mutex, while its goroutine changes it. The
// collection is as consistent as if any other goroutine had done it, whatever allocation called.
func TestACacheMayEvictFromItselfInOnSoftLimit(t *testing.T) {
	const soft, hard = 2 << 20, 8 << 20
	type cache struct {
		put   func(i int) error // under the mutex, as are the others
		evict func()
		check func() bool
		free  func()
	}
	text := func(i int) string { return strconv.Itoa(i) + " has a value of some length, and a length" }
	for name, newCache := range map[string]func(a galloc.Allocator) cache{
		"BTree": func(a galloc.Allocator) cache {
			b := collections.NewBTree[int, [6]int](a)
			return cache{
				put: func(i int) error { return b.TryPut(int(int64(i)*7919%1_000_003), [6]int{i}) },
				evict: func() {
					n := 0
					b.DeleteFunc(func(int, [6]int) bool { n++; return n%2 == 0 })
				},
				check: func() bool {
					n, last := 0, -1
					for k := range b.All() {
						if cmp.Compare(last, k) >= 0 {
							return false
						}
						n, last = n+1, k
					}
					return n == b.Len()
				},
				free: b.Free,
			}
		},
		"TextMap": func(a galloc.Allocator) cache {
			m := collections.NewTextMap(a)
			return cache{
				put: func(i int) error { return m.TryPut(strconv.Itoa(i), text(i)) },
				evict: func() {
					m.DeleteFunc(func(string, string) bool { return true })
					m.ShrinkToFit()
				},
				check: func() bool {
					n := 0
					for k, v := range m.All() {
						if i, err := strconv.Atoi(k); err != nil || v != text(i) {
							return false
						}
						n++
					}
					return n == m.Len()
				},
				free: m.Free,
			}
		},
		"Vec": func(a galloc.Allocator) cache {
			v := collections.NewVec[[4]int](a)
			return cache{
				put: func(i int) error { return v.TryPush([4]int{i, i, i, i}) },
				evict: func() {
					v.Truncate(v.Len() / 8)
					v.ShrinkToFit()
				},
				check: func() bool {
					for x := range v.Values() {
						if x != [4]int{x[0], x[0], x[0], x[0]} {
							return false
						}
					}
					return true
				},
				free: v.Free,
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mu sync.Mutex
			var c cache
			calls := 0
			h, err := heap.New(heap.Options{
				Decay: -1, Checked: true, SoftLimit: soft, HardLimit: hard,
				OnMisuse: func(m heap.Misuse) { t.Error(m.Error()) },
				OnSoftLimit: func(uintptr) {
					mu.Lock()
					defer mu.Unlock()
					calls++
					c.evict()
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close()
			c = newCache(h)
			put := func(i int) error {
				mu.Lock()
				defer mu.Unlock()
				return c.put(i)
			}
			for i := range 300_000 { // more than fits below the hard limit
				for put(i) != nil { // refused, so OnSoftLimit is called
					runtime.Gosched()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if calls == 0 {
				t.Error("the soft limit was never reached")
			}
			if !c.check() {
				t.Error("the cache is damaged")
			}
			c.free()
			c.evict = func() {} // a call may still be waiting
			if s := h.Stats(); s.Live != 0 {
				t.Errorf("%d bytes are live in the end", s.Live)
			}
		})
	}
}
