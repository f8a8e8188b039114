// Verification of the equations beside the types. See allocator.go for the overview.

package pages

import (
	"fmt"
	"math/bits"
)

// Check verifies every equation beside the types of this package: with the lock held. It returns an
// error for the first that does not hold, with its numbers. It calls visit for every KindSmall and
// KindLarge span, which must call CheckBlocks where the bitmap is not changing. It takes time in
// proportion to the pages below the frontiers, and Go memory.
func (a *Allocator) Check(visit func(*Span) error) error {
	c := &checker{a: a, visit: visit}
	c.bins()
	for _, x := range a.extents {
		c.extent(x)
	}
	c.sums()
	return c.err
}

// Maps reports whether the page map leads from the first page of s to s: with the lock held.
func (a *Allocator) Maps(s *Span) bool { return a.extents[s.extent].neighbour(s.page) == s }

// A checker is the state of a Check.
type checker struct {
	a     *Allocator
	visit func(*Span) error
	err   error

	binned                  map[Ref]int // free runs that are in bins
	frontiers, free, dirty  uintptr
	inUse, large, largeRuns uintptr
	held, meta, hollow      uintptr
}

// fail keeps the first error.
func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("pages: "+format, args...)
	}
}

// walk calls f for each span of l, and verifies the links.
func (c *checker) walk(what string, l *List, f func(*Span)) {
	err := l.Check(func(s *Span) error {
		f(s)
		return c.err
	})
	if err != nil && c.err == nil {
		c.fail("%s: %w", what, err)
	}
}

func (c *checker) bins() {
	a := c.a
	c.binned = make(map[Ref]int)
	count := func(b int, s *Span) {
		if s.Kind != KindFree || min(int(s.pages), numBins) != b {
			c.fail("bin %d has a run of kind %d and %d pages", b, s.Kind, s.pages)
		}
		if _, again := c.binned[s.ref()]; again {
			c.fail("bin %d has a run of %d pages twice", b, s.pages)
		}
		c.binned[s.ref()] = b
	}
	for b := range a.bins {
		c.walk(fmt.Sprintf("bin %d", b), &a.bins[b], func(s *Span) { count(b, s) })
		if got, want := a.binMap[b/64]>>(b%64)&1 != 0, a.bins[b].head != 0; got != want {
			c.fail("binMap[%d] == %v, but the bin has a run: %v", b, got, want)
		}
	}
	if err := a.long.check(func(s *Span) { count(numBins, s) }); err != nil {
		c.fail("the tree of long runs: %w", err)
	}
}

func (c *checker) extent(x *Extent) {
	if ok := x.frontier <= x.committed && x.committed <= x.pages; !ok {
		c.fail("extent %d: frontier <= committed <= pages: %d, %d, %d", x.index, x.frontier, x.committed, x.pages)
		return
	}
	if x.owner != c.a || int(x.index) >= len(c.a.extents) || c.a.extents[x.index] != x {
		c.fail("extent %d: owner %p, want %p, or the index is wrong", x.index, x.owner, c.a)
		return
	}
	for off := uintptr(0); off < uintptr(x.pages)<<PageShift; off += MapUnit {
		if y := ExtentAt(RefOf(x.base) + Ref(off)); y != x {
			c.fail("extent %d: ExtentAt(base + %#x) == %p, want %p", x.index, off, y, x)
		}
	}
	words := (uintptr(x.frontier) + 63) / 64
	if x.pageMapMem.committed < 4*uintptr(x.frontier) || x.classMapMem.committed < uintptr(x.frontier) ||
		x.bitmapsMem.committed < 8*words ||
		x.recordTop > 1 && x.records.committed < uintptr(x.recordTop)*unitSize {
		c.fail("extent %d: metadata committed for frontier %d, recordTop %d: map %d, bits %d, records %d bytes",
			x.index, x.frontier, x.recordTop, x.pageMapMem.committed, x.bitmapsMem.committed, x.records.committed)
		return
	}
	c.meta += x.metaBytes()
	c.frontiers += uintptr(x.frontier)
	units := make([]bool, x.recordTop)
	var last *Span
	for i := uint32(0); i < x.frontier && c.err == nil; {
		s := c.run(x, i, units)
		if s == nil {
			return
		}
		if last != nil && last.Kind == KindFree && s.Kind == KindFree {
			c.fail("extent %d: free runs touch at page %d", x.index, i)
		}
		last, i = s, s.end()
	}
	c.bits(x)
	c.records(x, units)
}

