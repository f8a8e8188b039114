package collections

import (
	"errors"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/internal/percpu"
)

// Slow is true where code takes ten to twenty times as long. Tests that use one goroutine do less
// there.
const Slow = percpu.Race || runtime.GOARCH == "wasm"

func TestFloatsAreKeysAsInGo(t *testing.T) {
	type point struct{ x, y float64 }
	var m Map[point, int]
	defer m.Free()
	zero := 0.0
	m.Put(point{zero, 1}, 1)
	m.Put(point{-zero, 1}, 2)
	if v, ok := m.Get(point{zero, 1}); v != 2 || !ok || m.Len() != 1 {
		t.Errorf("0 and -0 are two keys: %d, %v", v, ok)
	}
	for k := range m.Keys() {
		if !math.Signbit(k.x) {
			t.Error("Put does not replace the key, as Go's maps do")
		}
	}
	const n = 5000
	for i := range n {
		m.Put(point{math.NaN(), 0}, i+10)
	}
	if m.Len() != n+1 || m.Has(point{math.NaN(), 0}) || present(m.Delete(point{math.NaN(), 0})) {
		t.Errorf("%d entries: a NaN is not a new key each time", m.Len())
	}
	if far := farthest(&m.t); far > 20 {
		t.Errorf("a search for a NaN visits %d groups", far)
	}
	// NaNs survive growth, and an iteration during which the map grows yields each of them once.
	seen := map[int]int{}
	for _, v := range m.All() {
		seen[v]++
		if len(seen) == 100 {
			for i := range n {
				m.Put(point{float64(i), 2}, -1)
			}
		}
	}
	for i := range n {
		if seen[i+10] != 1 {
			t.Fatalf("NaN %d was yielded %d times", i, seen[i+10])
		}
	}
	m.Clear()
	for range m.All() {
		t.Error("Clear leaves NaNs")
	}
}

// farthest returns the number of groups that the longest search visits.
func farthest[S any](t *table[S]) (far int) {
	for _, d := range distances(t) {
		far = max(far, d)
	}
	return far
}

// distances returns for each home the number of groups that an unsuccessful search visits.
func distances[S any](t *table[S]) (ds []int) {
	for i := range t.buckets() {
		b := t.bucket(i)
		for home := range uintptr(b.mask) + 1 {
			d := 1
			for g := home; matchEmpty(b.group(g).control) == 0; d++ {
				g = (g + uintptr(d)) & uintptr(b.mask)
			}
			ds = append(ds, d)
		}
	}
	return ds
}

// present returns the second result of Delete.
func present[V any](_ V, ok bool) bool { return ok }

type blank struct {
	a uint8
	_ uint8
	b uint16
}

// Equal keys have equal hashes, also if the bytes between their fields differ. Unequal keys have
// different hashes.
func TestKeysAreHashedAsTheyAreCompared(t *testing.T) {
	hashed(t, true, func(i int) uint8 { return uint8(i) })
	hashed(t, true, func(i int) int16 { return int16(i) })
	hashed(t, true, func(i int) [2]uint16 { return [2]uint16{0, uint16(i)} })
	hashed(t, true, func(i int) [8]byte { return [8]byte{7: byte(i)} })
	hashed(t, true, func(i int) struct{ a, b uint32 } { return struct{ a, b uint32 }{0, uint32(i)} })
	hashed(t, false, func(i int) [3]byte { return [3]byte{2: byte(i)} })
	hashed(t, false, func(i int) [16]byte { return [16]byte{byte(i), 15: 1} })
	hashed(t, false, func(i int) float64 { return float64(i) })
	hashed(t, false, func(i int) float32 { return float32(i) })
	hashed(t, false, func(i int) complex128 { return complex(1, float64(i)) })
	hashed(t, false, func(i int) complex64 { return complex(float32(i), 1) })
	hashed(t, false, func(i int) [2]complex64 { return [2]complex64{1: complex(0, float32(i))} })
	hashed(t, false, func(i int) [3]float32 { return [3]float32{2: float32(i)} })
	hashed(t, false, func(i int) blank { return blank{a: uint8(i), b: 1} })
	hashed(t, false, func(i int) [3]blank { return [3]blank{2: {b: uint16(i)}} })
	hashed(t, false, func(i int) [2][2]blank { return [2][2]blank{1: {1: {a: uint8(i)}}} })
	hashed(t, false, func(i int) [1]blank { return [1]blank{{a: uint8(i)}} })
	hashed(t, false, func(i int) odd { return oddKey(i) })
	type plainBefore struct {
		a int32
		_ int32
	}
	type floatBehind struct {
		_ int32
		f float32
	}
	hashed(t, false, func(i int) [2]plainBefore { return [2]plainBefore{1: {a: int32(i)}} })
	hashed(t, false, func(i int) [2]floatBehind { return [2]floatBehind{1: {f: float32(i)}} })
	hashed(t, false, func(i int) [1]floatBehind { return [1]floatBehind{{f: float32(i)}} })
	type complexBehind struct {
		_ uint16
		c complex64
	}
	hashed(t, false, func(i int) [3]complexBehind { return [3]complexBehind{2: {c: complex(0, float32(i))}} })
	hashed(t, false, func(i int) struct {
		a uint8
		b uint64
	} {
		return struct {
			a uint8
			b uint64
		}{uint8(i), 1}
	})
	hashed(t, false, func(i int) struct {
		a [0]float64
		b struct{}
		c uint8
		d [2]bool
		e int32
	} {
		return struct {
			a [0]float64
			b struct{}
			c uint8
			d [2]bool
			e int32
		}{d: [2]bool{i&1 != 0, i&2 != 0}, e: int32(i)}
	})
	if r := recipeOf[struct{}](); r.number || len(r.parts) != 0 {
		t.Errorf("%+v", r)
	}
}

