package collections

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// Which memory the hash tables hold, for how long, and what they reuse.

// bytesLive returns the number of bytes allocated on a.
func bytesLive(a *alloctest.Tracker) (n uintptr) {
	for _, l := range a.Live() {
		n += l.Size()
	}
	return n
}

// During an iteration entries stay in their slots, even if there are enough tombstones to remove.
func TestTombstonesStayWhileIterating(t *testing.T) {
	var m Map[uint64, int]
	defer m.Free()
	m.Reserve(3500)
	b := &m.t.one
	next := uint64(0)
	for m.Len() < m.Cap() {
		m.Put(next, 1)
		next++
	}
	// Remove most entries of full groups, which leaves tombstones.
	for g := range uintptr(b.mask) + 1 {
		for i := range uintptr(groupSlots) {
			if grp := b.group(g); i > 1 && grp.byteOf(i) >= full && matchEmpty(grp.control) == 0 {
				m.t.remove(b, grp, i)
			}
		}
	}
	b.left = 0 // as if it had more tombstones
	there, seen := map[uint64]bool{}, map[uint64]int{}
	for k := range m.Keys() {
		there[k] = true
	}
	limit, n := m.Cap(), m.Len()
	for k := range m.All() {
		if seen[k]++; len(seen) == n/2 {
			base := b.base
			if m.Put(next, 1); b.base == base {
				t.Error("entries have moved within the table")
			}
			there[next] = false
		}
	}
	for k, before := range there {
		if seen[k] != 1 && before {
			t.Fatalf("key %d was yielded %d times", k, seen[k])
		}
	}
	hash := func(_ uint64, s *slot[uint64, int]) uint64 { return m.hash(&s.key) }
	if err := m.t.check(hash); err != nil || m.Cap() != limit {
		t.Errorf("%v, capacity %d, was %d", err, m.Cap(), limit)
	}
}

// Removing an entry from a group with an empty slot leaves no tombstone, and Clear leaves none.
func TestTombstonesAreOnlyInFullGroups(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewMap[uint64, int](a)
	m.Reserve(3500)
	limit := m.Cap()
	for k := range uint64(20 * 3500) { // far from full
		m.Put(k, 0)
		m.Delete(k - 100)
	}
	if m.t.one.left != leftOf(m.t.one.lg(), m.Len()) || a.Calls() != 1 {
		t.Errorf("%d tombstones, %d allocations", leftOf(m.t.one.lg(), m.Len())-m.t.one.left, a.Calls())
	}
	if err := m.TryReserve(limit - m.Len()); err != nil || a.Calls() != 1 {
		t.Errorf("Reserve of the capacity left: %d allocations, %v", a.Calls(), err)
	}
	m.Clear()
	for k := range uint64(limit) {
		m.Put(k, 0)
	}
	for k := range uint64(limit) {
		m.Delete(k)
	}
	if m.Len() != 0 || m.t.one.untouched() {
		t.Fatalf("%d entries, no tombstones", m.Len())
	}
	m.Clear()
	hash := func(_ uint64, s *slot[uint64, int]) uint64 { return m.hash(&s.key) }
	if err := m.t.check(hash); err != nil || !m.t.one.untouched() {
		t.Errorf("after Clear: left is %d, %v", m.t.one.left, err)
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
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// Each byte matters.
func TestStoresCompareAllBytes(t *testing.T) {
	st := store{}
	defer st.release()
	for _, n := range []int{0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 18, 23, 24, 25, 31, 32, 33, 124, 125, 126, 127, 128, 254, 255, 256, 300, 65535, 65536, 65537} {
		b := []byte(strings.Repeat("x", n))
		handle, err := st.put(string(b), "")
		if err != nil {
			t.Fatal(err)
		}
		if !st.is(handle, string(b)) || st.get(handle) != string(b) {
			t.Errorf("a text of %d bytes does not equal itself", n)
		}
		for i := range b {
			if i > 300 && i < n-300 {
				continue
			}
			b[i] ^= 1
			if st.is(handle, string(b)) {
				t.Errorf("byte %d of %d does not matter", i, n)
			}
			b[i] ^= 1
		}
	}
}

// Repeating an operation takes no more memory for strings than the first few times.
func TestStringsAreReleasedWithTheirEntries(t *testing.T) {
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
			a := m.m.keys.alloc.(*switched)
			a.maxSize = 1 << 16 // less than the entry needs
			if err := m.TryPut(strings.Repeat("k", 1<<17), "a value for which there is room"); !errors.Is(err, galloc.ErrOutOfMemory) {
				t.Fatal(err)
			}
			a.maxSize = 0
		},
	} {
		a := &switched{Tracker: alloctest.Track(galloc.System)}
		m := NewTextMap(a)
		for i := range 200 {
			do(m, i)
		}
		first := bytesLive(a.Tracker)
		rounds := 4000
		if Slow {
			rounds = 400
		}
		for i := range rounds {
			do(m, i)
		}
		if live := bytesLive(a.Tracker); live > first {
			t.Errorf("%s: %d bytes, after %d", name, live, first)
		}
		m.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
}

// Strings that an iteration has yielded are readable until the last iteration ends, also if their
// entries were removed or changed.
func TestViewsOfRemovedEntriesDuringIterations(t *testing.T) {
	a := alloctest.Track(galloc.System)
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
		for range m.All() { // a nested iteration ends
			continue
		}
		for range m.Keys() {
			break
		}
		for i := range 5 { // would reuse the memory of removed entries
			m.Put(fmt.Sprintf("KEY %d%02d", i, n%100), fmt.Sprintf("VALUE %d%02d", i, n%100))
			m.Delete(fmt.Sprintf("KEY %d%02d", i, n%100))
		}
		if k != key || v != value {
			t.Fatalf("%q, %q became %q, %q", key, value, k, v)
		}
	}
	if n := len(m.m.keys.removed); n != 0 {
		t.Errorf("%d removed entries were not freed", n)
	}
	m.Free()
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}

// The memory of a freed record is used by one string, also if Clear was called in between, and all
// of it is reused.
func TestFreedRecordsAreReusedOnce(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewStringMap[int](a)
	key := func(i int) string { return fmt.Sprintf("some key %03d", i) }
	for round := range 3 {
		const n = 40
		for i := range n {
			m.Put(key(i), i)
		}
		calls := a.Calls()
		for i := range n {
			m.Delete(key(n - 1 - i)) // the oldest one last
		}
		if round == 1 {
			m.Clear()
		}
		for i := range n {
			m.Put(key(100+i), i)
		}
		for i := n; round == 1 && i < 3*n; i++ {
			m.Put(key(100+i), i) // more keys than were freed
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

// Free during an iteration frees the old tables too.
func TestFreeDuringAnIterationFreesAll(t *testing.T) {
	a := alloctest.Track(galloc.System)
	m := NewMap[int, int](a)
	for i := range 100 {
		m.Put(i, i)
	}
	for range m.All() {
		for i := range 5000 {
			m.Put(i, i)
		}
		if len(m.t.visits.retired) == 0 {
			t.Fatal("no table has been replaced")
		}
		m.Free()
		if live := a.Live(); len(live) != 0 {
			t.Errorf("left: %v", live)
		}
	}
	if len(a.Misuses()) != 0 {
		t.Error(a.Misuses())
	}
}
