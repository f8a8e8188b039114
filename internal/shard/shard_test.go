package shard

import (
	"runtime"
	"sync"
	"testing"

	"github.com/galloc-go/galloc/internal/engine"
)

type sum struct{ n, m uint64 }

// counter is the use that the package comment shows.
type counter struct{ table Table[sum] }

//go:noinline
//go:nosplit
func (c *counter) add(n uint64) {
	if s := c.table.Of(engine.ProcID()); s != nil {
		s.n += n
		s.m += n
		return
	}
	c.addSlow(n)
}

func (c *counter) addSlow(n uint64) {
	if s := c.table.Lock(); s != nil {
		s.n += n
		s.m += n
		c.table.Unlock(s)
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

// hammer adds 1 n times from each of 16 goroutines, while others allocate, so that the collector stops the world often.
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

// What Take is given nobody else changes: so n and m, which a section changes one after the other, are equal, and what is taken and what is
// left add up.
func TestTakeIsExclusive(t *testing.T) {
	c := new(counter)
	const each = 50_000
	stop := make(chan struct{})
	var taken uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c.table.Take(func(s *sum) {
				n, m := s.n, s.m
				if n != m {
					t.Errorf("taken in the middle of a section: %d and %d", n, m)
				}
				for range 100 {
					if s.n != n {
						t.Error("somebody else changes what is taken")
						return
					}
				}
				taken += n
				s.n, s.m = 0, 0
			})
			select {
			case <-stop:
				return
			default:
				runtime.Gosched() // some systems stop no goroutine
			}
		}
	})
	hammer(c, each)
	close(stop)
	wg.Wait()
	n, _ := c.total()
	if taken+n != 16*each {
		t.Errorf("taken %d, left %d, want %d together", taken, n, 16*each)
	}
}

// The shard that belongs to no P counts too, and Take and Each find it.
func TestSharedShard(t *testing.T) {
	c := new(counter)
	s := c.table.Shared()
	s.n += 5
	c.table.Unlock(s)
	if n, _ := c.total(); n != 5 {
		t.Errorf("Each finds %d", n)
	}
	c.table.Take(func(s *sum) { s.n -= 2 })
	if n, _ := c.total(); n != 3 {
		t.Errorf("%d after Take", n)
	}
}

// Shards are used again after Take, and neither Take nor what follows it makes new ones.
func TestShardsAreUsedAgain(t *testing.T) {
	c := new(counter)
	for i := range uint64(100) {
		c.add(1)
		var taken uint64
		if c.table.Take(func(s *sum) { taken += s.n }); taken != i+1 {
			t.Fatalf("Take has found %d of %d", taken, i+1)
		}
	}
	if have := len(c.table.all); have > runtime.GOMAXPROCS(0) {
		t.Errorf("%d shards for %d Ps", have, runtime.GOMAXPROCS(0))
	}
	if n, _ := c.total(); n != 100 {
		t.Errorf("total %d", n)
	}
}

// Take makes no garbage, since a Limit calls it where memory is short.
func TestThereIsRoomForAllShards(t *testing.T) {
	c := new(counter)
	for p := range 40 {
		c.table.fill(p)
		if room := cap(c.table.spare) - len(c.table.spare); room < p+1 {
			t.Fatalf("room for %d shards of %d", room, p+1)
		}
	}
	n := 0
	if c.table.Take(func(*sum) { n++ }); n != 41 { // and the shared one
		t.Errorf("%d shards were taken", n)
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