func hashed[K comparable](t *testing.T, number bool, make func(i int) K) {
	t.Helper()
	if err := checkType[K](); err != nil {
		t.Fatal(err)
	}
	var m Map[K, int]
	if err := m.prepare(); err != nil {
		t.Fatal(err)
	}
	if m.number != number {
		t.Errorf("%T: number is %v", make(0), m.number)
	}
	m.t.seeds = newSeeds()
	hashes := map[uint64]int{}
	for i := range 256 {
		// The bytes of the key that == ignores are garbage.
		keys := [2]struct{ k K }{}
		for j := range keys {
			b := unsafe.Slice((*byte)(unsafe.Pointer(&keys[j])), unsafe.Sizeof(keys[j]))
			k := make(i)
			copy(b, unsafe.Slice((*byte)(unsafe.Pointer(&k)), len(b)))
			for o := range b { // change each byte that == ignores
				was := b[o]
				b[o] ^= 0xa5
				if keys[j].k != k {
					b[o] = was
				} else if j == 0 {
					b[o] = was
				}
			}
			if keys[j].k != k {
				t.Fatal("the test is wrong")
			}
		}
		a, b := m.hash(&keys[0].k), m.hash(&keys[1].k)
		if a != b {
			t.Fatalf("%T: equal keys, but hashes %x and %x", keys[0].k, a, b)
		}
		if j, ok := hashes[a]; ok && make(i) == make(i) {
			t.Fatalf("%T: keys %d and %d have the hash %x", keys[0].k, i, j, a)
		}
		hashes[a] = i
	}
}

// Searches stay short for regular sequences of keys, which simple hashes handle badly.
func TestSearchesAreShortForAllKeys(t *testing.T) {
	if Slow {
		t.Skip("one goroutine")
	}
	const n = 7 * 8 << 10 * 7 / 8 // seven eighths of the limit of the table
	check := func(name string, key func(i uint64) uint64) {
		for range 3 { // seeds
			var m Map[uint64, struct{}]
			for i := range uint64(n) {
				m.Put(key(i), struct{}{})
			}
			sum, ds := 0, distances(&m.t)
			for _, d := range ds {
				sum += d
			}
			if mean := float64(sum) / float64(len(ds)); mean > 2 || slices.Max(ds) > 30 {
				t.Errorf("%s: %.2f groups on average, %d at most", name, mean, slices.Max(ds))
			}
			tags := map[uint64]int{}
			for i := range m.t.buckets() {
				b := m.t.bucket(i)
				for g := range uintptr(b.mask) + 1 {
					for i := range uintptr(groupSlots) {
						tags[b.group(g).byteOf(i)]++
					}
				}
			}
			if len(tags) < 129 {
				t.Errorf("%s: only %d tags", name, len(tags))
			}
			m.Free()
		}
	}
	check("random", func(uint64) uint64 { return rand.Uint64() })
	for shift := range 48 {
		check("i<<"+strconv.Itoa(shift), func(i uint64) uint64 { return i << shift })
	}
	check("reversed", func(i uint64) uint64 { return -i })
	check("i*2^32+i", func(i uint64) uint64 { return i<<32 + i })
	check("multiples of a constant", func(i uint64) uint64 { return i * 0x9e3779b97f4a7c15 })
	check("floats", func(i uint64) uint64 { return math.Float64bits(float64(i)) })
}

