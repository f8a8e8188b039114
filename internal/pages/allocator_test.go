package pages

import (
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// A model uses an Allocator, and records the owner of each page. It writes a word to some pages of
// each run, and so finds pages that are allocated twice, or that are not zero when they should be.
type model struct {
	t      testing.TB
	a      *Allocator
	runs   []*modelRun
	owners [][]*modelRun // by extent and page
}

// newAllocator returns an Allocator that is checked and closed when the test ends.
func newAllocator(t testing.TB, c Config) *Allocator {
	t.Helper()
	a := new(Allocator)
	a.Init(c)
	t.Cleanup(func() {
		if err := check(a); err != nil {
			t.Error(err)
		}
		a.Close()
	})
	return a
}

// check verifies a, which is not in use.
func check(a *Allocator) error {
	a.Lock()
	defer a.Unlock()
	return a.Check(func(s *Span) error {
		if s.Kind == KindSmall {
			return s.CheckBlocks()
		}
		return nil
	})
}

// inject makes system calls fail as f says, until restore is called or the test ends.
func inject(t testing.TB, f func(op vm.Op, n uintptr) error) (restore func()) {
	t.Helper()
	restore = sync.OnceFunc(vm.Inject(f))
	t.Cleanup(restore)
	return restore
}

type modelRun struct {
	s              *Span
	extent         *Extent
	page, n, align uint32
}

// word returns the first word of page i of the extent.
func word(x *Extent, i uint32) *uint64 { return (*uint64)(x.address(i)) }

// marked reports whether page i gets a word: the first 512 do, and eight in 512 of the others, so
// that a long run costs little memory.
func marked(i uint32) bool { return i < 512 || i%512 < 8 }

func (m *model) owner(x *Extent, i uint32) **modelRun {
	for int(x.index) >= len(m.owners) {
		m.owners = append(m.owners, nil)
	}
	for int(i) >= len(m.owners[x.index]) {
		m.owners[x.index] = append(m.owners[x.index], make([]*modelRun, 1024)...)
	}
	return &m.owners[x.index][i]
}

// own makes r the owner of the pages [a, b), which must have no owner, and be zero unless they are
// dirty.
func (m *model) own(r *modelRun, a, b uint32) {
	m.t.Helper()
	x := r.extent
	for i := a; i < b; i++ {
		o := m.owner(x, i)
		if *o != nil {
			m.t.Fatalf("page %d of extent %d is allocated twice", i, x.index)
		}
		*o = r
		if marked(i) {
			w := word(x, i)
			if *w != 0 && !x.dirty.get(i) {
				m.t.Fatalf("page %d of extent %d is not dirty, and holds %#x", i, x.index, *w)
			}
			*w = uint64(uintptr(unsafe.Pointer(w)))
		}
	}
}

// disown makes the pages [a, b) of r pages without owner. Their words must be intact.
func (m *model) disown(r *modelRun, a, b uint32) {
	m.t.Helper()
	x := r.extent
	for i := a; i < b; i++ {
		o := m.owner(x, i)
		if *o != r {
			m.t.Fatalf("page %d of extent %d belongs to another", i, x.index)
		}
		*o = nil
		if w := word(x, i); marked(i) && *w != uint64(uintptr(unsafe.Pointer(w))) {
			m.t.Fatalf("page %d of extent %d holds %#x, which is not its owner's", i, x.index, *w)
		}
	}
}

func (m *model) alloc(n, align uint32, kind, class, units uint8) bool {
	m.t.Helper()
	a := m.a
	a.Lock()
	defer a.Unlock()
	// Without moving a frontier it is the same run, or none.
	without := a.HasRun(n, align)
	s := a.alloc(n, align, kind, class, units, false)
	if s != nil && !without {
		m.t.Fatalf("a run of %d pages is there, and is not there", n)
	}
	if s == nil {
		s = a.alloc(n, align, kind, class, units, true)
	}
	if s == nil {
		return false
	}
	x := a.extents[s.extent]
	if s.pages != n || s.Kind != kind || uintptr(s.Base)>>PageShift&uintptr(align-1) != 0 {
		m.t.Fatalf("alloc(%d, %d) returned %d pages of kind %d at %#x", n, align, s.pages, s.Kind, s.Base)
	}
	r := &modelRun{s, x, s.page, n, align}
	m.own(r, s.page, s.end())
	m.runs = append(m.runs, r)
	return true
}

// free frees run i, and purges it first if purged.
func (m *model) free(i int, purged bool) {
	m.t.Helper()
	a := m.a
	r := m.runs[i]
	m.runs[i] = m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	m.disown(r, r.page, r.page+r.n)
	if purged {
		if p, n := r.s.Base.Pointer(), r.s.Bytes(); (uintptr(p)|n)%vm.PageSize() == 0 {
			purged = vm.Purge(p, n) == nil
		} else {
			// OS pages are larger than pages, and are purged whole.
			clear(unsafe.Slice((*byte)(p), n))
		}
	}
	a.Lock()
	defer a.Unlock()
	a.Free(r.s, !purged)
}

func (m *model) grow(i int, n uint32) bool {
	m.t.Helper()
	a, r := m.a, m.runs[i]
	if r.s.Kind != KindLarge || n <= r.n {
		return false
	}
	a.Lock()
	defer a.Unlock()
	if !a.Grow(r.s, n) {
		return false
	}
	m.own(r, r.page+r.n, r.page+n)
	r.n = n
	return true
}

func (m *model) shrink(i int, n uint32) bool {
	m.t.Helper()
	a, r := m.a, m.runs[i]
	if r.s.Kind != KindLarge || n >= r.n || n == 0 {
		return false
	}
	a.Lock()
	defer a.Unlock()
	if !a.Shrink(r.s, n) {
		return false
	}
	m.disown(r, r.page+n, r.page+r.n)
	r.n = n
	return true
}

// check compares the Allocator with the model.
func (m *model) check() {
	m.t.Helper()
	if err := check(m.a); err != nil {
		m.t.Fatal(err)
	}
	inUse := uintptr(0)
	for _, r := range m.runs {
		inUse += uintptr(r.n)
		if s := r.s; s.page != r.page || s.pages != r.n || r.extent.neighbour(s.page) != s {
			m.t.Fatalf("a run of %d pages at page %d has become one of %d at page %d", r.n, r.page, s.pages, s.page)
		}
	}
	if m.a.inUse != inUse {
		m.t.Fatalf("inUse == %d, but runs of %d pages are allocated", m.a.inUse, inUse)
	}
}

func (m *model) setHard(hard uintptr) {
	m.a.Lock()
	defer m.a.Unlock()
	m.a.SetHard(hard)
}

// op runs the operation encoded in four bytes.
func (m *model) op(op, a, b, c byte) {
	m.t.Helper()
	const unit = MapUnit >> PageShift
	some := func() int { return (int(a)<<8 | int(b)) % len(m.runs) }
	switch op %= 16; {
	case op < 4:
		m.alloc(1+uint32(a)%80, 1<<(b%4), KindLarge, 0, 1)
	case op == 4:
		m.alloc(1+uint32(a)<<4|uint32(b)%16, 1<<(c%6), KindLarge, 0, 1)
	case op == 5:
		m.alloc(unit-uint32(a)%4, 1<<(b%16), KindLarge, 0, 1) // a whole extent, or a bit less
	case op == 6:
		k := &Classes[1+a%(FirstMedium-1)]
		if b%2 == 0 {
			m.alloc(uint32(k.Pages), 1, KindSmall, 1+a%(FirstMedium-1), k.units)
		} else {
			m.alloc(uint32(k.LongPages), 1, KindSmall, 1+a%(FirstMedium-1), k.longUnits)
		}
	case op == 7:
		m.a.Purge(c%2 == 0)
	case op == 8:
		hard := uintptr(0)
		if c%4 != 0 {
			m.a.Lock()
			hard = m.a.Footprint() + uintptr(a)<<PageShift
			m.a.Unlock()
			hard -= min(hard-1, uintptr(b)<<PageShift)
		}
		m.setHard(hard)
	case op == 9:
		m.a.RecoverLost()
	case op == 10: // pages that are purged now are lost until op 9
		restore := inject(m.t, func(op vm.Op, _ uintptr) error {
			if op == vm.OpPurge || op == vm.OpPurgeLazy || op == vm.OpCommit {
				return vm.ErrTooLarge
			}
			return nil
		})
		m.a.Purge(c%2 == 0)
		restore()
	case len(m.runs) == 0:
	case op < 14:
		m.free(some(), c%4 == 0)
	case op == 14:
		m.grow(some(), m.runs[some()].n+1+uint32(c))
	case op == 15:
		i := some()
		m.shrink(i, m.runs[i].n-min(m.runs[i].n, 1+uint32(c)))
	}
}

// run runs all operations, checks after every few, and frees all runs. Then each extent is one free
// run.
func (m *model) run(ops []byte, every int) {
	m.t.Helper()
	for i := 0; len(ops) >= 4; i++ {
		m.op(ops[0], ops[1], ops[2], ops[3])
		ops = ops[4:]
		if i%every == 0 {
			m.check()
		}
	}
	m.finish()
}

func (m *model) finish() {
	m.t.Helper()
	for len(m.runs) > 0 {
		m.free(len(m.runs)-1, false)
	}
	m.setHard(0)
	m.a.RecoverLost()
	m.check()
	a := m.a
	if a.used != 0 || a.large != 0 {
		m.t.Fatalf("used == %d, large == %d after everything was freed", a.used, a.large)
	}
	for _, x := range a.extents {
		if s := x.neighbour(0); x.frontier != 0 && s.pages != x.frontier {
			m.t.Fatalf("extent %d: the free pages are not one run: %d of %d pages", x.index, s.pages, x.frontier)
		}
	}
	m.a.Purge(false)
	m.check()
	if a.dirty != 0 {
		m.t.Fatalf("dirty == %d after everything has been purged", a.dirty)
	}
}

func FuzzPages(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomBytes(seed, 200), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, ops []byte, lazy bool) {
		a := newAllocator(t, Config{First: 1, Lazy: lazy})
		m := &model{t: t, a: a}
		m.run(ops[:min(len(ops), 4*64)], 1)
	})
}

