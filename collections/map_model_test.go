package collections

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// The hash tables are compared with Go's maps, all through one interface, with numbers for keys and
// values. Random bytes are the program that runs on both.

type subject interface {
	put(k, v int) error
	putIfAbsent(k, v int) (bool, error)
	get(k int) (int, bool)
	remove(k int) (int, bool)
	removeFunc(del func(k, v int) bool)
	popAny() (k, v int, ok bool)
	all() iter.Seq2[int, int]
	clone() (subject, error)
	equal(s subject) bool
	TryReserve(n int) error
	TryShrinkToFit() error
	Len() int
	Cap() int
	Clear()
	Free()
	check() error
}

// check reports a broken invariant of the table.
func (t *table[S]) check(hash hasher[S]) error {
	n := 0
	for i := range t.buckets() {
		k, err := t.checkBucket(i, hash)
		if err != nil {
			return fmt.Errorf("bucket %d of %d: %w", i, t.buckets(), err)
		}
		n += k
	}
	if n != t.used || t.used > t.limit || t.limit > 0 != (t.bucket(0).base != nil) {
		return fmt.Errorf("%d full, used is %d, limit is %d", n, t.used, t.limit)
	}
	half := uintptr(1) << (bits.Len(uint(t.buckets())) - 1)
	wide := half - 1
	if t.buckets() > half {
		wide = 2*half - 1
	}
	limit := maxFull << t.bucket(0).lg()
	if t.buckets() > 1 {
		limit = limitOf(t.buckets(), t.top())
	}
	if t.wide != wide || t.limit > 0 && t.limit != limit || (t.dir == nil) != (t.room == 0) || t.dir != nil && t.room < t.count {
		return fmt.Errorf("%d buckets, room for %d, wide is %d, limit is %d, want %d and %d", t.count, t.room, t.wide, t.limit, wide, limit)
	}
	for i := t.buckets(); i < t.room; i++ {
		if b := t.bucket(i); b.base != nil && !b.untouched() {
			return errors.New("a bucket that is not used has entries")
		}
	}
	if !t.busy() && (len(t.visits.retired) != 0 || t.visits.held.Load() != 0) {
		return errors.New("retired buckets are left")
	}
	return nil
}

// checkBucket returns the number of entries of bucket i.
func (t *table[S]) checkBucket(i uintptr, hash hasher[S]) (n int, err error) {
	b, tombstones := t.bucket(i), 0
	if b.base == nil {
		return 0, nil
	}
	for g := range uintptr(b.mask) + 1 {
		grp := b.group(g)
		for s := range uintptr(groupSlots) {
			switch c := grp.byteOf(s); {
			case c == deleted:
				tombstones++
			case c >= full:
				n++
				h := hash(c, grp.slot(s))
				if b.control(h) != c || t.at(h) != b {
					return 0, fmt.Errorf("slot %d of group %d has control %x and hash %x", s, g, c, h)
				}
				for to, d := b.home(h), uintptr(1); to != g; d++ {
					if matchEmpty(b.group(to).control) != 0 {
						return 0, fmt.Errorf("slot %d of group %d, of home %d, is not found: the search ends at group %d", s, g, b.home(h), to)
					}
					to = (to + d) & uintptr(b.mask)
				}
			case c != empty:
				return 0, fmt.Errorf("control %x", c)
			}
		}
	}
	if b.left != leftOf(b.lg(), n+tombstones) || n+tombstones > mostFull(b.lg()) {
		return 0, fmt.Errorf("%d full, %d deleted; left is %d", n, tombstones, b.left)
	}
	if b.lg() < t.top() && t.buckets() > 1 {
		return 0, fmt.Errorf("%d groups", b.mask+1)
	}
	return n, nil
}

// keyed is a Map whose keys are made from numbers.
type keyed[K comparable] struct {
	*Map[K, int]
	key    func(int) K
	number func(K) int
}

func (m keyed[K]) put(k, v int) error                 { return m.TryPut(m.key(k), v) }
func (m keyed[K]) putIfAbsent(k, v int) (bool, error) { return m.TryPutIfAbsent(m.key(k), v) }
func (m keyed[K]) get(k int) (int, bool)              { return m.Get(m.key(k)) }
func (m keyed[K]) remove(k int) (int, bool)           { return m.Delete(m.key(k)) }
func (m keyed[K]) equal(s subject) bool               { return m.Equal(s.(keyed[K]).Map) }
func (m keyed[K]) removeFunc(del func(k, v int) bool) {
	m.DeleteFunc(func(k K, v int) bool { return del(m.number(k), v) })
}