// Hashes of similar strings differ, and searches for them are short.
func TestHashesOfStringsDiffer(t *testing.T) {
	s := newSeeds()
	seen := map[uint64]string{}
	add := func(v string) {
		h := s.text(v)
		if was, ok := seen[h]; ok && was != v {
			t.Fatalf("%q and %q have the hash %x", was, v, h)
		}
		seen[h] = strings.Clone(v)
	}
	for n := range 40 { // each byte matters, and the length
		b := make([]byte, n)
		add(string(b))
		for i := range b {
			for _, x := range []byte{1, 128, 255} {
				b[i] = x
				add(string(b))
			}
			b[i] = 0
		}
	}
	for _, prefix := range []string{"", "a", "key-", "user:profile", "https://example.org/"} {
		var m StringMap[struct{}]
		for i := range 10000 {
			k := prefix + strconv.Itoa(i*31)
			m.Put(k, struct{}{})
			add(k)
		}
		if far := farthest(&m.t); far > 40 {
			t.Errorf("%q: %d groups", prefix, far)
		}
		m.Free()
	}
}

// Putting a grown clone into its original is as fast as putting any other map.
func TestGrownClonePutIntoItsOriginal(t *testing.T) {
	if Slow {
		t.Skip("one goroutine")
	}
	var m Map[int, int]
	defer m.Free()
	m.Put(-1, 1)
	c := m.Clone()
	defer c.Free()
	for i := range 300_000 {
		c.Put(i, i)
	}
	for k, v := range c.All() {
		m.Put(k, v)
		if m.Len() >= 20_000 && m.t.limit-m.t.used <= m.t.limit/10 {
			break
		}
	}
	if far := farthest(&m.t); far > 60 {
		t.Errorf("a search visits %d groups", far)
	}
	for i := range 300_000 {
		if v, ok := c.Get(i); !ok || v != i {
			t.Fatalf("%d: %d, %v", i, v, ok)
		}
	}
	if c.Len() != 300_001 {
		t.Errorf("%d entries", c.Len())
	}
}

// Filling a table in the iteration order of another one is fast, also if both have the same seeds.
func TestTablesInTheOrderOfOthers(t *testing.T) {
	for _, n := range []int64{200_000, 900_000} {
		if Slow && n > 200_000 {
			continue
		}
		inTheOrderOfOthers(t, n)
	}
}

func inTheOrderOfOthers(t *testing.T, more int64) {
	var m Map[int64, int64]
	defer m.Free()
	for i := range int64(100_000) {
		m.Put(i, i)
	}
	cleared := m.Clone()
	cleared.Clear()
	shrunk := m.Clone()
	for i := int64(10); i < 100_000; i++ {
		shrunk.Delete(i)
	}
	shrunk.ShrinkToFit()
	for i := range more { // m becomes larger than the others
		m.Put(100_000+i, i)
	}
	for name, c := range map[string]*Map[int64, int64]{"new": NewMap[int64, int64](nil), "cleared": cleared, "shrunk": shrunk} {
		for k := range m.Keys() {
			c.Put(k, k)
			if c.Len() >= 20_000 && c.t.limit-c.t.used <= c.t.limit/10 || c.Len() == 60_000 {
				break
			}
		}
		// The entries of one bucket of m go to one bucket of c, which may become larger alone.
		if far, mean := farthest(&c.t), meanDistance(&c.t); far > 60 || mean > 4 {
			t.Errorf("%s of %d: a search visits up to %d groups, and %.1f on average", name, m.Len(), far, mean)
		}
		c.Free()
	}
}

// meanDistance returns the mean of distances.
func meanDistance[S any](t *table[S]) float64 {
	sum, all := 0, distances(t)
	for _, d := range all {
		sum += d
	}
	return float64(sum) / float64(max(len(all), 1))
}

