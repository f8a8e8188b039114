package alloctest

import (
	"runtime/debug"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// An Owner knows the addresses of its blocks, or only the memory that they lie in, as an arena. So
// what it reports for an address inside of a block is either false for all of them, or true for all
// of them, also when the block has been freed. A wrapper may have blocks of both kinds.

// An ownsCheck is a check of galloc.Owns.
type ownsCheck struct {
	*checker
	starts map[uintptr]bool // the addresses of all blocks so far
}

func checkOwns(c *checker) {
	// The garbage collector must not see pointers past the end of a block in Go memory.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	o := &ownsCheck{c, map[uintptr]bool{}}
	o.foreign()
	o.blocks()
	o.neighbors()
	o.reused()
}

func (o *ownsCheck) owns(p unsafe.Pointer) bool {
	o.Helper()
	owns, err := galloc.Owns(o.a, p)
	o.must(err)
	return owns
}

// at reports whether the address at a distance from the start of b is owned. The address may be
// outside of the block, which checkptr takes for a mistake.
//
//go:nocheckptr
func (o *ownsCheck) at(b *modelBlock, distance int) bool {
	o.Helper()
	return o.owns(unsafe.Add(b.address(), distance))
}

func (o *ownsCheck) make(size uintptr) *modelBlock {
	o.Helper()
	b := o.m.blocks[o.allocate(size, 8)]
	if !o.owns(b.address()) {
		o.fail("it does not own block %d (%v at %p)", b.id, b.l, b.address())
	}
	o.starts[uintptr(b.address())] = true
	return b
}

// foreign checks addresses that no allocator but galloc.System and galloc.GoHeap has.
func (o *ownsCheck) foreign() {
	var onStack int
	if o.owns(nil) || o.owns(addressOf(&onStack)) {
		o.fail("it owns an address that it has not allocated")
	}
	for _, a := range []galloc.Allocator{galloc.System, galloc.GoHeap} {
		for _, size := range []uintptr{1, 100, 5000, 1 << 20} {
			l := mustLayout(size, 8)
			b, err := a.Allocate(l)
			o.must(err)
			if o.owns(addressOf(&b[0])) {
				o.fail("it owns a block of %v", a)
			}
			a.Deallocate(addressOf(&b[0]), l)
		}
	}
}

// blocks checks blocks of all sizes, and addresses inside of them, before and after they are freed,
// resized, and allocated again.
func (o *ownsCheck) blocks() {
	var all []*modelBlock
	for _, size := range []uintptr{1, 8, 24, 101, 1000, 5000, 40_000, 1 << 20} {
		for range 8 {
			b := o.make(size)
			all = append(all, b)
			o.inside(b)
		}
	}
	for i, b := range all {
		if !o.owns(b.address()) {
			o.fail("it does not own block %d (%v at %p) any more", b.id, b.l, b.address())
		}
		if region := o.inside(b); i%2 == 0 {
			o.free(b.id)
			if region && (!o.owns(b.address()) || !o.inside(b)) {
				o.fail("it owned every address in block %d (%v at %p), but not after the block was freed",
					b.id, b.l, b.address())
			}
		}
	}
	for i, b := range all {
		if i%2 != 0 {
			o.resize(b.id, b.l.Size()*2, 8)
			b = o.m.blocks[b.id]
			if o.starts[uintptr(b.address())] = true; !o.owns(b.address()) {
				o.fail("it does not own block %d (%v at %p), which has grown", b.id, b.l, b.address())
			}
		}
	}
	for _, b := range all[:len(all)-8] { // where the freed blocks were
		o.make(b.l.Size())
	}
	o.must(o.m.FreeAll())
}

// inside checks that either all or none of the addresses inside of b are owned.
func (o *ownsCheck) inside(b *modelBlock) (region bool) {
	if len(b.mem) < 2 {
		return false
	}
	region = o.at(b, 1)
	for _, k := range []int{2, 3, 7, 8, 16, 64, 4096, 65536, int(b.l.Size()) / 2, len(b.mem) - 8, len(b.mem) - 1} {
		if 0 < k && k < len(b.mem) && o.at(b, k) != region {
			o.fail("of block %d (%v at %p, %d bytes) it owns byte 1: %v, byte %d: %v",
				b.id, b.l, b.address(), len(b.mem), region, k, !region)
		}
	}
	return region
}

// neighbors checks the addresses next to blocks that lie between free memory: each is smaller than
// the gap that it is in, and the block before the gap is freed. An Owner that knows its blocks may
// own some of those addresses, which others may have allocated, but not all.
func (o *ownsCheck) neighbors() {
	var before, gaps, blocks []*modelBlock
	for range 8 {
		before = append(before, o.make(300<<10))
		gaps = append(gaps, o.make(600<<10))
	}
	for _, g := range gaps {
		o.free(g.id)
	}
	for range gaps {
		blocks = append(blocks, o.make(400<<10))
	}
	for _, b := range before {
		o.free(b.id)
	}
	for _, distance := range []int{-64, -16, -8, -1, 0, 1, 8, 16, 64} {
		owned, judged := 0, 0
		for _, b := range blocks {
			at := distance
			if distance >= 0 {
				at += len(b.mem)
			}
			if o.starts[uintptr(b.address())+uintptr(at)] || o.at(b, 1) {
				continue
			}
			judged++
			if o.at(b, at) {
				owned++
			}
		}
		switch {
		case judged < 4 || owned < judged:
		case distance < 0:
			o.fail("it owns the address %d bytes before each block", -distance)
		default:
			o.fail("it owns the address %d bytes past the end of each block", distance)
		}
	}
	o.must(o.m.FreeAll())
}

// reused checks addresses of blocks that have been freed and are inside of a larger block now.
func (o *ownsCheck) reused() {
	for range 500 {
		o.make(4000)
	}
	o.must(o.m.FreeAll())
	for range 8 {
		b := o.make(1 << 20)
		if len(b.mem) < 2 || o.at(b, 1) {
			continue
		}
		for k := 8; k < len(b.mem); k += 8 {
			if o.starts[uintptr(b.address())+uintptr(k)] && o.at(b, k) {
				o.fail("it owns byte %d of block %d (%v at %p), where a block was that has been freed",
					k, b.id, b.l, b.address())
			}
		}
	}
}