func (m keyed[K]) popAny() (int, int, bool) {
	k, v, ok := m.PopAny()
	return m.number(k), v, ok
}

func (m keyed[K]) check() error {
	return m.t.check(func(_ uint64, s *slot[K, int]) uint64 { return m.hash(&s.key) })
}

func (m keyed[K]) clone() (subject, error) {
	c, err := m.TryClone()
	if err != nil {
		return nil, err
	}
	return keyed[K]{c, m.key, m.number}, nil
}

func (m keyed[K]) all() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for k, v := range m.All() {
			if !yield(m.number(k), v) {
				return
			}
		}
	}
}

// odd is a key with everything that makes hashing difficult.
type odd struct {
	f float32
	_ int32
	b bool
	a [2]struct {
		u uint8
		x float64
	}
	s [3]int16
}

func oddKey(k int) odd {
	var o odd
	// The bytes of the padding and of the blank field must not matter.
	for i := range unsafe.Slice((*byte)(unsafe.Pointer(&o)), unsafe.Sizeof(o)) {
		unsafe.Slice((*byte)(unsafe.Pointer(&o)), unsafe.Sizeof(o))[i] = byte(rand.Uint32())
	}
	o.f, o.b = float32(k%7)*0, k&1 != 0
	if rand.IntN(2) == 0 {
		o.f = -o.f
	}
	for i := range o.a {
		o.a[i].u, o.a[i].x = uint8(k>>(8*i)), float64(k)
	}
	o.s = [3]int16{int16(k), 0, int16(k >> 16)}
	return o
}

type strung struct{ *StringMap[int] }

// text returns a string for k: some are long, and one is very long.
func text(k int) string {
	s := strconv.Itoa(k) + "."
	switch {
	case k == 13:
		return strings.Repeat(s, 1<<15)
	case k%23 == 7:
		return strings.Repeat(s, 50+k%50)
	case k%23 == 11:
		return strings.Repeat(s, 300+k)
	}
	return s
}

func numberOf(s string) int {
	digits, _, _ := strings.Cut(s, ".")
	k, err := strconv.Atoi(digits)
	if err != nil || s != text(k) {
		panic("collections: a string was changed")
	}
	return k
}

func (m strung) put(k, v int) error                 { return m.TryPut(text(k), v) }
func (m strung) putIfAbsent(k, v int) (bool, error) { return m.TryPutIfAbsent(text(k), v) }
func (m strung) get(k int) (int, bool)              { return m.GetBytes([]byte(text(k))) }
func (m strung) remove(k int) (int, bool)           { return m.Delete(text(k)) }
func (m strung) equal(s subject) bool               { return m.Equal(s.(strung).StringMap) }
func (m strung) removeFunc(del func(k, v int) bool) {
	m.DeleteFunc(func(k string, v int) bool { return del(numberOf(k), v) })
}

func (m strung) popAny() (int, int, bool) {
	k, v, ok := m.PopAny()
	if !ok {
		return 0, 0, false
	}
	return numberOf(k), v, true
}

func (m strung) check() error { return m.checkAll() }

// checkAll reports a broken invariant of the table or of its store.
func (m *StringMap[V]) checkAll() error {
	if err := m.t.check(m.wholeHash); err != nil {
		return err
	}
	var handles []uint64
	m.t.entries(nil, func(s *stringSlot[V]) bool {
		handles = append(handles, s.handle())
		return true
	})
	return m.keys.check(handles, m.t.busy())
}

func (m *StringMap[V]) wholeHash(control uint64, s *stringSlot[V]) uint64 {
	h := m.hash(m.keys.get(s.handle()))
	if s.ref&^handleMask != m.refOf(h) {
		panic("collections: a ref has not the hash of its key")
	}
	return h
}

func (m strung) clone() (subject, error) {
	c, err := m.TryClone()
	if err != nil {
		return nil, err
	}
	return strung{c}, nil
}

func (m strung) all() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for k, v := range m.All() {
			if !yield(numberOf(k), v) {
				return
			}
		}
	}
}

type texts struct{ *TextMap }

func (m texts) put(k, v int) error                 { return m.TryPut(text(k), text(v)) }
func (m texts) putIfAbsent(k, v int) (bool, error) { return m.TryPutIfAbsent(text(k), text(v)) }
func (m texts) equal(s subject) bool               { return m.Equal(s.(texts).TextMap) }
func (m texts) removeFunc(del func(k, v int) bool) {
	m.DeleteFunc(func(k, v string) bool { return del(numberOf(k), numberOf(v)) })
}

func (m texts) remove(k int) (int, bool) {
	v, ok := m.Delete(text(k))
	if !ok {
		return 0, false
	}
	return numberOf(v), true
}