func TestTombstonesAreRemovedWithoutGrowing(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewMap[uint64, uint64](a)
	m.Reserve(1700)
	limit := m.Cap()
	r := rand.New(rand.NewPCG(1, 2))
	var keys []uint64
	hash := func(_ uint64, s *slot[uint64, uint64]) uint64 { return m.hash(&s.key) }
	for len(keys) < limit*25/32-1 {
		k := r.Uint64()
		keys = append(keys, k)
		m.Put(k, ^k)
	}
	tombstones := false
	for i := range 20 * limit {
		j := r.IntN(len(keys))
		m.Delete(keys[j])
		keys[j] = r.Uint64()
		m.Put(keys[j], ^keys[j])
		tombstones = tombstones || int(m.t.one.left)+m.t.used < int(leftOf(m.t.one.lg(), 0))
		if i%200 == 0 {
			if err := m.t.check(hash); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, k := range keys {
		if v, ok := m.Get(k); !ok || v != ^k {
			t.Fatalf("%d: %d, %v", k, v, ok)
		}
	}
	if m.Cap() != limit || !tombstones {
		t.Errorf("capacity %d, was %d; tombstones: %v", m.Cap(), limit, tombstones)
	}
	m.Free()
	if len(a.Live()) != 0 {
		t.Error(a.Live())
	}
}

func TestIterationsEndByBreakPanicAndFree(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewStringMap[int](a)
	next := 0
	grow := func(n int) {
		for range n {
			m.Put(text(next), next)
			next++
		}
	}
	grow(50)
	func() {
		defer func() { _ = recover() }()
		for k := range m.All() {
			grow(200)
			for range m.All() { // nested
				grow(500)
				m.Delete(k)
				if k == "" {
					t.Error("the key of a deleted entry is gone during the iteration")
				}
				break
			}
			panic("out")
		}
	}()
	if m.t.busy() || m.t.visits.retired != nil || m.keys.removed != nil {
		t.Errorf("left: %v, %v, %v", m.t.busy(), m.t.visits.retired, m.keys.removed)
	}
	pull, stop := iter.Pull2(m.All())
	pull()
	grow(5000)
	if len(m.t.visits.retired) == 0 {
		t.Error("no table has been replaced")
	}
	m.Free() // frees the old table, in which the iteration is
	if live := a.Live(); len(live) != 0 {
		t.Error(live)
	}
	grow(10)
	if k, _, ok := pull(); ok {
		t.Errorf("%q after Free", k)
	}
	stop()
	m.Free()
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

func TestConcurrentReaders(t *testing.T) {
	var m StringMap[int]
	var n Map[int, int]
	defer m.Free()
	defer n.Free()
	for i := range 500 {
		m.Put(text(i), i)
		n.Put(i, i)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for k, v := range m.All() {
				if w, ok := m.Get(k); !ok || v != w {
					t.Error(k)
				}
			}
			for k, v := range n.All() {
				if w, ok := n.Get(k); !ok || v != w {
					t.Error(k)
				}
			}
			c := m.Clone()
			c.Free()
		})
	}
	wg.Wait()
}

func TestNothingOnTheGoHeapPerOperation(t *testing.T) {
	var m Map[uint64, uint64]
	var s StringMap[uint64]
	var x TextMap
	defer m.Free()
	defer s.Free()
	defer x.Free()
	key := []byte("some key")
	m.Reserve(100)
	s.PutBytes(key, 1)
	s.Delete(string(key))
	x.PutBytes(key, key)
	n := testing.AllocsPerRun(100, func() {
		m.Put(7, 8)
		m.Get(7)
		m.Delete(7)
		s.PutBytes(key, 9)
		s.GetBytes(key)
		s.Delete("some key")
		x.PutBytes(key, key)
		x.GetBytes(key)
		for range m.All() {
			break
		}
	})
	if n != 0 {
		t.Errorf("%v allocations on the Go heap", n)
	}
	// Failing and growing allocate nothing there either.
	none, nothing := NewMap[uint64, uint64](galloc.Null), NewStringMap[uint64](galloc.Null)
	_ = none.TryPut(1, 1) // caches the error and the recipe
	_ = nothing.TryPut("", 1)
	noText := NewTextMap(galloc.Null)
	_ = noText.TryPutBytes(key, key)
	n = testing.AllocsPerRun(100, func() {
		_ = none.TryPut(1, 1)
		_ = nothing.TryPut("", 1)
		if nothing.TryPutBytes(key, 1) == nil || noText.TryPutBytes(key, key) == nil {
			t.Error("no error")
		}
		for i := range uint64(100) {
			m.Put(i, i)
		}
		m.Free()
	})
	if n != 0 {
		t.Errorf("%v allocations on the Go heap when growing or failing", n)
	}
}

func TestMemoryOfDeletedStringsIsReused(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewTextMap(a)
	defer m.Free()
	live := func() (n uintptr) {
		for _, l := range a.Live() {
			n += l.Size()
		}
		return n
	}
	key := func(i int) string { return text(i%1000) + text(i)[:2] }
	var maxLive uintptr
	for i := range 20_000 {
		k := key(i)
		if i == 2000 {
			maxLive = live() * 5 / 4
		}
		m.Put(k, k+k)
		m.Delete(key(i - 100))
	}
	if live() > maxLive {
		t.Errorf("%d bytes, at most %d expected for as many entries", live(), maxLive)
	}
	m.Clear()
	before := a.Calls()
	for i := range 12 {
		m.Put(text(i), text(i))
	}
	if a.Calls() != before {
		t.Errorf("%d allocations after Clear", a.Calls()-before)
	}
}

func TestTextsOfAllLengths(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 16, 17, 124, 125, 126, 127, 128, 255, 256, 257, 1015, 65527, 65535, 65536, 65537, 1 << 20, 3 << 20} {
		var m TextMap
		s := strings.Repeat("x", n)
		m.Put(s, s)
		m.Put(s+"y", s)
		if n > 0 {
			m.Put(s[1:], "")
		}
		if v, ok := m.Get(strings.Clone(s)); !ok || v != s {
			t.Errorf("an entry of %d bytes is not found", n)
		}
		if v, ok := m.Get(s + "y"); !ok || v != s || m.Has(s+"z") {
			t.Errorf("%d bytes: %v", n, ok)
		}
		m.Put(s, m.m.keys.value(m.m.find(s).handle())) // a view of its value
		if v, _ := m.Get(s); v != s {
			t.Errorf("a value of %d bytes was overwritten by itself and changed", n)
		}
		if want := 2 + min(n, 1); m.Len() != want {
			t.Errorf("%d bytes: %d entries, not %d", n, m.Len(), want)
		}
		m.Free()
	}
}

