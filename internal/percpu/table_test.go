package percpu

import (
	"runtime"
	"sync"
	"testing"
)

type sum struct{ n, m uint64 }

// counter is the use that the comment of Table shows.
type counter struct{ table Table[sum] }

//go:noinline
//go:nosplit
func (c *counter) add(n uint64) {
	if v := c.table.Of(ID()); v != nil {
		v.n += n
		v.m += n
		return
	}
	c.addSlow(n)
}

func (c *counter) addSlow(n uint64) {
	if v := c.table.Lock(); v != nil {
		v.n += n
		v.m += n
		c.table.Unlock(v)
		return
	}
	c.add(n)
}

func (c *counter) total() (n, m uint64) {
	c.table.Each(func(s *sum) {
		n += Load(&s.n)
		m += Load(&s.m)
	})
	return n, m
}

// hammer adds 1 n times from each of 16 goroutines.
func hammer(c *counter, n int) {
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range n {
				c.add(1)
				if i%1000 == g {
					runtime.Gosched()
				}
			}
		})
	}
	wg.Wait()
}

func TestNothingIsLost(t *testing.T) {
	c := new(counter)
	const each = 50_000
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC() // stops the world
			}
		}
	})
	hammer(c, each)
	close(stop)
	wg.Wait()
	if n, m := c.total(); n != 16*each || m != n {
		t.Errorf("total %d and %d, want %d", n, m, 16*each)
	}
}

// While Drain calls f, no section changes a value: n and m, which a section changes one after the
// other, are equal, and no number is lost.
func TestDrainIsExclusive(t *testing.T) {
	c := new(counter)
	const each = 50_000
	stop := make(chan struct{})
	var drained uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c.table.Drain(func(s *sum) {
				n, m := s.n, s.m
				if n != m {
					t.Errorf("drained in the middle of a section: %d and %d", n, m)
				}
				for range 100 {
					if s.n != n {
						t.Error("a section changes a value that was drained")
						return
					}
				}
				drained += n
				s.n, s.m = 0, 0
			})
			select {
			case <-stop:
				return
			default:
				runtime.Gosched() // some systems do not preempt
			}
		}
	})
	hammer(c, each)
	close(stop)
	wg.Wait()
	n, _ := c.total()
	if drained+n != 16*each {
		t.Errorf("drained %d, left %d, want %d together", drained, n, 16*each)
	}
}

// Each and Drain find the value that belongs to no P, too.
func TestSharedValue(t *testing.T) {
	c := new(counter)
	s := c.table.LockShared()
	s.n += 5
	c.table.Unlock(s)
	if n, _ := c.total(); n != 5 {
		t.Errorf("Each finds %d, want 5", n)
	}
	c.table.Drain(func(s *sum) { s.n -= 2 })
	if n, _ := c.total(); n != 3 {
		t.Errorf("%d after Drain, want 3", n)
	}
}

// The table uses values again after Drain, and makes no new ones.
func TestValuesAreUsedAgain(t *testing.T) {
	c := new(counter)
	for i := range uint64(100) {
		c.add(1)
		var taken uint64
		if c.table.Drain(func(s *sum) { taken += s.n }); taken != i+1 {
			t.Fatalf("Drain has found %d of %d", taken, i+1)
		}
	}
	if have := len(c.table.all); have > runtime.GOMAXPROCS(0) {
		t.Errorf("%d values for %d Ps", have, runtime.GOMAXPROCS(0))
	}
	if n, _ := c.total(); n != 100 {
		t.Errorf("total %d", n)
	}
}

// Drain makes no garbage, since a limiter calls it when memory is short.
func TestDrainDoesNotAllocate(t *testing.T) {
	c := new(counter)
	for p := range 40 {
		c.table.add(p)
		if room := cap(c.table.spare) - len(c.table.spare); room < p+1 {
			t.Fatalf("room for %d values of %d", room, p+1)
		}
	}
	n := 0
	if c.table.Drain(func(*sum) { n++ }); n != 41 { // with the shared one
		t.Errorf("%d values were drained, want 41", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	c := new(counter)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.add(1)
		}
	})
}