func (m texts) popAny() (int, int, bool) {
	k, v, ok := m.PopAny()
	if !ok {
		return 0, 0, false
	}
	return numberOf(k), numberOf(v), true
}

func (m texts) check() error { return m.m.checkAll() }
func (m texts) get(k int) (int, bool) {
	v, ok := m.GetBytes([]byte(text(k)))
	if !ok {
		return 0, false
	}
	return numberOf(v), true
}

func (m texts) clone() (subject, error) {
	c, err := m.TryClone()
	if err != nil {
		return nil, err
	}
	return texts{c}, nil
}

func (m texts) all() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for k, v := range m.All() {
			if !yield(numberOf(k), numberOf(v)) {
				return
			}
		}
	}
}

// member is a Set. All values are 0.
type member struct{ *Set[uint16] }

func (s member) put(k, _ int) error                 { _, err := s.TryAdd(uint16(k)); return err }
func (s member) putIfAbsent(k, _ int) (bool, error) { return s.TryAdd(uint16(k)) }
func (s member) get(k int) (int, bool)              { return 0, s.Has(uint16(k)) }
func (s member) remove(k int) (int, bool)           { return 0, s.Delete(uint16(k)) }
func (s member) equal(o subject) bool               { return s.Equal(o.(member).Set) }
func (s member) removeFunc(del func(k, v int) bool) {
	s.DeleteFunc(func(k uint16) bool { return del(int(k), 0) })
}

func (s member) popAny() (int, int, bool) {
	k, ok := s.PopAny()
	return int(k), 0, ok
}

func (s member) check() error {
	return s.m.t.check(func(_ uint64, e *slot[uint16, struct{}]) uint64 { return s.m.hash(&e.key) })
}

func (s member) clone() (subject, error) {
	c, err := s.TryClone()
	if err != nil {
		return nil, err
	}
	return member{c}, nil
}

func (s member) all() iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for k := range s.All() {
			if !yield(int(k), 0) {
				return
			}
		}
	}
}

var subjects = []struct {
	name string
	make func(a galloc.Allocator) subject
}{
	{"Map[uint64,int]", func(a galloc.Allocator) subject {
		return keyed[uint64]{NewMap[uint64, int](a), func(k int) uint64 { return uint64(k) << 40 }, func(k uint64) int { return int(k >> 40) }}
	}},
	{"Map[odd,int]", func(a galloc.Allocator) subject {
		return keyed[odd]{NewMap[odd, int](a), oddKey, func(o odd) int { return int(uint16(o.s[0])) | int(o.s[2])<<16 }}
	}},
	{"StringMap[int]", func(a galloc.Allocator) subject { return strung{NewStringMap[int](a)} }},
	{"TextMap", func(a galloc.Allocator) subject { return texts{NewTextMap(a)} }},
	{"Set[uint16]", func(a galloc.Allocator) subject { return member{NewSet[uint16](a)} }},
}

// switched is an allocator that fails while off is set, and for blocks of more than maxSize bytes.
type switched struct {
	*alloctest.Tracker
	off     bool
	maxSize uintptr // 0: no limit
}

func (a *switched) Allocate(l galloc.Layout) ([]byte, error) {
	if a.off && l.Size() != 0 || a.maxSize != 0 && l.Size() > a.maxSize {
		return nil, galloc.ErrOutOfMemory
	}
	return a.Tracker.Allocate(l)
}

// modelled is a subject and its model.
type modelled struct {
	t     *testing.T
	a     *switched
	s     subject
	noVal bool
	model map[int]int

	// For iterations: the current step, how often all entries were removed, and the step at which
	// each entry was added.
	clock, cleared int
	born           map[int]int
	depth          int
}