// 2^22 chunks are too many for a test. It lowers the limit.
func TestChunksHaveALimit(t *testing.T) {
	var m StringMap[int]
	defer m.Free()
	m.Put("a", 1)
	defer func(was int) { maxChunks = was }(maxChunks)
	maxChunks = 8
	var err error
	n := 0
	for err == nil {
		n++
		err = m.TryPut(strings.Repeat("x", 70_000+n), n)
	}
	if !errors.Is(err, galloc.ErrUnsupported) || n < 4 || m.Len() != n {
		t.Errorf("%d entries, then %v", m.Len(), err)
	}
	m.Delete(strings.Repeat("x", 70_001))
	if err := m.TryPut(strings.Repeat("y", 70_000), 0); err != nil {
		t.Error(err)
	}
}

// The garbage collector does not scan the table, but it sees the chunks.
func TestMapsOnTheGoHeap(t *testing.T) {
	m := NewTextMap(galloc.GoHeap)
	for i := range 3000 {
		m.Put(text(i), text(i))
		if i%500 == 0 {
			runtime.GC()
		}
	}
	for range 3 {
		runtime.GC()
	}
	for i := range 3000 {
		if v, ok := m.Get(text(i)); !ok || v != text(i) {
			t.Fatal(i)
		}
	}
	m.Free()
}