// run checks the run that begins at page i, and returns it, or nil if there is none.
func (c *checker) run(x *Extent, i uint32, units []bool) *Span {
	u := x.pageMap[i]
	if u == 0 || u >= x.recordTop {
		c.fail("extent %d: pageMap[%d] == %d, want a record below %d", x.index, i, u, x.recordTop)
		return nil
	}
	s := x.record(u)
	if s.page != i || s.pages == 0 || s.pages > x.frontier-i || s.extent != x.index ||
		uintptr(s.Base) != uintptr(x.address(i)) {
		c.fail("extent %d: the run at page %d of %d says page %d, %d pages, extent %d, base %#x (extent.base %#x)",
			x.index, i, x.frontier, s.page, s.pages, s.extent, s.Base, x.base)
		return nil
	}
	c.mark(x, s, units)
	for p := i; p < s.end(); p++ {
		want := uint32(0)
		if s.Kind == KindSmall || p == i || p == s.end()-1 {
			want = u
		}
		if x.pageMap[p] != want {
			c.fail("extent %d: pageMap[%d] == %d, want %d: kind %d, pages %d to %d", x.index, p, x.pageMap[p], want,
				s.Kind, i, s.end())
			return nil
		}
		class := uint8(0)
		if s.Kind == KindSmall {
			class = s.Class
		}
		if x.classMap[p] != class {
			c.fail("extent %d: classMap[%d] == %d, want %d: kind %d, pages %d to %d", x.index, p, x.classMap[p],
				class, s.Kind, i, s.end())
			return nil
		}
	}
	n := uintptr(s.pages)
	if got, want := x.free.count(i, s.end()), int(s.pages); s.Kind == KindFree && got != want || s.Kind != KindFree &&
		got != 0 {
		c.fail("extent %d: %d bits of free set in the run of kind %d, pages %d to %d", x.index, got, s.Kind, i, s.end())
	}
	_, binned := c.binned[s.ref()]
	if binned != (s.Kind == KindFree) {
		c.fail("extent %d: the run of kind %d, pages %d to %d is in a bin: %v", x.index, s.Kind, i, s.end(), binned)
	}
	delete(c.binned, s.ref())
	if s.Kind != KindSmall && (s.hollow != 0 || s.gone) {
		c.fail("extent %d: the run of kind %d at page %d has hollow pages: %b", x.index, s.Kind, i, s.hollow)
	}
	switch s.Kind {
	case KindFree:
		c.free += n
		c.dirty += uintptr(x.dirty.count(i, s.end()))
	case KindLarge:
		c.inUse += n
		c.large += n
		c.largeRuns++
		switch t := s.Tag(); {
		case t == s.liveTag():
		case t != 0 && t == s.liveTag().WithState(TagStashed):
		default:
			c.fail("extent %d: the large run at page %d of %d pages has tag %#x, want %#x or stashed", x.index, i, n,
				t, s.liveTag())
		}
	case KindSmall:
		c.inUse += n
		c.hollow += uintptr(s.hollow.count())
		c.small(x, s)
	case KindHeld:
		c.held += n
	default:
		c.fail("extent %d: the run at page %d is of kind %d", x.index, i, s.Kind)
	}
	if c.err == nil && (s.Kind == KindLarge || s.Kind == KindSmall) {
		c.err = c.visit(s)
	}
	return s
}

// mark checks that the units of s belong to no other record.
func (c *checker) mark(x *Extent, s *Span, units []bool) {
	u := x.unit(s)
	if s.units == 0 || s.units > maxUnits || u == 0 || u+uint32(s.units) > x.recordTop {
		c.fail("extent %d: record %d has %d units, and recordTop is %d", x.index, u, s.units, x.recordTop)
		return
	}
	for i := range uint32(s.units) {
		if units[u+i] {
			c.fail("extent %d: unit %d is in two records", x.index, u+i)
		}
		units[u+i] = true
	}
}

// records checks the unused records: with those in use, they are all.
func (c *checker) records(x *Extent, units []bool) {
	for n, u := range x.recordFree {
		for u != 0 && c.err == nil {
			if u >= x.recordTop {
				c.fail("extent %d: unused record %d of %d", x.index, u, x.recordTop)
				return
			}
			s := x.record(u)
			if s.Kind != KindNone || int(s.units) != n {
				c.fail("extent %d: unused record %d has kind %d and %d units in the list of %d", x.index, u, s.Kind,
					s.units, n)
			}
			c.mark(x, s, units)
			u = uint32(s.next)
		}
	}
	for u := 1; u < len(units); u++ {
		if !units[u] {
			c.fail("extent %d: unit %d of %d is in no record", x.index, u, x.recordTop)
		}
	}
}

