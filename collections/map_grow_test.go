package collections

import (
	"errors"
	"math"
	"math/bits"
	"math/rand/v2"
	"runtime"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// The growth of tables of several buckets, and what is bounded meanwhile.

// withTop runs f with buckets of at most 2^top groups.
func withTop(top uint, f func()) {
	defer func(was uint) { maxTop = was }(maxTop)
	maxTop = top
	f()
}

// failing is an allocator whose allocation number n fails, counted from 0.
type failing struct {
	*alloctest.Tracker
	n int
}

func (a *failing) Allocate(l galloc.Layout) ([]byte, error) {
	if a.n--; a.n == -1 {
		return nil, galloc.ErrOutOfMemory
	}
	return a.Tracker.Allocate(l)
}

// Whichever allocation of a table of several buckets fails, the call reports it, nothing is lost,
// and the same call succeeds afterwards.
func TestEachAllocationOfBucketsFailing(t *testing.T) {
	for i, sub := range subjects {
		for _, top := range []uint{0, 1, 2} {
			withTop(top, func() {
				for n, failed := 0, true; failed; n++ {
					a := &failing{alloctest.Track(galloc.System), n}
					s := sub.make(a)
					m := &modelled{t: t, s: s, model: map[int]int{}}
					failed = false
					try := func(f func() error) {
						err := f()
						if err == nil {
							return
						}
						if failed || a.n >= 0 || !errors.Is(err, galloc.ErrOutOfMemory) {
							t.Fatalf("%s, allocation %d: %v", sub.name, n, err)
						}
						failed = true
						m.checkAll()
						if err := f(); err != nil {
							t.Fatalf("%s, allocation %d, again: %v", sub.name, n, err)
						}
					}
					put := func(from, to int) {
						for k := from; k < to; k++ {
							v := k
							if i == len(subjects)-1 {
								v = 0
							}
							try(func() error { return s.put(k, v) })
							m.model[k] = v
						}
					}
					remove := func(from, to int) {
						for k := from; k < to; k++ {
							s.remove(k)
							delete(m.model, k)
						}
					}
					put(0, 60)
					remove(0, 50)
					try(s.TryShrinkToFit)
					try(func() error { return s.TryReserve(150) })
					for range s.all() {
						put(100, 300) // in and next to the bucket with the iteration
						remove(120, 280)
						break
					}
					try(func() error {
						c, err := s.clone()
						if err == nil {
							c.Free()
						}
						return err
					})
					remove(100, 110)
					try(s.TryShrinkToFit)
					m.checkAll()
					failed = failed || a.n < 0 // it may have failed without an error
					s.Free()
					if len(a.Live())+len(a.Misuses()) != 0 {
						t.Fatal(sub.name, n, a.Live(), a.Misuses())
					}
				}
			})
		}
	}
}

// checkMap reports a broken invariant of m.
func checkMap[K comparable, V any](m *Map[K, V]) error {
	return m.t.check(func(_ uint64, s *slot[K, V]) uint64 { return m.hash(&s.key) })
}

// meter is an allocator that counts bytes.
type meter struct {
	live, peak, largest uintptr
	calls               int
	off                 bool
}

func (a *meter) Allocate(l galloc.Layout) ([]byte, error) {
	if a.off {
		return nil, galloc.ErrOutOfMemory
	}
	a.calls++
	a.live += l.Size()
	a.peak, a.largest = max(a.peak, a.live), max(a.largest, l.Size())
	return galloc.Global.Allocate(l)
}

func (a *meter) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	a.live -= l.Size()
	galloc.Global.Deallocate(p, l)
}

// bytes returns the size of the memory of the table, without what iterations hold, and the size of
// the largest bucket.
func (t *table[S]) bytes() (all, largest uintptr) {
	for i := range max(t.room, 1) {
		if b := t.bucket(i); b.base != nil {
			l, _ := layoutFor[S](b.lg())
			all += l.Size()
			largest = max(largest, l.Size())
		}
	}
	return all + t.room*unsafe.Sizeof(bucket[S]{}), largest
}