func TestTypesWithPointersAreRefused(t *testing.T) {
	type pair struct {
		n    int
		name string
	}
	var m Map[pair, int]
	err := m.TryPut(pair{}, 1)
	if !errors.Is(err, galloc.ErrPointers) || !strings.Contains(err.Error(), "pair.name is a string") {
		t.Error(err)
	}
	var v Map[int, pair]
	if err := v.TryReserve(1); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	if m.Has(pair{}) || present(m.Delete(pair{})) || m.Len() != 0 {
		t.Error("an empty map has an entry")
	}
	s := NewStringMap[*int](galloc.GoHeap)
	if err := s.TryPut("", nil); !errors.Is(err, galloc.ErrPointers) {
		t.Error(err)
	}
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, galloc.ErrPointers) {
			t.Error("Put does not panic with the error")
		}
	}()
	m.Put(pair{}, 1)
}

func TestImpossibleCapacities(t *testing.T) {
	var m Map[uint64, uint64]
	defer m.Free()
	for _, n := range []int{math.MaxInt, math.MaxInt - 1, math.MaxInt / 2, math.MaxInt / 16} {
		var e *galloc.LayoutError
		if err := m.TryReserve(n); !errors.As(err, &e) {
			t.Errorf("Reserve(%d): %v", n, err)
		}
		m.Put(1, 1)
	}
	for n := range 500 {
		var m Map[uint64, struct{}]
		m.Reserve(n)
		if n > 0 && (m.Cap() < n || n > 7 && m.Cap() >= 2*n+14) {
			t.Errorf("Reserve(%d): capacity %d", n, m.Cap())
		}
		limit := m.Cap()
		for i := range n {
			m.Put(uint64(i), struct{}{})
		}
		if m.Cap() != limit {
			t.Errorf("Reserve(%d): the map grew all the same", n)
		}
		m.Free()
	}
	defer func() {
		if recover() == nil {
			t.Error("Reserve(-1) does not panic")
		}
	}()
	m.Reserve(-1)
}

func TestRunningOutOfMemoryCallsTheHook(t *testing.T) {
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(l) })
	defer galloc.SetAllocErrorHook(nil)
	for name, f := range map[string]func(){
		"Map":       func() { NewMap[int, int](galloc.Null).Put(1, 1) },
		"StringMap": func() { NewStringMap[int](galloc.Null).Put("", 1) },
		"TextMap":   func() { NewTextMap(galloc.Null).Put("", "") },
		"Set":       func() { NewSet[int](galloc.Null).Add(1) },
		"Reserve":   func() { NewMap[int, int](galloc.Null).Reserve(9) },
		"GetOrPut":  func() { NewStringMap[int](galloc.Null).GetOrPut("x") },
	} {
		func() {
			defer func() {
				if l, ok := recover().(galloc.Layout); !ok || l.Size() == 0 {
					t.Errorf("%s: no layout", name)
				}
			}()
			f()
		}()
	}
}

func TestFreeFuncIsCalledForEachEntry(t *testing.T) {
	a := alloctest.Track(galloc.System)
	type owner struct{ size uintptr }
	released := map[int]uintptr{}
	n := NewMap[int, owner](a)
	for i := range 100 {
		n.Put(i, owner{uintptr(i)})
	}
	n.FreeFunc(func(k *int, v *owner) { released[*k] += v.size + 1 })
	for i := range 100 {
		if released[i] != uintptr(i)+1 {
			t.Fatalf("entry %d: %d", i, released[i])
		}
	}
	s := NewStringMap[owner](a)
	s.Put("x", owner{3})
	s.FreeFunc(func(k string, v *owner) {
		if k != "x" || v.size != 3 {
			t.Error(k, v)
		}
		v.size = 0
		released = nil
	})
	if released != nil || n.Len() != 0 || s.Len() != 0 || len(a.Live()) != 0 {
		t.Error("FreeFunc was not called, or the map has entries or memory")
	}
}

func TestPointersPointToTheValues(t *testing.T) {
	var m Map[int, int]
	var s StringMap[int]
	defer m.Free()
	defer s.Free()
	for i := range 100 {
		p, found := m.GetOrPut(i % 10)
		if found != (i >= 10) {
			t.Error(i, found)
		}
		*p++
		q, _ := s.GetOrPut(text(i % 10))
		*q++
	}
	for _, p := range m.Pointers() {
		*p *= 2
	}
	for _, p := range s.Pointers() {
		*p *= 3
	}
	if v := slices.Collect(m.Values()); len(v) != 10 || slices.Min(v) != 20 || slices.Max(v) != 20 {
		t.Error(v)
	}
	if v := slices.Collect(s.Values()); len(v) != 10 || slices.Min(v) != 30 || slices.Max(v) != 30 {
		t.Error(v)
	}
	*m.Ptr(3) = 5
	*s.Ptr(text(3)) = 6
	if v, ok := m.Delete(3); v != 5 || !ok || m.Ptr(3) != nil {
		t.Error(v, ok)
	}
	if v, ok := s.Delete(text(3)); v != 6 || !ok || s.Ptr(text(3)) != nil || s.PutIfAbsent(text(4), 9) {
		t.Error(v, ok)
	}
	// A reused slot has the zero value.
	for i := range 50 {
		m.Put(i, 99)
		m.Delete(i)
		if p, _ := m.GetOrPut(i); *p != 0 {
			t.Fatal("GetOrPut returns an old value")
		}
	}
}

