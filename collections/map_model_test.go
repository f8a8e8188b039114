package collections

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// What the hash tables do is compared with Go's maps here: all of them through one interface, with numbers for keys
// and values, by programs of bytes.

type subject interface {
	put(k, v int) error
	putIfAbsent(k, v int) (bool, error)
	get(k int) (int, bool)
	remove(k int) bool
	all() iter.Seq2[int, int]
	clone() (subject, error)
	TryReserve(n int) error
	TryShrinkToFit() error
	Len() int
	Cap() int
	Clear()
	Free()
	check() error
}

// check reports which of the invariants of the table is broken.
func (t *table[S]) check(hash hasher[S]) error {
	n, tombstones := 0, 0
	for g := uintptr(0); t.base != nil && g <= t.mask; g++ {
		grp := t.group(g)
		for i := range uintptr(groupSlots) {
			switch c := grp.byteOf(i); {
			case c == deleted:
				tombstones++
			case c >= full:
				n++
				h := hash(c, grp.slot(i))
				if h&0x7f|full != c {
					return fmt.Errorf("slot %d of group %d has control %x and hash %x", i, g, c, h)
				}
				for to, d := t.home(h), uintptr(1); to != g; d++ {
					if matchEmpty(t.group(to).control) != 0 {
						return fmt.Errorf("slot %d of group %d, of home %d, is not found: group %d is before it", i, g, t.home(h), to)
					}
					to = (to + d) & t.mask
				}
			case c != empty:
				return fmt.Errorf("control %x", c)
			}
		}
	}
	if n != t.used || t.left != t.limit()-n-tombstones || t.left < 0 {
		return fmt.Errorf("%d full, %d deleted, limit %d; used is %d, left is %d", n, tombstones, t.limit(), t.used, t.left)
	}
	if t.running.Load() == 0 && len(t.retired) != 0 {
		return errors.New("retired tables are left")
	}
	return nil
}

// numbers is a Map of numbers; other keys below.
type keyed[K comparable] struct {
	*Map[K, int]
	key    func(int) K
	number func(K) int
}

func (m keyed[K]) put(k, v int) error                 { return m.TryPut(m.key(k), v) }
func (m keyed[K]) putIfAbsent(k, v int) (bool, error) { return m.TryPutIfAbsent(m.key(k), v) }
func (m keyed[K]) get(k int) (int, bool)              { return m.Get(m.key(k)) }
func (m keyed[K]) remove(k int) bool                  { return m.Delete(m.key(k)) }
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

// odd is a key with all that makes hashing it hard.
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
	// Whatever stands in the padding and in the blank field must not matter.
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

// text makes strings of numbers, some of them long, and one very long.
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
		panic("collections: a broken string")
	}
	return k
}

