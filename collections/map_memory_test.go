package collections

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// Where the hash tables keep what, how long, and what of it they use again.

// bytesLive is how many bytes are allocated on a.
func bytesLive(a *alloctest.FailingAllocator) (n uintptr) {
	for _, l := range a.Live() {
		n += l.Size()
	}
	return n
}

// While iterations run, entries stay where they are, though there are enough tombstones to be removed.
func TestTombstonesStayWhileIterating(t *testing.T) {
	for name, makeRoom := range map[string]func(m *Map[uint64, int]){
		"Put":     func(m *Map[uint64, int]) { must(m.grow()) }, // what it does where there is no room
		"Reserve": func(m *Map[uint64, int]) { m.Reserve(m.t.left + 1) },
	} {
		var m Map[uint64, int]
		m.Reserve(6000)
		groups := m.t.mask + 1
		next := uint64(0)
		for m.t.left > 0 {
			m.Put(next, 1)
			next++
		}
		// Full groups lose most of their entries, which leave tombstones.
		for g := range groups {
			for i := range uintptr(groupSlots) {
				if grp := m.t.group(g); i > 1 && grp.byteOf(i) >= full && matchEmpty(grp.control) == 0 {
					m.t.remove(grp, i)
				}
			}
		}
		tombstones := m.t.limit() - m.t.used - m.t.left
		if tombstones < m.t.limit()*7/32 {
			t.Fatalf("only %d tombstones of %d", tombstones, m.t.limit())
		}
		there, seen := map[uint64]bool{}, map[uint64]int{}
		for k := range m.Keys() {
			there[k] = true
		}
		limit := m.Cap()
		for k := range m.All() {
			if seen[k]++; len(seen) == m.Len()/2 {
				base := m.t.base
				if makeRoom(&m); m.t.base == base {
					t.Errorf("%s: entries have moved within the table", name)
				}
			}
		}
		for k := range there {
			if seen[k] != 1 {
				t.Fatalf("%s: key %d came %d times", name, k, seen[k])
			}
		}
		hash := func(_ uint64, s *slot[uint64, int]) uint64 { return m.hash(&s.key) }
		if err := m.t.check(hash); err != nil || m.Cap() != limit {
			t.Errorf("%s: %v, capacity %d, was %d", name, err, m.Cap(), limit)
		}
		m.Free()
	}
}

// An entry that is removed from a group with an empty slot leaves one. Clear leaves none either, though there be nothing but.
func TestTombstonesAreMadeOnlyInFullGroups(t *testing.T) {
	a := alloctest.Failing(0)
	m := NewMap[uint64, int](a)
	m.Reserve(7000)
	limit := m.Cap()
	for k := range uint64(20 * 7000) { // far from full
		m.Put(k, 0)
		m.Delete(k - 100)
	}
	if m.t.left+m.t.used != limit || a.Calls() != 1 {
		t.Errorf("%d tombstones, %d allocations", limit-m.t.left-m.t.used, a.Calls())
	}
	if err := m.TryReserve(m.t.left); err != nil || a.Calls() != 1 {
		t.Errorf("Reserve of what there is: %d allocations, %v", a.Calls(), err)
	}
	m.Clear()
	for k := range uint64(limit) {
		m.Put(k, 0)
	}
	for k := range uint64(limit) {
		m.Delete(k)
	}
	if m.Len() != 0 || m.t.left == limit {
		t.Fatalf("%d entries, no tombstones", m.Len())
	}
	m.Clear()
	hash := func(_ uint64, s *slot[uint64, int]) uint64 { return m.hash(&s.key) }
	if err := m.t.check(hash); err != nil || m.t.left != limit {
		t.Errorf("after Clear: left %d of %d, %v", m.t.left, limit, err)
	}
	for range m.All() {
		t.Error("an empty map has an entry")
	}
	m.Put(1, 1)
	for range m.All() {
		c := m.Cap()
		if m.ShrinkToFit(); m.Cap() != c {
			t.Error("ShrinkToFit during an iteration")
		}
	}
	m.Free()
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}

// Each byte counts.
func TestStoresCompareAllOfAString(t *testing.T) {
	st := store{}
	defer st.release()
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 18, 23, 24, 25, 31, 32, 33, 254, 255, 256, 300} {
		b := []byte(strings.Repeat("x", n))
		handle, err := st.put(string(b))
		if err != nil {
			t.Fatal(err)
		}
		if !st.is(handle, string(b)) || st.get(handle) != string(b) {
			t.Errorf("%d bytes are not themselves", n)
		}
		for i := range b {
			b[i] ^= 1
			if st.is(handle, string(b)) {
				t.Errorf("byte %d of %d does not count", i, n)
			}
			b[i] ^= 1
		}
	}
}