func TestKeysAndValuesOfSizeZero(t *testing.T) {
	var s Set[struct{}]
	var m Map[[0]uint64, int]
	for range 3 {
		if !s.Add(struct{}{}) || s.Add(struct{}{}) || s.Len() != 1 || !s.Delete(struct{}{}) || s.Len() != 0 {
			t.Error("a Set of struct{}")
		}
		m.Put([0]uint64{}, 5)
		if v, ok := m.Get([0]uint64{}); v != 5 || !ok || !present(m.Delete([0]uint64{})) || m.Len() != 0 {
			t.Error("a Map of [0]uint64")
		}
	}
	s.Free()
	m.Free()
}

func TestSetAlgebra(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var a, b Set[int8]
		ma, mb := map[int8]bool{}, map[int8]bool{}
		for range r.IntN(40) {
			k := int8(r.IntN(30))
			if a.Add(k) == ma[k] {
				t.Fatal("Add")
			}
			ma[k] = true
		}
		for range r.IntN(40) {
			k := int8(r.IntN(30))
			b.Add(k)
			mb[k] = true
		}
		want := func(f func(inA, inB bool) bool) (ks []int8) {
			for k := range int8(30) {
				if f(ma[k], mb[k]) {
					ks = append(ks, k)
				}
			}
			return ks
		}
		for name, c := range map[string]struct {
			seq iter.Seq[int8]
			f   func(a, b bool) bool
		}{
			"Union":               {a.Union(&b), func(a, b bool) bool { return a || b }},
			"Intersection":        {a.Intersection(&b), func(a, b bool) bool { return a && b }},
			"Difference":          {a.Difference(&b), func(a, b bool) bool { return a && !b }},
			"SymmetricDifference": {a.SymmetricDifference(&b), func(a, b bool) bool { return a != b }},
		} {
			if got := slices.Sorted(c.seq); !slices.Equal(got, want(c.f)) {
				t.Fatalf("%s of %v and %v: %v", name, ma, mb, got)
			}
			for range c.seq {
				break
			}
		}
		subset := len(want(func(a, b bool) bool { return a && !b })) == 0
		if a.Subset(&b) != subset || a.Equal(&b) != maps.Equal(ma, mb) || a.Disjoint(&b) != (len(want(func(a, b bool) bool { return a && b })) == 0) {
			t.Fatal("Subset, Equal or Disjoint")
		}
		a.AddSeq(b.All())
		if !b.Subset(&a) {
			t.Fatal("AddSeq")
		}
		a.Free()
		b.Free()
	}
	if size := unsafe.Sizeof(slot[uint64, struct{}]{}); size != 8 {
		t.Errorf("an element of 8 bytes takes %d", size)
	}
}

// After an iteration has read a group, an entry of it is removed and added again in another slot,
// and then the table is replaced. The iteration yields the entry once.
func TestEntriesThatMoveAreYieldedOnce(t *testing.T) {
	for range 20 { // seeds
		var m Map[int, int]
		for i := range 6 {
			m.Put(i, i)
		}
		seen := map[int]int{}
		for k := range m.All() {
			if len(seen) == 0 {
				// The entries are in slots 0 to 5. Entry 5 goes to slot 1, and slot 5 keeps its
				// bytes.
				for i := 1; i < 6; i++ {
					m.Delete(i)
				}
				m.Put(5, 5)
				m.Reserve(100)
			}
			if seen[k]++; seen[k] > 1 {
				t.Fatalf("%d was yielded twice", k)
			}
		}
		m.Free()
	}
}