// A growing table holds nothing but itself: the buckets, and the directory, of which there are two
// while it is copied. Only a table of one bucket exists twice while it doubles.
func TestPeakWhileGrowing(t *testing.T) {
	a := new(meter)
	m := NewMap[uint64, uint64](a)
	defer m.Free()
	for k := range uint64(200_000) {
		before, _ := m.t.bytes()
		directory := m.t.room
		a.peak = a.live
		m.Put(k, k)
		after, bucket := m.t.bytes()
		most := after + directory*unsafe.Sizeof(m.t.one)
		if m.t.buckets() == 1 {
			most = after
			if after > before {
				most += before
			}
		}
		if a.live != after || a.peak > most {
			t.Fatalf("%d entries: %d bytes live, %d at the peak, the table has %d", k+1, a.live, a.peak, after)
		}
		if float64(a.peak) > 1.25*float64(after) && after > bucket {
			t.Fatalf("%d entries: the peak is %d, the table has %d", k+1, a.peak, after)
		}
	}
	if m.t.buckets() < 32 {
		t.Errorf("%d buckets", m.t.buckets())
	}
	if err := checkMap(m); err != nil {
		t.Error(err)
	}
}

// A Put changes three buckets at most: it splits one and adds an entry to any. It moves half of the
// entries of a bucket, also if the table has been filled to its limit by Reserve, or is a clone.
func TestOnePutChangesFewBuckets(t *testing.T) {
	m := NewMap[uint64, uint64](nil)
	defer func() { m.Free() }()
	step := func(k uint64) {
		type state struct {
			base unsafe.Pointer
			left int32
		}
		var before []state
		for i := range m.t.buckets() {
			before = append(before, state{m.t.bucket(i).base, m.t.bucket(i).left})
		}
		m.Put(k, k)
		changed := int(m.t.buckets()) - len(before)
		for i, s := range before {
			if b := m.t.bucket(uintptr(i)); (state{b.base, b.left}) != s {
				changed++
			}
			if lg := m.t.bucket(uintptr(i)).lg(); lg > 9 {
				t.Fatalf("bucket %d of %d has 2^%d groups", i, len(before), lg)
			}
		}
		if changed > 3 {
			t.Fatalf("%d buckets changed when entry %d was added", changed, k)
		}
	}
	for k := range uint64(40_000) {
		step(k)
	}
	c := m.Clone()
	m.Free()
	m = c
	m.Reserve(60_000)
	for k := range uint64(80_000) {
		step(40_000 + k)
	}
	if err := checkMap(m); err != nil {
		t.Error(err)
	}
}

// An open iteration holds one bucket that was replaced, wherever it stands, and several hold one
// each. Nothing is left when they have ended.
func TestIterationsHoldOneBucketEach(t *testing.T) {
	for _, top := range []uint{10, 2} {
		withTop(top, func() {
			a := new(meter)
			m := NewMap[uint64, uint64](a)
			defer m.Free()
			next := uint64(0)
			grow := func(n int) {
				for range n {
					m.Put(next, next)
					next++
				}
			}
			seen, largest := map[uint64]int{}, uintptr(0)
			var iterate func(depth uintptr)
			iterate = func(depth uintptr) {
				steps := 0
				for k := range m.All() {
					if depth == 1 {
						seen[k]++
					}
					if steps++; steps%500 == 0 && m.Len() < 60_000 {
						grow(3000)
						for k := next - 1500; k < next; k++ { // and leave tombstones
							m.Delete(k)
						}
						if depth < 5 {
							iterate(depth + 1)
						}
					}
					if steps%10 == 0 {
						own, bucket := m.t.bytes()
						largest = max(largest, bucket)
						if a.live < own || a.live-own > depth*largest {
							t.Fatalf("%d iterations hold %d bytes, a bucket has %d", depth, a.live-own, largest)
						}
					}
					if steps > 1200 && depth > 1 {
						return
					}
				}
			}
			grow(5000)
			iterate(1)
			for k, n := range seen {
				if n != 1 {
					t.Fatalf("%d was yielded %d times", k, n)
				}
			}
			if own, _ := m.t.bytes(); a.live != own || m.t.busy() {
				t.Errorf("%d bytes are left in addition to %d", a.live-own, own)
			}
			if err := checkMap(m); err != nil {
				t.Error(err)
			}
		})
	}
}

