// The caches of the Ps. See bufpool.go for the overview.

package bufpool

import (
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/sample"
)

// A cache holds the idle buffers of one P. Its owner is as described at percpu.Table.
//
//	bytes == the sum of the capacities in the lists <= quota, unless quota has just become less
//	bytes > 0 implies quota > 0
//	bit i of filled is set if list i is not empty
//	quota > 0 implies that the alarm is set, unless idle buffers do not decay
type cache struct {
	bytes  int64 // of idle buffers
	quota  int64 // 0 until the first buffer is put back, and again after the cache was not used
	filled uint64
	left   int64 // number of Gets up to and with the next one to be guarded; 0 if not drawn yet
	quiet  bool  // empty at the last tick
	lists  [numClasses]list
	_      [64]byte
}

// A list is a stack of idle buffers of one class, linked by Buffer.next.
type list struct {
	head   link
	n, low int32 // length, and the minimum since the last tick
}

// A link is a *Buffer that the garbage collector does not see, so that to store it needs no write
// barrier, which is a call and has no place in a section. The headers of the pool keep the Buffer
// alive.
type link struct{ addr uintptr }

// buffer returns the Buffer, or nil.
//
//go:nosplit
func (l *link) buffer() *Buffer {
	// SAFETY: addr is 0, or the address of a Buffer that the headers of the pool keep alive.
	return *(**Buffer)(unsafe.Pointer(&l.addr))
}

//go:nosplit
func (l *link) set(b *Buffer) { l.addr = uintptr(unsafe.Pointer(b)) }

// Get returns a buffer of length n whose content is undefined. Its capacity is the size of its
// class, which is less than twice the smallest that suffices, or n rounded up to 4 KiB above 1 MiB.
// The caller owns it until [Pool.Put]. If memory runs out, Get aborts the program: see
// [Pool.TryGet]. It panics if n is negative.
//
// It takes some nanoseconds if the cache of the P has a buffer of the class.
//
//go:noinline
//go:nosplit
func (p *Pool) Get(n int) *Buffer {
	if class := classOf(n); class < numClasses {
		if c := p.table.Of(percpu.ID()); c != nil {
			if b := c.pop(class); b != nil {
				b.hand(n)
				return b
			}
		}
	}
	return p.mustGet(n)
}

// TryGet is like Get but returns an error if memory runs out: a *galloc.AllocError with the layout.
//
//go:noinline
//go:nosplit
func (p *Pool) TryGet(n int) (*Buffer, error) {
	if class := classOf(n); class < numClasses {
		if c := p.table.Of(percpu.ID()); c != nil {
			if b := c.pop(class); b != nil {
				b.hand(n)
				return b, nil
			}
		}
	}
	return p.getSlow(n)
}

// Put puts b back, which must be a buffer of p that the caller owns alone. b and its bytes must not
// be used afterwards. Put does nothing if b is nil. It panics if b has been put back already, if it
// has more than one owner, or if it is of another pool.
//
//go:noinline
//go:nosplit
func (p *Pool) Put(b *Buffer) {
	if b != nil && b.pool == p && b.flags == 0 && atomic.LoadInt32(&b.refs) == 1 {
		if c := p.table.Of(percpu.ID()); c != nil && c.push(b) {
			return
		}
	}
	p.putSlow(b)
}

// maxAbove is the number of classes of which a request is served, from its own upward: so at most
// half of a buffer is unused. Without the larger classes, programs with many sizes would keep
// nearly twice the memory idle.
const maxAbove = 4

// pop returns an idle buffer, or nil if there is none, or if the next one may have to be guarded.
// It is called in a section, or by the owner of c.
//
//go:nosplit
func (c *cache) pop(class uint) *Buffer {
	class += uint(bits.TrailingZeros64(c.filled >> (class & 63) & (1<<maxAbove - 1)))
	if class >= numClasses || c.left <= 1 {
		return nil
	}
	l := &c.lists[class]
	b := l.head.buffer()
	if b == nil {
		return nil
	}
	if l.head = b.next; l.head.addr == 0 {
		c.filled &^= 1 << class
	}
	l.n--
	if l.n < l.low {
		l.low = l.n
	}
	c.bytes -= int64(cap(b.b))
	c.left--
	return b
}

// push adds a buffer without flags, or returns false if there is no room. It is called as pop is.
//
//go:nosplit
func (c *cache) push(b *Buffer) bool {
	bytes, class := c.bytes+int64(cap(b.b)), uint(b.class)
	if bytes > c.quota || class >= numClasses {
		return false
	}
	c.bytes = bytes
	l := &c.lists[class]
	b.refs = 0
	c.filled |= 1 << class
	b.next = l.head
	l.head.set(b)
	l.n++
	return true
}

// enter returns the cache of the P, which belongs to the caller until leave. Until then the caller
// must not allocate, or call anything that could block.
func (p *Pool) enter() (c *cache, pinned bool) {
	for {
		if percpu.Limit() != 0 {
			if id := percpu.Pin(); id < percpu.MaxProcs {
				if c := p.table.At(uint32(id)); c != nil {
					return c, true
				}
			}
			percpu.Unpin()
		}
		if c := p.table.Lock(); c != nil {
			return c, false
		} // else the P has a cache now
	}
}

func (p *Pool) leave(c *cache, pinned bool) {
	if pinned {
		percpu.Unpin()
		return
	}
	p.table.Unlock(c)
}

// takeSlow is pop from the cache of the P, or else from the shared one. It also reports whether
// this Get must be guarded.
func (p *Pool) takeSlow(class uint) (b *Buffer, guard bool) {
	next := p.draw()
	c, pinned := p.enter()
	if c.left == 0 {
		c.left = next
	}
	if c.left == 1 {
		guard, c.left = true, next
	} else if b = c.pop(class); b == nil {
		c.left--
	}
	p.leave(c, pinned)
	if b == nil && !guard && class < numClasses {
		p.sharedMu.Lock()
		b = p.shared.pop(class)
		p.sharedMu.Unlock()
	}
	return b, guard
}

// draw returns a number of Gets of which the last is guarded.
func (p *Pool) draw() int64 {
	switch rate := int64(p.options.Guard.Rate); {
	case p.guard == nil:
		return math.MaxInt64
	case rate == 1:
		return 1
	default:
		return 1 + int64(sample.Random())%(2*rate-1) // the mean is rate
	}
}

// keep is push to the cache of the P, or else to the shared one.
func (p *Pool) keep(b *Buffer) bool {
	if !p.keeps {
		return false
	}
	own, shared := p.quotas()
	c, pinned := p.enter()
	wakes := c.wake(own)
	ok := c.push(b)
	p.leave(c, pinned)
	if !ok {
		p.sharedMu.Lock()
		wakes = p.shared.wake(shared) || wakes
		ok = p.shared.push(b)
		p.sharedMu.Unlock()
	}
	if wakes {
		p.arm()
	}
	return ok
}

// wake sets the quota of a cache that was not used, and reports whether it was so. The caller then
// sets the alarm.
func (c *cache) wake(quota int64) bool {
	if c.quota != 0 {
		return false
	}
	c.quota = quota
	return true
}

// quotas returns the parts of MaxIdle for the cache of each P and for the shared one. They are not
// 0, which has a meaning.
func (p *Pool) quotas() (own, shared int64) {
	procs := runtime.GOMAXPROCS(0)
	total := p.options.MaxIdle
	if total == 0 {
		total = procs * defaultIdle
	}
	own = int64(total / 4 / procs)
	return max(own, 1), max(int64(total)-own*int64(procs), 1)
}