// run runs program, 2 bytes for each operation.
func (m *modelled) run(program []byte) {
	for len(program) >= 2 {
		op, arg := program[0], int(program[1])
		program = program[2:]
		k := arg % 64
		if op&0x80 != 0 {
			k = arg << 2 & 0x3ff // more keys
		}
		m.clock++
		m.a.off = op&0x40 != 0
		switch op % 16 {
		case 0, 1, 2, 3, 4, 5:
			m.put(k, int(op)+arg)
		case 8:
			k, v, ok := m.s.popAny()
			if want, there := m.model[k]; ok != (len(m.model) > 0) || ok && (!there || v != want) {
				m.t.Fatalf("PopAny: %d with %d, %v; %d entries, the value is %d, %v", k, v, ok, len(m.model), want, there)
			}
			if ok {
				delete(m.model, k)
			}
		case 6, 7:
			want, there := m.model[k]
			if got, ok := m.s.remove(k); ok != there || got != want {
				m.t.Fatalf("Delete of %d: %d, %v, want %d, %v", k, got, ok, want, there)
			}
			delete(m.model, k)
		case 9:
			want, there := m.model[k]
			if got, ok := m.s.get(k); ok != there || got != want {
				m.t.Fatalf("Get of %d: %d, %v, want %d, %v", k, got, ok, want, there)
			}
		case 10: // many at once
			for i := range arg {
				m.put(k+i, i)
			}
		case 11:
			for i := range arg {
				m.s.remove(k + i)
				delete(m.model, k+i)
			}
		case 12:
			m.iterate(&program)
		case 13:
			m.rare(arg)
		case 14:
			v, want := m.value(arg), false
			if _, there := m.model[k]; !there {
				want = true
			}
			put, err := m.s.putIfAbsent(k, v)
			switch {
			case err != nil:
				m.failed(err)
			case put != want:
				m.t.Fatalf("PutIfAbsent of %d: %v, want %v", k, put, want)
			case put:
				m.model[k], m.born[k] = v, m.clock
			}
		case 15:
			m.checkAll()
		}
		m.a.off = false
		if m.s.Len() != len(m.model) || m.s.Cap() < m.s.Len() {
			m.t.Fatalf("length %d, capacity %d, want length %d", m.s.Len(), m.s.Cap(), len(m.model))
		}
	}
}

func (m *modelled) value(v int) int {
	if m.noVal {
		return 0
	}
	return v
}

func (m *modelled) put(k, v int) {
	v = m.value(v)
	if err := m.s.put(k, v); err != nil {
		m.failed(err)
		return
	}
	if _, there := m.model[k]; !there {
		m.born[k] = m.clock
	}
	m.model[k] = v
}

func (m *modelled) failed(err error) {
	if !m.a.off || !errors.Is(err, galloc.ErrOutOfMemory) {
		m.t.Fatal(err)
	}
}

// rare runs an operation on the whole subject.
func (m *modelled) rare(arg int) {
	switch arg % 7 {
	case 6:
		seen := map[int]int{}
		m.s.removeFunc(func(k, v int) bool {
			seen[k] = v
			return (k+arg)%3 == 0
		})
		if !maps.Equal(seen, m.model) {
			m.t.Fatalf("DeleteFunc saw %v, want %v", seen, m.model)
		}
		maps.DeleteFunc(m.model, func(k, _ int) bool { return (k+arg)%3 == 0 })
	case 0:
		m.s.Clear()
		clear(m.model)
		m.cleared++
	case 1:
		m.s.Free()
		clear(m.model)
		m.cleared++
	case 2:
		if err := m.s.TryReserve(arg); err != nil {
			m.failed(err)
		} else if m.s.Cap() < m.s.Len()+arg {
			m.t.Fatal("no room after Reserve")
		}
	case 3:
		if err := m.s.TryShrinkToFit(); err != nil {
			m.failed(err)
		}
	default:
		c, err := m.s.clone()
		if err != nil {
			m.failed(err)
			return
		}
		if !c.equal(m.s) || !m.s.equal(c) {
			m.t.Fatal("a clone is not equal")
		}
		if m.depth == 0 {
			c, m.s = m.s, c // go on with the clone and free the original
		}
		other := modelled{t: m.t, s: c, model: m.model}
		other.checkAll()
		for k := range m.model { // one entry less, or one with another value
			v, _ := c.remove(k)
			unequal := !c.equal(m.s) && !m.s.equal(c)
			if !m.noVal && c.put(k, v+1) == nil {
				unequal = unequal && !c.equal(m.s) && !m.s.equal(c)
			}
			if !unequal {
				m.t.Fatalf("maps that differ in %d are equal", k)
			}
			break
		}
		c.Free()
	}
	m.checkAll()
}

// iterate iterates over the subject, and runs the next steps of the program in the loop.
func (m *modelled) iterate(program *[]byte) {
	if m.depth == 3 {
		return
	}
	m.depth++
	defer func() { m.depth-- }()
	start, before, cleared := m.clock, map[int]int{}, m.cleared
	for k := range m.model {
		before[k] = m.born[k]
	}
	yielded := map[int]int{} // the step
	for k, v := range m.s.all() {
		m.clock++
		if m.cleared != cleared {
			m.t.Fatalf("%d was yielded after Clear or Free", k)
		}
		if want, there := m.model[k]; !there || v != want {
			m.t.Fatalf("%d was yielded with %d; present: %v, with %d", k, v, there, want)
		}
		if when, ok := yielded[k]; ok && m.born[k] < when {
			m.t.Fatalf("%d was yielded twice", k)
		}
		yielded[k] = m.clock
		n := min(len(*program), 4)
		part := (*program)[:n]
		*program = (*program)[n:]
		m.run(part)
		if n >= 2 && part[0] == 0xff {
			return
		}
	}
	if m.cleared != cleared {
		return
	}
	for k, born := range before {
		if _, there := m.model[k]; there && m.born[k] == born && born <= start && yielded[k] == 0 {
			m.t.Fatalf("%d was not yielded", k)
		}
	}
}