func (c *checker) bits(x *Extent) {
	n := uintptr(0)
	for w := range (x.frontier + 63) / 64 {
		free, dirty, aged, freed, gone := x.free[w], x.dirty[w], x.aged[w], x.freed[w], x.gone[w]
		n += uintptr(bits.OnesCount64(gone))
		if aged&^(free&dirty) != 0 {
			c.fail("extent %d, word %d: aged => free and dirty: %#x, %#x, %#x", x.index, w, aged, free, dirty)
		}
		if freed&^(free&^dirty) != 0 || freed != 0 && !c.a.lazy {
			c.fail("extent %d, word %d: freed => free and not dirty, and lazy: %#x, %#x, %#x", x.index, w, freed,
				free, dirty)
		}
		if gone&^(free&^dirty&^freed) != 0 {
			c.fail("extent %d, word %d: gone => free and neither dirty nor freed: %#x, %#x, %#x, %#x", x.index, w, gone,
				free, dirty, freed)
		}
		if n := x.frontier - w*64; n < 64 && (free|dirty|aged|freed|gone)>>n != 0 {
			c.fail("extent %d, word %d: bits at or above the frontier %d: %#x, %#x, %#x, %#x", x.index, w, x.frontier,
				free, dirty, aged, freed)
		}
	}
	if n != x.goneCount {
		c.fail("extent %d: %d bits of gone are set, and goneCount is %d", x.index, n, x.goneCount)
	}
	for i := x.frontier; uintptr(i) < min(uintptr(x.frontier)+16, x.pageMapMem.committed/4, uintptr(x.pages)); i++ {
		if x.pageMap[i] != 0 {
			c.fail("extent %d: pageMap[%d] == %d at or above the frontier %d", x.index, i, x.pageMap[i], x.frontier)
		}
	}
}

// small checks the record of a span of small blocks, but for its bitmap.
func (c *checker) small(x *Extent, s *Span) {
	if s.Class == 0 || s.Class >= NumClasses {
		c.fail("extent %d: the span at page %d is of class %d", x.index, s.page, s.Class)
		return
	}
	if want := s.Bytes() / s.BlockSize(); uintptr(s.Blocks) != want || unitsFor(uint32(s.Blocks)) > s.units {
		c.fail("%v has %d pages, %d blocks, want %d, and %d units, want %d",
			s, s.pages, s.Blocks, want, s.units, unitsFor(uint32(want)))
	}
	if s.hollow&^pageMask(0, s.pages) != 0 || s.osPagesOf(s.hollow) != s.hollow {
		c.fail("%v of %d pages has hollow pages %b, want whole OS pages of the run", s, s.pages, s.hollow)
	}
}

// String identifies s in messages.
func (s *Span) String() string {
	return fmt.Sprintf("extent %d: the span at page %d of class %d (%d bytes)", s.extent, s.page, s.Class,
		s.BlockSize())
}

// CheckBlocks verifies the bitmap of s, a KindSmall span, with the lock of its owner held.
func (s *Span) CheckBlocks() error {
	n := 0
	words := s.words()
	for i, w := range words {
		n += bits.OnesCount64(w)
		if w != 0 && i < int(s.hint) {
			return fmt.Errorf("pages: %v: word %d is %#x below hint %d", s, i, w, s.hint)
		}
	}
	if tail := s.Blocks % 64; tail != 0 && words[len(words)-1]>>tail != 0 {
		return fmt.Errorf("pages: %v: bits beyond the %d blocks: %#x", s, s.Blocks, words[len(words)-1])
	}
	for m := s.hollow; m != 0; {
		from, end := m.next()
		if first, last := s.blocksIn(from, end); s.bitmap().next(first, last, false) != last {
			return fmt.Errorf("pages: %v: pages %d to %d are hollow, but one of blocks %d to %d is not free", s, from, end,
				first, last)
		}
	}
	if n != int(s.Free) {
		return fmt.Errorf("pages: %v: Free == %d, but %d bits are set", s, s.Free, n)
	}
	return nil
}

// sums checks the sums of the Allocator.
func (c *checker) sums() {
	if c.err != nil {
		return
	}
	a := c.a
	for _, e := range []struct {
		equation  string
		got, want uintptr
	}{
		{"used + free == Σ frontier", a.used + a.free, c.frontiers},
		{"free == Σ pages over free runs", a.free, c.free},
		{"dirty == Σ bits of dirty over free pages", a.dirty, c.dirty},
		{"inUse == Σ pages over spans and large runs", a.inUse, c.inUse},
		{"hollow == Σ hollow pages over spans", a.hollow, c.hollow},
		{"used == inUse + Σ pages over held runs", a.used, c.inUse + c.held},
		{"large == Σ pages over large runs", a.large, c.large},
		{"largeRuns == number of large runs", a.largeRuns, c.largeRuns},
		{"metaCommitted == Σ metaBytes", a.metaCommitted, c.meta},
		{"free runs in bins, but in no extent", uintptr(len(c.binned)), 0},
	} {
		if e.got != e.want {
			c.fail("%s: %d, %d", e.equation, e.got, e.want)
		}
	}
	lost := uintptr(0)
	c.walk("lost", &a.lost, func(s *Span) {
		lost += uintptr(s.pages)
		if s.Kind != KindHeld {
			c.fail("a lost run of %d pages is of kind %d", s.pages, s.Kind)
		}
	})
	if lost > c.held {
		c.fail("lost <= held: %d, %d", lost, c.held)
	}
}