// Whatever is done again and again, the strings take no more memory than the first few times.
func TestStringsAreHeldOnlyAsLongAsTheyAreThere(t *testing.T) {
	for name, do := range map[string]func(m *TextMap, i int){
		"Put over a value": func(m *TextMap, i int) { m.Put("key", text(i%50)+strings.Repeat("v", 90)) },
		"Put and Delete": func(m *TextMap, i int) {
			m.Put(text(i%50), text(i%70))
			m.Delete(text(i % 50))
		},
		"Clear": func(m *TextMap, i int) {
			for k := range 20 {
				m.Put(text(k), text(k+1))
			}
			m.Clear()
		},
		"Delete during an iteration": func(m *TextMap, i int) {
			m.Put(text(i%50), text(i%70))
			for k := range m.All() {
				m.Delete(k)
			}
		},
		"Put during an iteration": func(m *TextMap, i int) {
			for k := range m.All() {
				m.Put(k, "something else of some length")
			}
			m.Put("key", "")
		},
		"Put without memory": func(m *TextMap, i int) {
			m.Put("key", "value")
			a := m.values.alloc.(*switched)
			a.most = 1 << 16 // the value gets its memory, the key does not
			if err := m.TryPut(strings.Repeat("k", 1<<17), "a value for which there is room"); !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Fatal(err)
			}
			a.most = 0
		},
	} {
		a := &switched{FailingAllocator: alloctest.Failing(0)}
		m := NewTextMap(a)
		for i := range 200 {
			do(m, i)
		}
		most := bytesLive(a.FailingAllocator)
		for i := range 4000 {
			do(m, i)
		}
		if live := bytesLive(a.FailingAllocator); live > most {
			t.Errorf("%s: %d bytes, and %d before", name, live, most)
		}
		m.Free()
		if len(a.Live())+len(a.Mistakes()) != 0 {
			t.Error(a.Live(), a.Mistakes())
		}
	}
}

// What an iteration has given stays readable until the last one ends, whatever has become of the entries.
func TestViewsOfRemovedEntriesDuringIterations(t *testing.T) {
	a := alloctest.Failing(0)
	m := NewTextMap(a)
	for i := range 60 {
		m.Put(fmt.Sprintf("key %03d", i), fmt.Sprintf("value %03d", i))
	}
	n := 0
	for k, v := range m.All() {
		key, value := strings.Clone(k), strings.Clone(v)
		if n++; n%2 == 0 {
			m.Delete(k)
		} else {
			m.Put(k, "changed "+value[len(value)-1:])
		}
		for range m.All() { // an inner one comes to its end
			continue
		}
		for range m.Keys() {
			break
		}
		for i := range 5 { // would be where the old ones were
			m.Put(fmt.Sprintf("KEY %d%02d", i, n%100), fmt.Sprintf("VALUE %d%02d", i, n%100))
			m.Delete(fmt.Sprintf("KEY %d%02d", i, n%100))
		}
		if k != key || v != value {
			t.Fatalf("%q, %q has become %q, %q", key, value, k, v)
		}
	}
	if m.keys() != 0 {
		t.Errorf("%d strings are left to be freed", m.keys())
	}
	m.Free()
	if len(a.Live())+len(a.Mistakes()) != 0 {
		t.Error(a.Live(), a.Mistakes())
	}
}

// keys is how many strings wait for the end of iterations.
func (m *TextMap) keys() int { return len(m.m.keys.dead) + len(m.values.dead) }

// The place of a record that has been freed is given to one string, whether Clear has come in between or not; and no place
// is lost, the first of all neither.
func TestRecordsAreGivenOnce(t *testing.T) {
	a := alloctest.Failing(0)
	m := NewStringMap[int](a)
	key := func(i int) string { return fmt.Sprintf("some key %03d", i) }
	for round := range 3 {
		const n = 40
		for i := range n {
			m.Put(key(i), i)
		}
		calls := a.Calls()
		for i := range n {
			m.Delete(key(n - 1 - i)) // the first one last
		}
		if round == 1 {
			m.Clear()
		}
		for i := range n {
			m.Put(key(100+i), i)
		}
		for i := n; round == 1 && i < 3*n; i++ {
			m.Put(key(100+i), i) // more than have been freed: now it is the turn of those that Clear has left
		}
		if a.Calls() != calls && round != 1 {
			t.Errorf("round %d: %d allocations for as many keys as before", round, a.Calls()-calls)
		}
		for i := range n {
			if v, ok := m.Get(key(100 + i)); !ok || v != i {
				t.Fatalf("round %d: %d, %v for key %d", round, v, ok, i)
			}
		}
		m.Clear()
	}
	m.Free()
}

// A map that is freed during an iteration gives back the tables of before as well.
func TestFreeDuringAnIterationGivesBackAll(t *testing.T) {
	a := alloctest.Failing(0)
	m := NewMap[int, int](a)
	for i := range 100 {
		m.Put(i, i)
	}
	for range m.All() {
		for i := range 5000 {
			m.Put(i, i)
		}
		if len(m.t.retired) == 0 {
			t.Fatal("no table has been replaced")
		}
		m.Free()
		if live := a.Live(); len(live) != 0 {
			t.Errorf("left: %v", live)
		}
	}
	if len(a.Mistakes()) != 0 {
		t.Error(a.Mistakes())
	}
}