// Overwriting, deleting and adding during an iteration, without growing, holds one old bucket, of
// the text as much as the table.
func TestChurnDuringAnIterationHoldsOneBucket(t *testing.T) {
	a := new(meter)
	m := NewMap[int, int](a)
	defer m.Free()
	m.Reserve(3000)
	for k := range m.Cap() {
		m.Put(k, k)
	}
	calls, retired := a.calls, 0
	for range m.All() {
		for k := range 40_000 {
			m.Delete(k)
			m.Put(k+m.Cap(), k)
			retired = max(retired, len(m.t.visits.retired))
		}
		break
	}
	own, _ := m.t.bytes()
	if a.calls == calls || retired != 1 || a.live != own || m.t.limit != m.Len() {
		t.Errorf("%d allocations, %d retired buckets at once, %d bytes held, of %d; %d entries", a.calls-calls, retired, a.live, own, m.Len())
	}
}

// If many hashes have the same bits where buckets, groups or tags differ, or all bits, a bucket
// grows alone. The directory and the memory stay in proportion to the entries.
func TestSkewedHashes(t *testing.T) {
	for name, c := range map[string]struct {
		hash func(i uint64) uint64
		n    int
	}{
		"all bits":    {func(uint64) uint64 { return 0x123456789abcdef }, 400},
		"index":       {func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 >> 47 }, 20_000},
		"high bits":   {func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 >> 24 }, 200_000},
		"home":        {func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 << 17 }, 4000},
		"few buckets": {func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 &^ (15 << 18) }, 100_000},
	} {
		a := new(meter)
		tab := table[uint64]{alloc: a}
		hash := func(_ uint64, s *uint64) uint64 { return *s }
		has := func(h uint64) bool {
			b := tab.at(h)
			g := b.home(h)
			for d := uintptr(1); ; d++ {
				grp := b.group(g)
				for x := match(grp.control, b.tags(h)); x != 0; x &= x - 1 {
					if *grp.slot(x.first()) == h {
						return true
					}
				}
				if matchEmpty(grp.control) != 0 {
					return false
				}
				g = (g + d) & uintptr(b.mask)
			}
		}
		for i := range c.n {
			h := c.hash(uint64(i))
			if i == 0 {
				must(tab.start())
			}
			if tab.full(tab.at(h)) {
				must(tab.makeRoom(h, hash))
			}
			*tab.add(tab.at(h), h) = h
		}
		if err := tab.check(hash); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range c.n {
			if !has(c.hash(uint64(i))) {
				t.Fatalf("%s: hash %x is missing", name, c.hash(uint64(i)))
			}
		}
		own, _ := tab.bytes()
		if n := int(tab.buckets()); n > 2*c.n/perBucket(10)+2 || own != a.live || int(own) > 72*c.n+100_000 {
			t.Errorf("%s: %d buckets, %d bytes for %d entries", name, n, own, c.n)
		}
		for left := c.n; left > c.n/20; left-- {
			b, s := tab.any()
			tab.removeSlot(b, s)
		}
		must(tab.shrink(hash))
		if err := tab.check(hash); err != nil {
			t.Errorf("%s: after shrinking, %v", name, err)
		}
		if shrunk, _ := tab.bytes(); shrunk > own/4 {
			t.Errorf("%s: %d bytes after shrinking, %d before", name, shrunk, own)
		}
		tab.free()
		if a.live != 0 {
			t.Errorf("%s: %d bytes are left", name, a.live)
		}
	}
}

