package memlimit

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// A shrinker is a registered consumer.
type shrinker struct {
	free  func(want uint64) uint64
	busy  bool // a call has not returned
	stats ShrinkerStats
}

// Register adds a consumer of memory: a cache, a pool. When memory is short, free is called with
// the number of bytes that are wanted, and returns the number of bytes that it has freed. Consumers
// with a lower priority are called first, and each for what the others before it have not freed.
// The name appears in the [Snapshot].
//
// The Governor calls free in a new goroutine, without a lock, one call at a time for each
// consumer. So free may lock what the program holds while it allocates, and it may allocate. After
// a second, the Governor goes on without it, and does not call it again until it has returned. A
// panic in free is recovered and appears in the Snapshot, and free is not called again, since it
// may have left its locks locked.
//
// The returned function removes the consumer; a call of free may still be running.
//
// Register panics if free is nil.
func (g *Governor) Register(name string, priority int, free func(want uint64) uint64) (unregister func()) {
	if free == nil {
		panic("galloc/memlimit: Register of " + name + " without a function")
	}
	s := &shrinker{free: free, stats: ShrinkerStats{Name: name, Priority: priority}}
	g.mu.Lock()
	defer g.mu.Unlock()
	i := len(g.shrinkers)
	for i > 0 && g.shrinkers[i-1].stats.Priority > priority {
		i--
	}
	g.shrinkers = slices.Insert(g.shrinkers, i, s)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if i := slices.Index(g.shrinkers, s); i >= 0 {
			g.shrinkers = slices.Delete(g.shrinkers, i, i+1)
		}
	}
}

// patience is how long a round waits for a consumer, and Reclaim for a round.
const patience = time.Second

// A round asks the consumers one after another. There is one at a time.
type round struct {
	done chan struct{}
	want uint64

	mu    sync.Mutex
	freed uint64
}

func (r *round) add(n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.freed += min(n, less(unlimited, r.freed))
}

func (r *round) total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.freed
}

// Reclaim asks the consumers for n bytes, and returns the number of bytes that they say they have
// freed, which may be less or more. For programs that are about to allocate n bytes, or could not.
// If consumers are being asked already, Reclaim waits for them first.
//
// The caller may hold locks that a consumer takes, or be a consumer: Reclaim waits for at most a
// second, and then returns what has been freed so far. But that second is lost, so it is better
// called without such locks.
func (g *Governor) Reclaim(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	end := g.from.after(patience)
	freed := uint64(0)
	for range 2 {
		r := g.ask(less(n, freed))
		if r == nil {
			break
		}
		select {
		case <-r.done:
			freed += r.total()
		case <-end:
			return freed + r.total()
		}
		if freed >= n {
			break
		}
	}
	return freed
}

// Retry calls allocate, which allocates about n bytes. If it fails, the Governor looks at the
// figures, which may raise the limits of the heap. As long as it still fails, consumers are asked
// for n bytes, then for twice as many, and so on, since more than the limit may be in use after it
// was lowered; and allocate is called again. If they free nothing twice in a row, or after ten
// times, the last error is returned. See [Governor.Reclaim] about locks.
func Retry[T any](g *Governor, n uint64, allocate func() (T, error)) (T, error) {
	v, err := allocate()
	if err != nil {
		g.Update()
		v, err = allocate()
	}
	want := max(n, 1)
	for fruitless, times := 0, 0; err != nil && fruitless < 2 && times < 10; times++ {
		if g.Reclaim(want) == 0 {
			fruitless++ // but others may have freed something
		} else {
			fruitless = 0
		}
		want = min(2*want, unlimited)
		v, err = allocate()
	}
	return v, err
}

// ask starts a round for want bytes, unless one is running, and returns the round. It returns nil
// if g is closed.
func (g *Governor) ask(want uint64) *round {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	if g.round == nil {
		r := &round{done: make(chan struct{}), want: want}
		g.round = r
		g.snapshot.Rounds++
		g.from.run(func() { g.runRound(r) })
	}
	return g.round
}

// runRound runs r: it releases the unused memory of the global heap, then asks the consumers, and
// releases what they have freed.
func (g *Governor) runRound(r *round) {
	defer func() {
		g.mu.Lock()
		g.round = nil
		g.mu.Unlock()
		close(r.done)
	}()
	r.add(g.trim())
	g.mu.Lock()
	all := slices.Clone(g.shrinkers)
	g.mu.Unlock()
	asked := false
	for _, s := range all {
		want := less(r.want, r.total())
		if want == 0 {
			break
		}
		asked = g.call(s, want, r) || asked
	}
	if asked {
		g.trim()
	}
}

// trim releases the unused memory of the global heap.
func (g *Governor) trim() uint64 {
	n := g.from.trim()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.snapshot.Trims++
	g.snapshot.Trimmed += n
	return n
}

// call calls a consumer, unless a call of it has not returned. It waits until the call returns or
// patience ends, and reports whether it has called.
func (g *Governor) call(s *shrinker, want uint64, r *round) bool {
	g.mu.Lock()
	if s.busy || s.stats.Panic != "" || g.closed {
		g.mu.Unlock()
		return false
	}
	s.busy = true
	s.stats.Calls++
	s.stats.Asked += want
	g.mu.Unlock()

	returned := make(chan struct{})
	go func() {
		n, failure := uint64(0), "runtime.Goexit"
		defer func() {
			if v := recover(); v != nil {
				failure = fmt.Sprint(v)
			}
			g.mu.Lock()
			s.busy = false
			s.stats.Freed += n
			s.stats.Panic = failure
			g.mu.Unlock()
			r.add(n)
			close(returned)
		}()
		n = s.free(want)
		failure = ""
	}()
	select {
	case <-returned:
	case <-g.from.after(patience):
		g.mu.Lock()
		s.stats.Late++
		g.mu.Unlock()
	}
	return true
}