func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestPagesAtRandom(t *testing.T) {
	rounds := uint64(8)
	if vm.GoMemory {
		rounds = 2
	}
	for seed := range rounds {
		a := newAllocator(t, Config{First: 1, Lazy: seed%2 == 1})
		m := &model{t: t, a: a}
		m.run(randomBytes(100+seed, 4*600), 50)
	}
}

// find returns the shortest run that is long enough.
func TestFind(t *testing.T) {
	a := newAllocator(t, Config{First: 1})
	m := &model{t: t, a: a}
	m.alloc(100*101/2+100, 1, KindLarge, 0, 1)
	m.free(0, false)
	// Free runs of each length, with an allocated page between them.
	for n := uint32(1); n <= 100; n++ {
		m.alloc(n, 1, KindLarge, 0, 1)
		m.alloc(1, 1, KindLarge, 0, 1)
	}
	for i := 198; i >= 0; i -= 2 {
		m.free(i, false)
	}
	m.check()
	for n := uint32(1); n <= 100; n++ {
		s := a.find(n)
		if s == nil || s.pages != n {
			t.Fatalf("find(%d) == %v", n, s)
		}
	}
	m.finish()
}

// If records run out, allocations fail, and nothing else changes.
func TestRecordsRunOut(t *testing.T) {
	a := newAllocator(t, Config{First: 1})
	m := &model{t: t, a: a}
	m.alloc(300, 1, KindLarge, 0, 1)
	m.free(0, false)
	x := a.extents[0]
	size := x.records.size
	for spare := range uint32(40) { // spare records are left
		for x.recordTop+spare < uint32(x.records.committed/unitSize) && m.alloc(1, 1, KindLarge, 0, 1) {
		}
		x.records.size = x.records.committed
		r := rand.New(rand.NewPCG(uint64(spare), 3))
		for range 60 {
			switch {
			case len(m.runs) > 0 && r.IntN(2) == 0:
				m.free(r.IntN(len(m.runs)), false)
			case len(m.runs) > 0 && r.IntN(4) == 0:
				i := r.IntN(len(m.runs))
				if !m.grow(i, m.runs[i].n+2) {
					m.shrink(i, m.runs[i].n/2)
				}
			default:
				m.alloc(1+uint32(r.IntN(9)), 1<<r.IntN(5), KindLarge, 0, 1)
			}
		}
		m.check()
		a.Purge(false)
		m.check()
		x.records.size = size
	}
	m.finish()
}
