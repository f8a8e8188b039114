package collections

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// churn replaces entries of a full map: it deletes and puts n times, and keeps len(keys) entries.
// The first key that is deleted is the oldest one, or a random one.
func churn(t *testing.T, s subject, keys []int, n int, fifo bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 4))
	for i := range n {
		j := i % len(keys)
		if !fifo {
			j = r.IntN(len(keys))
		}
		if _, ok := s.remove(keys[j]); !ok {
			t.Fatalf("key %d is missing", keys[j])
		}
		keys[j] = (keys[j] + len(keys)) % (1 << 16) // for Set[uint16]
		for _, there := s.get(keys[j]); there; _, there = s.get(keys[j]) {
			keys[j] = (keys[j] + 1) % (1 << 16)
		}
		if err := s.put(keys[j], 0); err != nil {
			t.Fatalf("step %d, %d entries, capacity %d: %v", i, s.Len(), s.Cap(), err)
		}
	}
	if err := s.check(); err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if _, ok := s.get(k); !ok {
			t.Fatalf("key %d is missing", k)
		}
	}
}

// A table with up to Cap entries does not grow, and needs no memory, whatever is deleted and added.
func TestCapHoldsUnderChurn(t *testing.T) {
	for _, sub := range subjects {
		for _, n := range []int{1, 8, 100, 3000} {
			if Slow && n > 100 {
				continue
			}
			for _, fifo := range []bool{false, true} {
				a := &switched{Tracker: alloctest.Track(galloc.System)}
				s := sub.make(a)
				if err := s.TryReserve(n); err != nil {
					t.Fatal(err)
				}
				limit, keys := s.Cap(), []int(nil)
				for k := range limit {
					keys = append(keys, k)
					if err := s.put(k, 0); err != nil {
						t.Fatal(err)
					}
				}
				calls := a.Calls()
				// The others need memory for strings.
				a.off = sub.name[0] == 'M' || sub.name == "Set[uint16]"
				churn(t, s, keys, 8*limit+50, fifo)
				if s.Cap() != limit || a.off && a.Calls() != calls {
					t.Errorf("%s of %d: capacity %d, was %d; %d allocations", sub.name, n, s.Cap(), limit, a.Calls()-calls)
				}
				s.Free()
			}
		}
	}
}

// A full table that cannot grow takes an entry for each one that is deleted.
func TestOneEvictionMakesRoomAtALimit(t *testing.T) {
	a := &switched{Tracker: alloctest.Track(galloc.System)}
	m := NewMap[int, int](a)
	defer m.Free()
	k := 0
	for ; k < 1000 || m.Len() < m.Cap(); k++ {
		m.Put(k, k)
	}
	a.off = true
	n, evicted := m.Len(), 0
	for range 5 * n {
		for errors.Is(m.TryPut(k, k), galloc.ErrOutOfMemory) {
			m.Delete(evicted)
			evicted++
		}
		k++
	}
	if m.Len() < n || evicted > 5*n {
		t.Errorf("%d entries, was %d; %d evicted for %d", m.Len(), n, evicted, 5*n)
	}
}

// Only control bytes of entries that have not been placed match, in each position.
func TestMatchUnplaced(t *testing.T) {
	for c := range uint64(256) {
		for _, others := range []uint64{0, lowBits * 1, lowBits * 0x7f, lowBits * full, lowBits * 0xff} {
			for i := range 8 {
				control := others&^(0xff<<(8*i)) | c<<(8*i)
				want := matches(0)
				for j := range 8 {
					if b := control >> (8 * j) & 0xff; b != empty && b < full {
						want |= full << (8 * j)
					}
				}
				if got := matchUnplaced(control); got != want {
					t.Fatalf("%016x: %016x, want %016x", control, got, want)
				}
			}
		}
	}
}

// Removing the first entry of an iteration, or any entry, again and again, takes time in proportion
// to the table. (Quadratic time would be minutes here.)
func TestTakingAnyEntryIsLinear(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	var m Map[int, int]
	defer m.Free()
	for what, take := range map[string]func() bool{
		"All": func() bool {
			for k := range m.All() {
				m.Delete(k)
				return true
			}
			return false
		},
		"PopAny": func() bool {
			_, _, ok := m.PopAny()
			return ok
		},
	} {
		for i := range n {
			m.Put(i, i)
		}
		taken := 0
		for take() {
			taken++
		}
		if taken != n || m.Len() != 0 {
			t.Errorf("%s: %d entries of %d, %d are left", what, taken, n, m.Len())
		}
	}
}
