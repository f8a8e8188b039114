package wrap

import (
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/percpu"
)

// sum returns the right side of the equation in the comment of budget.
func (b *budget) sum(used int64) (all int64, credits int) {
	all = used + b.free.Load()
	b.table.Each(func(k *credit) {
		if k.left != 0 {
			credits++
		}
		all += int64(k.left)
	})
	return all, credits
}

func needCredits(t *testing.T) {
	if percpu.Limit() == 0 {
		t.Skip("there are no sections, and so no credits")
	}
}

// A goroutine that gets credit for its P, but is on another P after it has made a shard for the
// first, returns the credit. To cause this, the test stops the goroutine where it makes the shard,
// until its P is gone.
func TestCreditForAPThatWasLeftIsGivenBack(t *testing.T) {
	needCredits(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const limit, n = 64 << 20, 100
	given, back := 0, 0
	for range 200 {
		runtime.GOMAXPROCS(2) // from here on this goroutine is on P 0
		b := new(budget)
		b.set(limit)
		full := b.free.Load()
		var done sync.WaitGroup
		b.table.Each(func(*credit) { // holds the table, once: there is only the shared shard
			done.Go(func() {
				if !b.reserve(n) {
					t.Error("not reserved")
				}
			})
			// Wait until it has taken its credit; no yield, so that it runs on the other P.
			for b.free.Load() >= full-n {
			}
			for range 10_000 { // mostly until it waits for the table
				b.free.Load()
			}
			runtime.GOMAXPROCS(1)
		})
		done.Wait()
		all, credits := b.sum(n)
		if all != limit {
			t.Fatalf("%d bytes of %d are left, with %d credits", all, limit, credits)
		}
		if credits == 0 {
			back++
		} else {
			given++
		}
		if b.used() != n {
			t.Fatalf("%d bytes are used", b.used())
		}
		if b.release(n); b.used() != 0 {
			t.Fatalf("%d bytes are used in the end", b.used())
		}
		if back > 5 {
			return
		}
	}
	if back == 0 {
		t.Errorf("of %d goroutines none has been moved", given)
	}
}

// A P never has more than the maximum credit, also for blocks of a heap, and gets none near the
// limit, for a while.
func TestCreditsAreSmall(t *testing.T) {
	needCredits(t)
	h, err := heap.New(heap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	w := Limit(h, 4<<20)
	l := layoutOf(64, 8)
	var blocks []unsafe.Pointer
	for range 20_000 {
		blocks = append(blocks, w.Alloc(l))
	}
	for _, p := range blocks {
		w.Dealloc(p, l)
	}
	credits := 0
	w.b.table.Each(func(k *credit) {
		if k.left > 0 {
			credits++
		}
		if m := uint64(w.b.creditMax.Load()); k.left > m || k.max > m || m > maxCredit {
			t.Errorf("a credit of %d bytes, of %d, with a maximum of %d", k.left, k.max, m)
		}
	})
	if credits == 0 {
		t.Error("there are no credits")
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // keeps this goroutine on the P with the credit
	if w.b.table.Lock() != nil {                    // makes a shard, unless there is one
		t.Fatal("a P that the table has no room for")
	}
	if _, ok := w.b.trySet(credit{left: 900, max: 1000}); !ok {
		t.Fatal("the credit was not set")
	}
	w.b.tight.Store(tightFor) // so that the credit is not adjusted
	free := w.b.free.Load()
	for _, c := range []struct {
		what string
		do   func()
		want int64 // the change of free
	}{
		{"100 bytes returned to a credit of 900", func() { w.b.release(100) }, 0},
		{"1 byte returned to a full credit", func() { w.b.release(1) }, 1},
		{"1000 bytes of a credit of 1000", func() { w.b.reserve(1000) }, 1},
		{"1 byte without credit", func() { w.b.reserve(1) }, 0},
	} {
		if c.do(); w.b.free.Load()-free != c.want {
			t.Errorf("%s: free has changed by %d, want %d", c.what, w.b.free.Load()-free, c.want)
		}
	}
	p := w.Alloc(l) // the same in the section that also changes the cache of the heap
	w.b.trySet(credit{left: 1000, max: 1000})
	w.Dealloc(p, l)
	w.b.table.Each(func(k *credit) {
		if k.left > k.max {
			t.Errorf("a credit of %d bytes, of %d", k.left, k.max)
		}
	})
	w.b.takeBack()
	w.b.free.Store(4 << 20)
	near := 4<<20 - uintptr(w.b.creditMax.Load())
	if !w.b.reserve(near) || w.b.reserve(4<<20) {
		t.Fatal("not all free bytes, or more")
	}
	if w.b.tight.Load() != tightFor {
		t.Errorf("the limit was met, and is taken for near for %d calls", w.b.tight.Load())
	}
	w.b.tight.Store(0)
	w.b.reserve(100)
	if _, credits := w.b.sum(0); credits != 0 {
		t.Error("a credit near the limit")
	}
}

// While goroutines reserve and release, and the number of Ps changes, no byte is lost and none is
// added.
func TestBudgetAddsUp(t *testing.T) {
	needCredits(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, limit := range []uintptr{100 << 10, 1 << 20, 64 << 20} {
		b := new(budget)
		b.set(limit)
		var wg sync.WaitGroup
		for g := range uintptr(16) {
			wg.Go(func() {
				var mine []uintptr
				for i := range uintptr(3000) {
					n := 1 + (i*i*7+g*131)%5000
					if b.reserve(n) {
						mine = append(mine, n)
					}
					if len(mine) > 20 || i%3 == 0 && len(mine) > 0 {
						b.release(mine[0])
						mine = mine[1:]
					}
					if i%500 == g {
						b.used()
						runtime.Gosched()
					}
				}
				for _, n := range mine {
					b.release(n)
				}
			})
		}
		for n := range 20 {
			runtime.GOMAXPROCS(1 + n%4)
		}
		wg.Wait()
		if all, credits := b.sum(0); all != int64(limit) {
			t.Errorf("%d bytes of %d are left, with %d credits", all, limit, credits)
		}
		b.table.Each(func(k *credit) {
			if k.left > k.max || k.max > maxCredit {
				t.Errorf("a credit of %d bytes, of %d", k.left, k.max)
			}
		})
		if !b.reserve(limit) || b.reserve(1) {
			t.Errorf("not all of %d bytes are available, or more", limit)
		}
	}
}
