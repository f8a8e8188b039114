package engine

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

// A pagesModel drives the pages of a heap, and knows which page belongs to whom. A word in some of the pages of a run says
// whose they are: so a page that is handed out twice, or that is not zero when it should be, is found out.
type pagesModel struct {
	t      testing.TB
	h      *Heap
	runs   []*modelRun
	owners [][]*modelRun // by extent and page
	hard   uintptr
}

type modelRun struct {
	s              *span
	extent         *extent
	page, n, align uint32
}

// word returns the first word of page i of the extent.
func word(x *extent, i uint32) *uint64 { return (*uint64)(x.address(i)) }

// marked says which pages bear a word: the first 512, and of the others eight in 512, so that a large run costs little memory.
func marked(i uint32) bool { return i < 512 || i%512 < 8 }

func (m *pagesModel) owner(x *extent, i uint32) **modelRun {
	for int(x.index) >= len(m.owners) {
		m.owners = append(m.owners, nil)
	}
	for int(i) >= len(m.owners[x.index]) {
		m.owners[x.index] = append(m.owners[x.index], make([]*modelRun, 1024)...)
	}
	return &m.owners[x.index][i]
}

// own gives r the pages from a up to b, which must be nobody's, and zero if they are not known as dirty.
func (m *pagesModel) own(r *modelRun, a, b uint32) {
	m.t.Helper()
	x := r.extent
	for i := a; i < b; i++ {
		o := m.owner(x, i)
		if *o != nil {
			m.t.Fatalf("page %d of extent %d is handed out twice", i, x.index)
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

// disown takes the pages from a up to b from r, whose words must still be there.
func (m *pagesModel) disown(r *modelRun, a, b uint32) {
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

func (m *pagesModel) take(n, align uint32, kind, class, units uint8) bool {
	m.t.Helper()
	ps := &m.h.pages
	ps.mu.Lock()
	defer ps.mu.Unlock()
	s := ps.take(n, align, kind, class, units)
	if s == nil {
		return false
	}
	x := ps.extents[s.extent]
	if s.pages != n || s.kind != kind || uintptr(s.base)>>pageShift&uintptr(align-1) != 0 {
		m.t.Fatalf("take(%d, %d) returned %d pages of kind %d at %#x", n, align, s.pages, s.kind, s.base)
	}
	r := &modelRun{s, x, s.page, n, align}
	m.own(r, s.page, s.end())
	m.runs = append(m.runs, r)
	return true
}

// put gives run i back, purged if so asked.
func (m *pagesModel) put(i int, purged bool) {
	m.t.Helper()
	ps := &m.h.pages
	r := m.runs[i]
	m.runs[i] = m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	m.disown(r, r.page, r.page+r.n)
	if purged {
		if p, n := r.s.base.pointer(), r.s.bytes(); (uintptr(p)|n)%vm.PageSize() == 0 {
			purged = vm.Purge(p, n) == nil
		} else {
			clear(unsafe.Slice((*byte)(p), n)) // OS pages are larger than pages, and are purged whole
		}
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.put(r.s, !purged)
}

func (m *pagesModel) grow(i int, n uint32) bool {
	m.t.Helper()
	ps, r := &m.h.pages, m.runs[i]
	if r.s.kind != kindLarge || n <= r.n {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !ps.grow(r.s, n) {
		return false
	}
	m.own(r, r.page+r.n, r.page+n)
	r.n = n
	return true
}

func (m *pagesModel) shrink(i int, n uint32) bool {
	m.t.Helper()
	ps, r := &m.h.pages, m.runs[i]
	if r.s.kind != kindLarge || n >= r.n || n == 0 {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !ps.shrink(r.s, n) {
		return false
	}
	m.disown(r, r.page+n, r.page+r.n)
	r.n = n
	return true
}

// check compares the heap with the model.
func (m *pagesModel) check() {
	m.t.Helper()
	if err := m.h.CheckInUse(); err != nil {
		m.t.Fatal(err)
	}
	inUse := uintptr(0)
	for _, r := range m.runs {
		inUse += uintptr(r.n)
		if s := r.s; s.page != r.page || s.pages != r.n || r.extent.neighbour(s.page) != s {
			m.t.Fatalf("a run of %d pages at page %d has become one of %d at page %d", r.n, r.page, s.pages, s.page)
		}
	}
	if m.h.pages.inUse != inUse {
		m.t.Fatalf("inUse == %d, but runs of %d pages are handed out", m.h.pages.inUse, inUse)
	}
}

// op does what four bytes say.
func (m *pagesModel) op(op, a, b, c byte) {
	m.t.Helper()
	ps := &m.h.pages
	const unit = mapUnit >> pageShift
	some := func() int { return (int(a)<<8 | int(b)) % len(m.runs) }
	switch op %= 16; {
	case op < 4:
		m.take(1+uint32(a)%80, 1<<(b%4), kindLarge, 0, 1)
	case op == 4:
		m.take(1+uint32(a)<<4|uint32(b)%16, 1<<(c%6), kindLarge, 0, 1)
	case op == 5:
		m.take(unit-uint32(a)%4, 1<<(b%16), kindLarge, 0, 1) // all of an extent, or a bit less
	case op == 6:
		k := &classes[1+a%(numClasses-1)]
		if b%2 == 0 {
			m.take(uint32(k.pages), 1, kindSpan, 1+a%(numClasses-1), k.units)
		} else {
			m.take(uint32(k.morePages), 1, kindSpan, 1+a%(numClasses-1), k.moreUnits)
		}
	case op == 7:
		m.h.purge(c%2 == 0)
	case op == 8:
		hard := uintptr(0)
		if c%4 != 0 {
			ps.mu.Lock()
			hard = ps.footprint() + uintptr(a)<<pageShift
			ps.mu.Unlock()
			hard -= min(hard-1, uintptr(b)<<pageShift)
		}
		m.h.SetLimit(0, hard, nil)
	case op == 9:
		m.h.pages.recoverLost()
	case op == 10: // what is purged now is lost, until op 9
		restore := inject(m.t, func(op vm.Op, _ uintptr) error {
			if op == vm.OpPurge || op == vm.OpPurgeLazy || op == vm.OpCommit {
				return vm.ErrTooLarge
			}
			return nil
		})
		m.h.purge(c%2 == 0)
		restore()
	case len(m.runs) == 0:
	case op < 14:
		m.put(some(), c%4 == 0)
	case op == 14:
		m.grow(some(), m.runs[some()].n+1+uint32(c))
	case op == 15:
		i := some()
		m.shrink(i, m.runs[i].n-min(m.runs[i].n, 1+uint32(c)))
	}
}

// run does all operations, checks after every few, and gives everything back: then the pages are one free run for each extent.
func (m *pagesModel) run(ops []byte, every int) {
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

func (m *pagesModel) finish() {
	m.t.Helper()
	for len(m.runs) > 0 {
		m.put(len(m.runs)-1, false)
	}
	m.h.SetLimit(0, 0, nil)
	m.h.pages.recoverLost()
	m.check()
	ps := &m.h.pages
	if ps.used != 0 || ps.large != 0 {
		m.t.Fatalf("used == %d, large == %d after everything has been given back", ps.used, ps.large)
	}
	for _, x := range ps.extents {
		if s := x.neighbour(0); x.frontier != 0 && s.pages != x.frontier {
			m.t.Fatalf("extent %d: the free pages are not one run: %d of %d pages", x.index, s.pages, x.frontier)
		}
	}
	m.h.purge(false)
	m.check()
	if ps.dirty != 0 {
		m.t.Fatalf("dirty == %d after everything has been purged", ps.dirty)
	}
}

func FuzzPages(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomBytes(seed, 200), seed%2 == 0)
	}
	f.Fuzz(func(t *testing.T, ops []byte, lazy bool) {
		h, _ := newHeap(t, Config{First: 1, Decay: -1, Lazy: lazy})
		m := &pagesModel{t: t, h: h}
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
		h, _ := newHeap(t, Config{First: 1, Decay: -1, Lazy: seed%2 == 1})
		m := &pagesModel{t: t, h: h}
		m.run(randomBytes(100+seed, 4*600), 50)
	}
}

// A request that the hard limit refuses costs nothing, however often it comes: least of all an extent.
func TestRefusalsByTheLimitReserveNothing(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(1<<20, 8, false) {
		t.Fatal("no memory")
	}
	h.SetLimit(0, readStats(h).Footprint+1<<20, nil)
	before := readStats(h)
	for range 20 {
		if d.alloc(3<<20, 8, false) {
			t.Fatal("a block beyond the limit")
		}
	}
	after := readStats(h)
	if after.Extents != before.Extents || after.Reserved != before.Reserved {
		t.Errorf("20 refused requests have made %d extents of %d, %d bytes of %d",
			after.Extents, before.Extents, after.Reserved, before.Reserved)
	}
	if after.LimitRefusals == before.LimitRefusals || after.SystemRefusals != before.SystemRefusals {
		t.Errorf("counted as %d refusals by the limit and %d by the system", after.LimitRefusals-before.LimitRefusals,
			after.SystemRefusals-before.SystemRefusals)
	}
	d.freeAll()
}

// The same if it is the system that refuses to commit.
func TestRefusalsByTheSystemReserveNothing(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(1<<20, 8, false) {
		t.Fatal("no memory")
	}
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpCommit {
			return vm.ErrTooLarge
		}
		return nil
	})
	extents := 0
	for i := range 20 {
		if d.alloc(3<<20, 8, false) {
			t.Fatal("a block without memory")
		}
		if s := readStats(h); i < 3 {
			extents = s.Extents
		} else if s.Extents != extents {
			t.Fatalf("%d refused requests have made %d extents", i+1, s.Extents)
		}
	}
	restore()
	if !d.alloc(3<<20, 8, false) {
		t.Fatal("no memory")
	}
	d.freeAll()
}

// A hard limit below the footprint takes nothing away, but what is free can still go, and then allocations are possible again.
func TestALoweredLimitLetsFreePagesGo(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	for range 4 {
		if !d.alloc(1<<20, 8, false) {
			t.Fatal("no memory")
		}
	}
	for range 3 {
		d.free(0, false)
	}
	h.SetLimit(0, 2<<20, nil)
	for range 3 {
		timer.fire()
	}
	if s := readStats(h); s.Dirty != 0 {
		t.Errorf("Dirty == %d after 3 ticks", s.Dirty)
	}
	if !d.alloc(300<<10, 8, false) {
		t.Error("no memory: what is free has not been given back")
	}
	d.freeAll()
}

// The footprint stays within the hard limit, metadata included.
func TestFootprintStaysWithinTheHardLimit(t *testing.T) {
	for _, hard := range []uintptr{512 << 10, 1 << 20, 8<<20 + 12345} {
		for _, size := range []uintptr{8, 64, 1000, 5000, 40000, 300000} {
			if size == 8 {
				hard = min(hard, 3<<20)
			}
			h, _ := newHeap(t, Config{First: 1})
			d := &shadow{t: t, h: h}
			h.SetLimit(0, hard, nil)
			for d.alloc(size, 8, false) {
			}
			if f := readStats(h).Footprint; f > hard {
				t.Errorf("limit %d, blocks of %d: footprint %d", hard, size, f)
			}
			d.verify()
			d.freeAll()
		}
	}
}

// find takes the shortest run where bins are exact, and always finds one if there is one.
func TestFind(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1, Decay: -1})
	m := &pagesModel{t: t, h: h}
	m.take(100*101/2+100, 1, kindLarge, 0, 1)
	m.put(0, false)
	for n := uint32(1); n <= 100; n++ { // free runs of each length, a page between them
		m.take(n, 1, kindLarge, 0, 1)
		m.take(1, 1, kindLarge, 0, 1)
	}
	for i := 198; i >= 0; i -= 2 {
		m.put(i, false)
	}
	m.check()
	ps := &h.pages
	for n := uint32(1); n <= 100; n++ {
		s := ps.find(n)
		if s == nil || s.pages < n || n <= exactBins && s.pages != n {
			t.Fatalf("find(%d) == %v", n, s)
		}
	}
	m.finish()
}

func TestBinOf(t *testing.T) {
	last := 0
	for n := uint32(1); n < 1<<16; n++ {
		b := binOf(n)
		if b < last || b > last+1 || b >= numBins {
			t.Fatalf("binOf(%d) == %d after %d", n, b, last)
		}
		if n <= exactBins && b != int(n) {
			t.Fatalf("binOf(%d) == %d", n, b)
		}
		last = b
	}
	for s := range 32 {
		for _, n := range []uint32{1<<s - 1, 1 << s, 1<<s + 1} {
			if b := binOf(max(n, 1)); b <= 0 || b >= numBins {
				t.Fatalf("binOf(%d) == %d", n, b)
			}
		}
	}
}

// The pages of blocks that grow and shrink where they are.
func TestGrowAndShrinkInPlace(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(100<<10, 8, false) {
		t.Fatal("no memory")
	}
	for _, size := range []uintptr{200 << 10, 1 << 20, 40 << 10, 40<<10 + 1, 3 << 20, 33 << 10} {
		if !d.resize(0, size) {
			t.Fatalf("not resized to %d", size)
		}
		wantCheck(t, h)
	}
	if !d.alloc(100<<10, 8, false) {
		t.Fatal("no memory")
	}
	d.freeAll()
	h.Trim()
	// A neighbour is in the way.
	for range 2 {
		if !d.alloc(64<<10, 8, false) {
			t.Fatal("no memory")
		}
	}
	if i := b2i(uintptr(d.live[0].p) > uintptr(d.live[1].p)); d.resize(i, 128<<10) {
		t.Fatal("grown over a neighbour")
	}
	d.freeAll()
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// When there are no records to be had, runs are refused, and nothing else changes.
func TestRecordsRunOut(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1, Decay: -1})
	m := &pagesModel{t: t, h: h}
	m.take(300, 1, kindLarge, 0, 1)
	m.put(0, false)
	ps := &h.pages
	x := ps.extents[0]
	size := x.records.size
	for spare := range uint32(40) { // so many records are left
		for x.recordTop+spare < uint32(x.records.ready/unitSize) && m.take(1, 1, kindLarge, 0, 1) {
		}
		x.records.size = x.records.ready
		r := rand.New(rand.NewPCG(uint64(spare), 3))
		for range 60 {
			switch {
			case len(m.runs) > 0 && r.IntN(2) == 0:
				m.put(r.IntN(len(m.runs)), false)
			case len(m.runs) > 0 && r.IntN(4) == 0:
				i := r.IntN(len(m.runs))
				if !m.grow(i, m.runs[i].n+2) {
					m.shrink(i, m.runs[i].n/2)
				}
			default:
				m.take(1+uint32(r.IntN(9)), 1<<r.IntN(5), kindLarge, 0, 1)
			}
		}
		m.check()
		h.purge(false)
		m.check()
		x.records.size = size
	}
	m.finish()
}

// An allocation that the limit refuses at first takes what others hold in reserve: blocks in caches, free pages, lost pages.
func TestRelief(t *testing.T) {
	withProcs(t, 1)
	limit := func(h *Heap) { h.SetLimit(0, readStats(h).Footprint, nil) }
	t.Run("free pages", func(t *testing.T) {
		h, _ := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		for range 32 {
			d.alloc(64<<10, 8, false)
		}
		limit(h)
		for i := 30; i >= 0; i -= 2 { // with others between
			d.free(i, false)
		}
		if !d.alloc(512<<10, 8, false) {
			t.Error("no memory, though 1 MiB is free")
		}
		d.freeAll()
	})
	t.Run("caches", func(t *testing.T) {
		h, _ := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		for _, n := range []uintptr{5000, 7000, 10000, 14000, 20000, 28000, 32000} {
			for range 3 {
				d.alloc(n, 8, false)
			}
		}
		limit(h)
		d.freeAll()
		if cached := readStats(h).Cached; cached < 200<<10 {
			t.Fatalf("Cached == %d", cached)
		}
		if !d.alloc(200<<10, 8, false) {
			t.Error("no memory, though caches hold it")
		}
		d.freeAll()
	})
	t.Run("lost pages", func(t *testing.T) {
		h, timer := newHeap(t, Config{First: 1})
		d := &shadow{t: t, h: h}
		d.alloc(1<<20, 8, false)
		limit(h)
		d.freeAll()
		restore := inject(t, func(vm.Op, uintptr) error { return errInjected })
		timer.fire()
		timer.fire()
		restore()
		if held := readStats(h).Held; held != 1<<20 {
			t.Fatalf("Held == %d", held)
		}
		if !d.alloc(1<<20, 8, false) {
			t.Error("no memory, though pages are lost that can be had again")
		}
		d.freeAll()
	})
}

// Blocks are moved by moving their pages where that pays, to longer runs and to shorter ones. What stays behind is not taken for
// zero.
func TestMoves(t *testing.T) {
	for _, c := range []struct{ from, to uintptr }{
		{4 << 20, 6 << 20}, {6 << 20, 4 << 20}, {256 << 10, 512 << 10}, {4<<20 + 100, 4<<20 + 3*pageSize},
	} {
		h, timer := newHeap(t, Config{First: 1})
		b := block{h.Alloc(c.from, 8), c.from, 8, 1}
		other := h.Alloc(1<<20, 8)
		if b.p == nil || other == nil {
			t.Fatal("no memory")
		}
		b.stamp()
		was := b.p
		b.p = h.moveLarge(b.p, c.from, 8, c.to)
		if b.p == nil || b.p == was {
			t.Fatalf("moved from %p to %p", was, b.p)
		}
		b.wantStamp(t, min(c.from, c.to))
		wantCheck(t, h)
		p := h.AllocZeroed(c.from, 8)
		wantZero(t, p, c.from)
		h.Free(p, c.from, 8)
		h.Free(b.p, c.to, 8)
		h.Free(other, 1<<20, 8)
		t.Logf("%d to %d: %d moved", c.from, c.to, readStats(h).Moved)
		wantNothingLeft(t, h, timer)
	}
}