// Filling a table in the order of another one with the same seeds makes buckets at most twice as
// large for a while.
func TestFillingInTheOrderOfAClone(t *testing.T) {
	withTop(7, func() {
		m := NewMap[uint64, uint64](nil)
		defer m.Free()
		m.Put(1<<40, 0)
		c := m.Clone()
		defer c.Free()
		for k := range uint64(50_000) {
			c.Put(k, k)
		}
		for k, v := range c.All() {
			m.Put(k, v)
			for i := range m.t.buckets() {
				if lg := m.t.bucket(i).lg(); lg > 8 {
					t.Fatalf("%d entries: a bucket has 2^%d groups", m.Len(), lg)
				}
			}
		}
		if err := checkMap(m); err != nil || !m.Equal(c) {
			t.Error("not equal", err)
		}
	})
}

// The number of buckets for n entries is the least whose limit is n.
func TestLimits(t *testing.T) {
	for _, lg := range []uint{0, 1, 3, 7, 8, 9, 10} {
		r := rand.New(rand.NewPCG(1, uint64(lg)))
		for range 2000 {
			need := 1 + r.IntN(perBucket(lg)<<r.IntN(12))
			n := bucketsFor(need, lg)
			if limitOf(n, lg) < need || n > 2 && limitOf(n-1, lg) >= need || n < 2 {
				t.Fatalf("%d buckets of 2^%d groups for %d entries: limit %d, with one less %d", n, lg, need, limitOf(n, lg), limitOf(n-1, lg))
			}
		}
	}
	for lg := uint(7); lg <= 10; lg++ {
		room, per := mostFull(lg)-perBucket(lg), perBucket(lg)
		if room*room < 64*per {
			t.Errorf("a bucket of 2^%d groups has room for %d entries beyond the average of %d", lg, room, per)
		}
	}
	if a, b, c, d := homeBits(unsafe.Sizeof(group[[9]byte]{})), homeBits(unsafe.Sizeof(group[[64]byte]{})), homeBits(unsafe.Sizeof(group[[65]byte]{})), homeBits(unsafe.Sizeof(group[[129]byte]{})); a != 10 || b != 9 || c != 8 || d != 7 {
		t.Errorf("2^%d, 2^%d, 2^%d, 2^%d groups", a, b, c, d)
	}
}

// Tables of several buckets shrink without memory, unless two that are joined have more entries
// than one should have: see merge. The limit is what the entries need.
func TestShrinkingNeedsNoMemory(t *testing.T) {
	a := new(meter)
	m := NewMap[uint64, uint64](a)
	defer m.Free()
	for k := range uint64(100_000) {
		m.Put(k, k)
	}
	for _, n := range []int{60_000, 20_000, 8000, 7000} {
		for m.Len() > n {
			m.PopAny()
		}
		a.off = true
		err := m.TryShrinkToFit()
		a.off = false
		if own, _ := m.t.bytes(); err != nil || a.live != own || m.t.buckets() != bucketsFor(n, 9) {
			t.Errorf("%d entries in %d buckets, %d bytes, want %d; %v", n, m.t.buckets(), a.live, own, err)
		}
		if err := checkMap(m); err != nil {
			t.Error(err)
		}
		// The entries that PopAny left have few homes. If these were next to each other, a search
		// among 20,000 entries would visit 16 groups.
		if mean := meanDistance(&m.t); mean > 12 {
			t.Errorf("%d entries: a search visits %.1f groups on average", n, mean)
		}
		for k, v := range m.All() {
			if w, ok := m.Get(k); !ok || v != w {
				t.Fatalf("%d: %d, %v", k, w, ok)
			}
		}
	}
	for m.Len() > 100 {
		m.PopAny()
	}
	a.off = true
	if err := m.TryShrinkToFit(); !errors.Is(err, galloc.ErrOutOfMemory) || checkMap(m) != nil || m.Len() != 100 {
		t.Errorf("%v, %v", err, checkMap(m))
	}
	a.off = false
	if err := m.TryShrinkToFit(); err != nil || m.t.dir != nil || m.Cap() != 112 || checkMap(m) != nil {
		t.Errorf("%v, %v, capacity %d", err, checkMap(m), m.Cap())
	}
}