func (m strung) put(k, v int) error                 { return m.TryPut(text(k), v) }
func (m strung) putIfAbsent(k, v int) (bool, error) { return m.TryPutIfAbsent(text(k), v) }
func (m strung) get(k int) (int, bool)              { return m.GetBytes([]byte(text(k))) }
func (m strung) remove(k int) bool                  { return m.Delete(text(k)) }
func (m strung) check() error                       { return m.t.check(m.wholeHash) }
func (m *StringMap[V]) wholeHash(control uint64, s *stringSlot[V]) uint64 {
	h := m.hash(m.keys.get(s.handle()))
	if s.ref&^handleMask != h&^handleMask {
		panic("collections: not the hash of the key")
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
func (m texts) remove(k int) bool                  { return m.Delete(text(k)) }
func (m texts) check() error                       { return m.m.t.check(m.m.wholeHash) }
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

// member is a Set; all values are 0.
type member struct{ *Set[uint16] }

func (s member) put(k, _ int) error                 { _, err := s.TryAdd(uint16(k)); return err }
func (s member) putIfAbsent(k, _ int) (bool, error) { return s.TryAdd(uint16(k)) }
func (s member) get(k int) (int, bool)              { return 0, s.Has(uint16(k)) }
func (s member) remove(k int) bool                  { return s.Delete(uint16(k)) }
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

// switched is an allocator that fails while it is told to, or for more bytes than it is told to.
type switched struct {
	*alloctest.FailingAllocator
	off  bool
	most uintptr // if not 0
}

func (a *switched) Allocate(l galloc.Layout) ([]byte, error) {
	if a.off && l.Size() != 0 || a.most != 0 && l.Size() > a.most {
		return nil, galloc.ErrOutOfMemory
	}
	return a.FailingAllocator.Allocate(l)
}

// modelled is a subject, and what it should be.
type modelled struct {
	t     *testing.T
	a     *switched
	s     subject
	noVal bool
	model map[int]int

	// In an iteration: when entries came, and when they were put; and how often all were removed.
	clock, cleared int
	born           map[int]int
	depth          int
}

// run does what program says: 2 bytes for each operation.
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
		case 6, 7, 8:
			_, want := m.model[k]
			if got := m.s.remove(k); got != want {
				m.t.Fatalf("removing %d: %v, not %v", k, got, want)
			}
			delete(m.model, k)
		case 9:
			want, there := m.model[k]
			if got, ok := m.s.get(k); ok != there || got != want {
				m.t.Fatalf("the value of %d is %d, %v, not %d, %v", k, got, ok, want, there)
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
				m.t.Fatalf("%d put: %v, not %v", k, put, want)
			case put:
				m.model[k], m.born[k] = v, m.clock
			}
		case 15:
			m.checkAll()
		}
		m.a.off = false
		if m.s.Len() != len(m.model) || m.s.Cap() < m.s.Len() {
			m.t.Fatalf("length %d, capacity %d, not %d", m.s.Len(), m.s.Cap(), len(m.model))
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

// rare does what happens to the whole.
func (m *modelled) rare(arg int) {
	switch arg % 6 {
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
		if m.depth == 0 {
			c, m.s = m.s, c // go on with the clone; the original is the one to be freed
		}
		other := modelled{t: m.t, s: c, model: m.model}
		other.checkAll()
		c.Free()
	}
	m.checkAll()
}

// iterate goes through the subject, and meanwhile through the program.
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
	given := map[int]int{} // when
	for k, v := range m.s.all() {
		m.clock++
		if m.cleared != cleared {
			m.t.Fatalf("%d came after Clear or Free", k)
		}
		if want, there := m.model[k]; !there || v != want {
			m.t.Fatalf("%d came with %d; there is %v, %d", k, v, there, want)
		}
		if when, ok := given[k]; ok && m.born[k] < when {
			m.t.Fatalf("%d came twice", k)
		}
		given[k] = m.clock
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
		if _, there := m.model[k]; there && m.born[k] == born && born <= start && given[k] == 0 {
			m.t.Fatalf("%d did not come", k)
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
			m.t.Fatalf("there is %d with value %d; there should be: %v, %d", k, v, there, want)
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

func runModel(t *testing.T, which int, program []byte) {
	t.Helper()
	sub := subjects[which%len(subjects)]
	a := &switched{FailingAllocator: alloctest.Failing(0)}
	m := &modelled{t: t, a: a, s: sub.make(a), noVal: strings.HasPrefix(sub.name, "Set"), model: map[int]int{}, born: map[int]int{}}
	m.run(program)
	m.checkAll()
	m.s.Free()
	if live, mistakes := a.Live(), a.Mistakes(); len(live)+len(mistakes) != 0 {
		t.Fatalf("left: %v\n%s", live, strings.Join(mistakes, "\n"))
	}
}

func FuzzHashTables(f *testing.F) {
	for i := range subjects {
		f.Add(byte(i), []byte{10, 60, 12, 0, 0, 200, 0x86, 100, 10, 255, 12, 1, 13, 4, 13, 3, 15, 0})
	}
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		if len(program) > 1<<12 {
			return
		}
		runModel(t, int(which), program)
	})
}

func TestHashTablesDoAsGoMapsDo(t *testing.T) {
	for i, sub := range subjects {
		t.Run(sub.name, func(t *testing.T) {
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
				// Failures and whole operations are rarer than chance has them.
				for j := 0; j < len(program); j += 2 {
					if r.IntN(8) != 0 {
						program[j] &^= 0x40
					}
					if program[j]%16 == 13 && program[j+1]%6 < 2 && r.IntN(4) != 0 {
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
			alloctest.CheckFailures(t, func(a galloc.Allocator) error {
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
					for range s.all() { // growing within
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
