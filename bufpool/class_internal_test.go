package bufpool

import (
	"math"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc/internal/pages"
)

// Each length has the smallest class that is large enough, and no class loses bytes in the heap.
func TestClassOfEveryLength(t *testing.T) {
	for n := 0; n <= maxSize; n++ {
		c := classOf(n)
		if c >= numClasses || sizeOf(c) < n || c > 0 && sizeOf(c-1) >= n {
			t.Fatalf("the class of %d bytes is %d", n, c)
		}
	}
	for _, n := range []int{maxSize + 1, math.MaxInt, -1, math.MinInt} {
		if c := classOf(n); c < numClasses {
			t.Errorf("the class of %d bytes is %d", n, c)
		}
	}
	for c := range uint(numClasses) {
		if size := uintptr(sizeOf(c)); pages.UsableSize(size, blockAlign) != size {
			t.Errorf("the heap has blocks of %d bytes for class %d of %d", pages.UsableSize(size, blockAlign), c, size)
		}
	}
}

// The Buffers without a block are left to the garbage collector when all of them are spare.
func TestSpareHeadersAreDropped(t *testing.T) {
	var p Pool
	all := make([]*Buffer, 10*slabLength)
	for i := range all {
		all[i] = p.Get(1)
	}
	if p.headers.total != len(all) || p.headers.idle != 0 {
		t.Errorf("%d Buffers are in use, of %d, of which %d are spare", len(all), p.headers.total, p.headers.idle)
	}
	for _, b := range all {
		p.Put(b)
	}
	p.Trim()
	if p.headers.total != 0 || p.headers.slabs != nil {
		t.Errorf("%d Buffers are left", p.headers.total)
	}
	b := p.Get(1)
	if p.headers.total != slabLength {
		t.Errorf("there are %d Buffers, not those of one slab", p.headers.total)
	}
	p.Put(b)
}

func TestBufferIsOneCacheLine(t *testing.T) {
	if size := unsafe.Sizeof(Buffer{}); size > 64 {
		t.Errorf("a Buffer has %d bytes", size)
	}
}

// An idle buffer serves requests of more than half of its size. The lists, their lengths, the bits
// and the bytes agree.
func TestCache(t *testing.T) {
	p := new(Pool)
	c := &cache{quota: 10 << 20, left: math.MaxInt64}
	put := func(class uint) {
		b := p.newHeader()
		b.b, b.class, b.refs = make([]byte, sizeOf(class)), uint8(class), 1
		if !c.push(b) {
			t.Fatalf("there is no room for class %d", class)
		}
	}
	verify := func() {
		t.Helper()
		bytes := 0
		for i := range c.lists {
			l, n := &c.lists[i], 0
			for b := l.head.buffer(); b != nil; b = b.next.buffer() {
				n++
				bytes += cap(b.b)
			}
			if int(l.n) != n || l.low > l.n || c.filled>>i&1 != 0 != (n > 0) {
				t.Fatalf("list %d has %d buffers; n is %d, low %d, filled %b", i, n, l.n, l.low, c.filled)
			}
		}
		if int(c.bytes) != bytes {
			t.Fatalf("the lists have %d bytes, not %d", bytes, c.bytes)
		}
	}
	for class := range uint(numClasses) {
		for wanted := range uint(numClasses) {
			put(class)
			verify()
			b := c.pop(wanted)
			if (b != nil) != (wanted <= class && class < wanted+maxAbove) {
				t.Fatalf("a request of class %d is served from class %d: %v", wanted, class, b != nil)
			}
			if b == nil {
				c.pop(class)
			}
			verify()
		}
	}
	var chain link
	for i := range uint(40) {
		put(i / 4)
	}
	c.lists[2].low = 3
	c.cut(2, c.lists[2].low, &chain)
	verify()
	c.cut(5, 4, &chain)
	verify()
	n := 0
	for b := chain.buffer(); b != nil; b = b.next.buffer() {
		n++
	}
	if n != 7 || c.lists[2].n != 1 || c.lists[5].n != 0 {
		t.Errorf("%d buffers are cut", n)
	}
	c.quota = c.bytes
	b := p.newHeader()
	b.b = make([]byte, 64)
	if c.push(b) || c.pop(numClasses) != nil || c.pop(60) != nil {
		t.Error("push exceeds the quota, or pop has a class that does not exist")
	}
}
