package heapprof

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/stacks"
)

// books are the records and sums of a Profiler's samples. Profiler.mu guards them.
//
//	live == Σ records[i].weight * records[i].bytes == Σ sites[i].allocBytes - sites[i].freedBytes
//	peak == max(live) so far
//
// A site has the state at the peak without a copy of all sites there: whenever live is at its
// maximum, epoch increases, and a site that then changes keeps its old figures first.
//
//	in use at the peak == atPeak    if site.epoch == epoch
//	                   == in use    otherwise: the site has not changed since
type books struct {
	records map[uintptr]record // of the sampled blocks that are in use, by their addresses
	sites   map[stacks.ID]*site
	number  uint64 // of samples so far
	live    float64
	peak    float64
	epoch   uint64
}

// A record is a sampled block that is in use.
type record struct {
	site   *site
	bytes  uintptr // that the block occupies
	weight float64 // estimated number of blocks of this size for each sampled one
	number uint64  // of the sample
	birth  uint64  // number of allocations then
}

// A site is the estimates of the allocations with one stack.
type site struct {
	stack                    stacks.ID
	samples                  uint64
	allocObjects, allocBytes float64
	freedObjects, freedBytes float64
	peakObjects, peakBytes   float64 // in use at the peak, if epoch is books.epoch
	epoch                    uint64
	lives                    []life // freed blocks by bits.Len64 of their lifetimes
}

// A life is the blocks that were freed when at least 1<<(i-1), and less than 1<<i, other blocks had
// been allocated after them; with i = 0, none.
type life struct {
	samples        uint64
	objects, bytes float64
}

// enter adds a record of the sampled block at q, which has layout l. The block occupies the given
// number of bytes.
func (p *Profiler) enter(q unsafe.Pointer, l galloc.Layout, occupied uintptr) {
	id := p.stacks.Here(2) // the caller of the method that allocates
	r := record{bytes: occupied, weight: p.sampler.Weight(l.Size()), birth: p.sampler.Allocations()}
	p.mu.Lock()
	defer p.mu.Unlock()
	if old, ok := p.records[uintptr(q)]; ok { // the garbage collector has freed it
		p.remove(q)
		p.freed(&old, r.birth)
	}
	s := p.sites[id]
	if s == nil {
		s = &site{stack: id, epoch: p.epoch}
		p.sites[id] = s
	}
	p.number++
	r.site, r.number = s, p.number
	p.insert(q, r)
	p.keep(s)
	bytes := r.weight * float64(r.bytes)
	s.samples++
	s.allocObjects += r.weight
	s.allocBytes += bytes
	if p.live += bytes; p.live > p.peak {
		p.peak = p.live
		p.epoch++
	}
}

// leave removes the record of the block at q, if there is one, and counts the block as freed.
func (p *Profiler) leave(q unsafe.Pointer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.records[uintptr(q)]; ok {
		p.remove(q)
		p.freed(&r, p.sampler.Allocations())
	}
}

// A suspended block is a block whose size a call is changing.
type suspended struct {
	q      unsafe.Pointer
	record record // site is nil if the block is not in the books
}

// suspend takes the block at q, of layout l, out of the records until settle.
func (p *Profiler) suspend(q unsafe.Pointer, l galloc.Layout) (s suspended) {
	if !p.knows(q, l) {
		return s
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r, ok := p.records[uintptr(q)]; ok {
		s = suspended{q, r}
		p.remove(q)
	}
	return s
}

// settle counts the suspended block as freed if ok is true, and restores its record if not. It
// returns ok.
func (p *Profiler) settle(s suspended, ok bool) bool {
	if s.record.site == nil {
		return ok
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if ok {
		p.freed(&s.record, p.sampler.Allocations())
	} else {
		p.insert(s.q, s.record)
	}
	return ok
}

// keep keeps the figures of a site that is about to change, if they are from the peak.
func (b *books) keep(s *site) {
	if s.epoch != b.epoch {
		s.epoch = b.epoch
		s.peakObjects, s.peakBytes = s.allocObjects-s.freedObjects, s.allocBytes-s.freedBytes
	}
}

// freed counts a block as freed whose record was removed.
func (b *books) freed(r *record, clock uint64) {
	s := r.site
	b.keep(s)
	bytes := r.weight * float64(r.bytes)
	s.freedObjects += r.weight
	s.freedBytes += bytes
	b.live -= bytes
	i := bits.Len64(max(clock, r.birth) - r.birth)
	for len(s.lives) <= i {
		s.lives = append(s.lives, life{})
	}
	s.lives[i].samples++
	s.lives[i].objects += r.weight
	s.lives[i].bytes += bytes
}

// insert adds a record, and its address to the filter.
func (p *Profiler) insert(q unsafe.Pointer, r record) {
	p.records[uintptr(q)] = r
	f := p.filter.Load()
	if len(p.records)*filterShare > f.len() {
		f = newFilter(2 * f.len())
		for addr := range p.records {
			f.add(addr)
		}
		p.filter.Store(f)
		return
	}
	f.add(uintptr(q))
}

// remove removes a record, and its address from the filter.
func (p *Profiler) remove(q unsafe.Pointer) {
	delete(p.records, uintptr(q))
	p.filter.Load().remove(uintptr(q))
}

// A filter is a set of addresses that may report an address that it does not have, one in
// filterShare. Its readers take no lock: a block is added before the program gets its address. They
// may have a filter that insert has just replaced, which has all older blocks too.
type filter struct {
	bits   []atomic.Uint64
	counts []uint32 // addresses for each bit
	shift  uint     // of the hash
}

const (
	minFilter   = 1 << 14 // bits
	filterShare = 64      // bits for each address, at least
)

// newFilter returns a filter of n bits, a power of two.
func newFilter(n int) *filter {
	return &filter{make([]atomic.Uint64, n/64), make([]uint32, n), uint(64 - bits.TrailingZeros(uint(n)))}
}

func (f *filter) len() int { return len(f.counts) }

// index returns the bit of an address, by Fibonacci hashing.
func (f *filter) index(addr uintptr) uint64 {
	return uint64(addr) * 0x9e3779b97f4a7c15 >> (f.shift & 63)
}

func (f *filter) has(addr uintptr) bool {
	i := f.index(addr)
	return f.bits[i/64].Load()>>(i%64)&1 != 0
}

func (f *filter) add(addr uintptr) {
	i := f.index(addr)
	if f.counts[i]++; f.counts[i] == 1 {
		f.bits[i/64].Or(1 << (i % 64))
	}
}

func (f *filter) remove(addr uintptr) {
	i := f.index(addr)
	if f.counts[i]--; f.counts[i] == 0 {
		f.bits[i/64].And(^uint64(1 << (i % 64)))
	}
}