// Clear leaves buckets alone that have neither entries nor tombstones.
func TestClearCostsWhatTheTableHolds(t *testing.T) {
	var m Map[int64, int64]
	defer m.Free()
	m.Reserve(100_000)
	for k := range int64(3) {
		m.Put(k, k)
	}
	marked := 0
	for i := range m.t.buckets() {
		if b := m.t.bucket(i); b.untouched() {
			b.group(5).control = deleted // which Clear would overwrite
			marked++
		}
	}
	m.Clear()
	for i := range m.t.buckets() {
		if b := m.t.bucket(i); b.group(5).control != 0 {
			b.group(5).control = 0
			marked--
		}
	}
	if err := checkMap(&m); err != nil || marked != 0 || m.t.buckets() < 29 || m.Len() != 0 {
		t.Errorf("%v, %d buckets, %d overwritten", err, m.t.buckets(), marked)
	}
}

// A capacity for which there is no memory is refused at once, and leaves nothing behind.
func TestReserveMoreThanThereIs(t *testing.T) {
	for _, n := range []int{1 << 20, 1 << 28} {
		a := &limited{alloctest.Track(galloc.System), 1 << 20}
		m := NewMap[uint64, uint64](a)
		for range 3 {
			if err := m.TryReserve(n); !errors.Is(err, galloc.ErrOutOfMemory) && bits.UintSize == 64 {
				t.Errorf("Reserve(%d): %v", n, err)
			}
			if m.Cap() != 0 || len(a.Live()) != 0 || a.Calls() > 100 {
				t.Errorf("Reserve(%d): capacity %d, %d blocks, %d allocations", n, m.Cap(), len(a.Live()), a.Calls())
			}
		}
		for k := range uint64(10_000) {
			m.Put(k, k)
		}
		calls := len(a.Live())
		if err := m.TryReserve(n); err == nil || m.Len() != 10_000 || checkMap(m) != nil || len(a.Live()) != calls {
			t.Errorf("Reserve(%d): %d entries, %v, %v, %d blocks, were %d", n, m.Len(), err, checkMap(m), len(a.Live()), calls)
		}
		m.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
}

// Removing the first entry of an iteration, and adding another one, again and again, keeps the
// buckets equally full: within 8 standard deviations.
func TestTakingTheFirstEntryKeepsTheBucketsEqual(t *testing.T) {
	var m Map[int, int]
	defer m.Free()
	k := 0
	for ; k < 25_000; k++ {
		m.Put(k, k)
	}
	for range 500_000 {
		for first := range m.All() {
			m.Delete(first)
			break
		}
		m.Put(k, k)
		k++
	}
	n, mean := m.t.buckets(), float64(m.Len())/float64(m.t.buckets())
	if n&(n-1) != 0 {
		t.Fatalf("%d buckets, of which some are larger", n)
	}
	for i := range n {
		if d := (float64(m.t.bucket(i).entries()) - mean) / math.Sqrt(mean); math.Abs(d) > 8 {
			t.Errorf("bucket %d has %d entries, %.0f on average: %.1f standard deviations", i, m.t.bucket(i).entries(), mean, d)
		}
	}
}

// A full table of several buckets that cannot grow takes as many entries as are deleted: the oldest
// ones, or any, one by one or many at once.
func TestEvictionMakesRoomInSeveralBuckets(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	for name, evict := range map[string]func(m *Map[int, int], oldest int) (evicted int){
		"oldest": func(m *Map[int, int], oldest int) int { m.Delete(oldest); return 1 },
		"PopAny": func(m *Map[int, int], _ int) int { m.PopAny(); return 1 },
		"first": func(m *Map[int, int], _ int) int {
			for k := range m.All() {
				m.Delete(k)
				break
			}
			return 1
		},
		"half": func(m *Map[int, int], _ int) int {
			n, half := 0, m.Len()/2
			m.DeleteFunc(func(int, int) bool { n++; return n <= half })
			return half
		},
		"half by PopAny": func(m *Map[int, int], _ int) int {
			half := m.Len() / 2
			for range half {
				m.PopAny()
			}
			return half
		},
	} {
		a := new(meter)
		m := NewMap[int, int](a)
		k := 0
		for ; k < 25_000 || m.Len() < m.Cap(); k++ { // while buckets are being split
			m.Put(k, k)
		}
		a.off = true
		n, evicted := m.Len(), 0
		for i := range rounds * n {
			err := m.TryPut(k, k)
			if errors.Is(err, galloc.ErrOutOfMemory) {
				evicted += evict(m, evicted)
				err = m.TryPut(k, k)
			}
			if err != nil {
				t.Fatalf("%s, step %d: %v, %d entries of %d", name, i, err, m.Len(), n)
			}
			k++
		}
		if err := checkMap(m); err != nil || m.Len() > n || evicted > rounds*n+n/2 {
			t.Errorf("%s: %d entries, was %d; %d evicted for %d; %v", name, m.Len(), n, evicted, rounds*n, err)
		}
		a.off = false
		m.Free()
	}
}

// NaNs are in buckets that cannot be found by their hash.
func TestNaNsInSeveralBuckets(t *testing.T) {
	withTop(1, func() {
		nan := 0.0
		nan /= nan
		var m Map[float64, int]
		defer m.Free()
		for i := range 2000 {
			m.Put(nan, i)
			m.Put(float64(i), -1)
		}
		m.DeleteFunc(func(k float64, v int) bool { return v >= 0 && v%2 == 0 })
		n := 0
		for _, v := range m.All() {
			if v >= 0 {
				n++
			}
		}
		if n != 1000 || m.Len() != 3000 {
			t.Errorf("%d NaNs, %d entries", n, m.Len())
		}
		m.ShrinkToFit()
		m.FreeFunc(func(_ *float64, v *int) { n += *v })
		if n != 1000+1000*1000-2000 {
			t.Errorf("FreeFunc: %d", n)
		}
	})
}

func TestBucketsOnTheGoHeap(t *testing.T) {
	withTop(2, func() {
		m := NewMap[int, int](galloc.GoHeap)
		for i := range 5000 {
			m.Put(i, i)
			if i%500 == 0 {
				runtime.GC()
			}
		}
		c := m.Clone()
		m.Free()
		for i := range 4000 {
			c.Delete(i)
		}
		c.ShrinkToFit()
		runtime.GC()
		for i := 4000; i < 5000; i++ {
			if v, ok := c.Get(i); !ok || v != i {
				t.Fatal(i)
			}
		}
	})
}

// More iterations at once than have their own place.
func TestManyIterationsAtOnce(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewMap[int, int](a)
	for k := range 100 {
		m.Put(k, k)
	}
	var nest func(depth int)
	nest = func(depth int) {
		seen := map[int]bool{}
		for k := range m.All() {
			if len(seen) == 0 && depth < 3*places {
				nest(depth + 1)
				for k := range 1000 {
					m.Put(100+depth*1000+k, 0)
				}
			}
			if seen[k] {
				t.Fatalf("%d was yielded twice", k)
			}
			seen[k] = true
		}
		for k := range 100 {
			if !seen[k] {
				t.Fatalf("%d was not yielded", k)
			}
		}
	}
	nest(0)
	if m.t.busy() || len(m.t.visits.retired) != 0 {
		t.Error("iterations are left")
	}
	m.Free()
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
