package alloctest

import (
	"errors"
	"math"
	"runtime"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// filler fills the memory of an allocator with blocks, marked at both ends and at a few bytes
// between.
type filler struct {
	c      *checker
	blocks []filling
	bytes  uintptr // of all blocks
}

type filling struct {
	mem  []byte
	l    galloc.Layout
	mark byte
}

// maxFill is the number of bytes at which fill gives up.
func (f *filler) maxFill() uintptr {
	if f.c.slow || math.MaxInt == math.MaxInt32 || runtime.GOARCH == "wasm" {
		return 48 << 20
	}
	return 192 << 20
}

// fill allocates blocks, large ones first, until there is no memory. It reports false if there is
// more than the test fills.
func (f *filler) fill() bool {
	for _, size := range []uintptr{1 << 20, 1 << 16, 1 << 12, 256, 16} {
		l := mustLayout(size, 8)
		for n := 0; ; n++ {
			if f.bytes > f.maxFill() || n == 1<<16 {
				if size == 1<<20 {
					return false
				}
				break
			}
			b, err := f.c.a.Allocate(l)
			if err != nil {
				f.failed(err, l)
				break
			}
			f.blocks = append(f.blocks, filling{b, l, byte(len(f.blocks)*7 + 1)})
			f.blocks[len(f.blocks)-1].write()
			f.bytes += size
		}
	}
	return true
}

func (f *filler) failed(err error, l galloc.Layout) {
	var ae *galloc.AllocError
	if err := refusal(err, l); !errors.As(err, &ae) {
		f.c.must(err)
	}
}

// resize tries to grow, and to shrink to another place, what there is no memory for.
func (f *filler) resize() {
	for i := range f.blocks[:min(len(f.blocks), 300)] {
		b := &f.blocks[i]
		half, align := max(b.l.Size()/2, 1), b.l.Align()
		for _, try := range []struct {
			change changeFunc
			to     galloc.Layout
		}{
			{galloc.Grow, mustLayout(b.l.Size()*2, align)},
			{galloc.GrowZeroed, mustLayout(b.l.Size()*2, align)},
			{galloc.Grow, mustLayout(b.l.Size(), 1<<20)},
			{galloc.Shrink, mustLayout(half, 1<<20)},
		} {
			mem, err := try.change(f.c.a, b.address(), b.l, try.to)
			if err != nil {
				f.failed(err, try.to)
				b.verify(f.c, len(b.mem))
				continue
			}
			kept := filling{mem, try.to, b.mark}
			kept.verify(f.c, int(min(b.l.Size(), try.to.Size())))
			*b = kept
			b.write()
			break
		}
	}
	for i := range f.blocks {
		f.blocks[i].verify(f.c, len(f.blocks[i].mem))
	}
}

// empty frees all blocks, the last one first.
func (f *filler) empty() {
	for i := len(f.blocks) - 1; i >= 0; i-- {
		b := &f.blocks[i]
		b.verify(f.c, len(b.mem))
		f.c.a.Deallocate(b.address(), b.l)
	}
	f.blocks, f.bytes = nil, 0
	_ = galloc.Reset(f.c.a) // an arena has lost all but the last block of each chunk
}

func (b *filling) address() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.mem)) }

// step is the distance of two marks. It depends on the mark, as the size may change.
func (b *filling) step() int { return 4096 << (b.mark % 8) }

func (b *filling) write() {
	for i := 0; i < len(b.mem); i += b.step() {
		b.mem[i] = b.mark
	}
	b.mem[len(b.mem)-1] = b.mark
}

// verify checks the marks in the first n bytes.
func (b *filling) verify(c *checker, n int) {
	for i := 0; i < n; i += b.step() {
		if b.mem[i] != b.mark {
			c.fail("byte %d of a block of %v at %p was changed while memory was full", i, b.l, b.address())
		}
	}
	if n == len(b.mem) && b.mem[n-1] != b.mark {
		c.fail("the last byte of a block of %v at %p was changed while memory was full", b.l, b.address())
	}
}