func (m *modelled) checkAll() {
	if err := m.s.check(); err != nil {
		m.t.Fatal(err)
	}
	n := 0
	for k, v := range m.s.all() {
		if want, there := m.model[k]; !there || v != want {
			m.t.Fatalf("%d has value %d; expected: %v, with %d", k, v, there, want)
		}
		n++
	}
	if n != len(m.model) {
		m.t.Fatalf("%d entries, not %d", n, len(m.model))
	}
	for k, want := range m.model {
		if v, ok := m.s.get(k); !ok || v != want {
			m.t.Fatalf("the value of %d is %d, %v, not %d", k, v, ok, want)
		}
	}
}

// tops are values of maxTop: most programs have too few entries for several buckets otherwise.
var tops = []uint{10, 0, 1, 3}

// runModel runs program on the subject which, in buckets of a size that depends on which too.
func runModel(t *testing.T, which int, program []byte) {
	t.Helper()
	defer func(was uint) { maxTop = was }(maxTop)
	maxTop = tops[which/len(subjects)%len(tops)]
	sub := subjects[which%len(subjects)]
	a := &switched{Tracker: alloctest.Track(galloc.System)}
	m := &modelled{t: t, a: a, s: sub.make(a), noVal: strings.HasPrefix(sub.name, "Set"), model: map[int]int{}, born: map[int]int{}}
	m.run(program)
	m.checkAll()
	m.s.Free()
	if live, mistakes := a.Live(), a.Misuses(); len(live)+len(mistakes) != 0 {
		t.Fatalf("left: %v\n%s", live, strings.Join(mistakes, "\n"))
	}
}

func FuzzHashTables(f *testing.F) {
	for i := range len(subjects) * len(tops) {
		f.Add(byte(i), []byte{10, 60, 12, 0, 0, 200, 0x86, 100, 10, 255, 12, 1, 13, 4, 13, 3, 15, 0})
	}
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		if len(program) > 1<<12 {
			return
		}
		runModel(t, int(which), program)
	})
}

func TestHashTablesAgainstGoMaps(t *testing.T) {
	for i := range len(subjects) * len(tops) {
		t.Run(fmt.Sprintf("%s/top=%d", subjects[i%len(subjects)].name, tops[i/len(subjects)]), func(t *testing.T) {
			rounds := 25
			if testing.Short() {
				rounds = 5
			}
			for seed := range rounds {
				r := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
				program := make([]byte, 600)
				for j := range program {
					program[j] = byte(r.Uint32())
				}
				// Make failures, and operations on the whole, rarer than random bytes would.
				for j := 0; j < len(program); j += 2 {
					if r.IntN(8) != 0 {
						program[j] &^= 0x40
					}
					if program[j]%16 == 13 && program[j+1]%7 < 2 && r.IntN(4) != 0 {
						program[j+1] += 2
					}
				}
				runModel(t, i, program)
			}
		})
	}
}

func TestEachAllocationFailing(t *testing.T) {
	for i, sub := range subjects {
		t.Run(sub.name, func(t *testing.T) {
			alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
				s := sub.make(a)
				defer s.Free()
				model := map[int]int{}
				m := &modelled{t: t, s: s, model: model}
				do := func(k int) error {
					v := k
					if i == len(subjects)-1 {
						v = 0
					}
					err := s.put(k, v)
					if err == nil {
						model[k] = v
					}
					return err
				}
				steps := func() error {
					for k := range 40 {
						if err := do(k); err != nil {
							return err
						}
					}
					for k := range 30 {
						s.remove(k)
						delete(model, k)
					}
					if err := s.TryShrinkToFit(); err != nil {
						return err
					}
					if err := s.TryReserve(100); err != nil {
						return err
					}
					for range s.all() { // grow during an iteration
						for k := 100; k < 250; k++ {
							if err := do(k); err != nil {
								return err
							}
						}
						break
					}
					c, err := s.clone()
					if err == nil {
						c.Free()
					}
					return err
				}
				err := steps()
				m.checkAll()
				return err
			})
		})
	}
}
