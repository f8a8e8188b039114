package alloctest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// A Model uses an allocator and checks it: blocks do not overlap, they are aligned and long enough,
// and their bytes stay as they were written. A Model fills each block, to the end of its usable
// size, with bytes that depend on the block and on their place in it, and checks them before it
// frees or resizes the block. The caller chooses a number for each block.
//
// A method returns nil; or the error of the allocator, an [*galloc.AllocError], if it has run out
// of memory, and then nothing has changed; or a [*Violation] if the allocator has broken a rule.
// The number of a block that does not exist is a misuse. A Model is not safe for concurrent use,
// but several Models may use one allocator at the same time.
type Model struct {
	_ block.NoCopy

	a      galloc.Allocator
	blocks map[uint64]*modelBlock
	sorted []*modelBlock // by address, without blocks of size 0
	fits   int           // rotates through the layouts that fit
}

type modelBlock struct {
	id   uint64
	mem  []byte
	l    galloc.Layout
	salt byte // makes its bytes different from the bytes of other blocks
}

// A Violation is a rule broken by an allocator.
type Violation struct{ What string }

// Error describes the violation.
func (v *Violation) Error() string { return "alloctest: " + v.What }

func violation(format string, args ...any) error {
	return &Violation{fmt.Sprintf(format, args...)}
}

// NewModel returns a model of a, with no blocks.
func NewModel(a galloc.Allocator) *Model {
	return &Model{a: a, blocks: map[uint64]*modelBlock{}}
}

// Allocate allocates block id, which must not exist, and fills it.
func (m *Model) Allocate(id uint64, l galloc.Layout) error {
	mem, err := m.a.Allocate(l)
	return m.add(id, l, mem, err)
}

// AllocateZeroed is Allocate, and also checks that the block is zero.
func (m *Model) AllocateZeroed(id uint64, l galloc.Layout) error {
	mem, err := galloc.AllocateZeroed(m.a, l)
	if err == nil {
		if err := wantZero(mem, 0, "AllocateZeroed", l); err != nil {
			return err
		}
	}
	return m.add(id, l, mem, err)
}

// Resize makes block id one of layout l, by Shrink, by Grow, or by GrowZeroed if zeroed is true. It
// checks the bytes that must be kept and the bytes that must be zero.
func (m *Model) Resize(id uint64, l galloc.Layout, zeroed bool) error {
	b := m.blocks[id]
	if err := b.verify(len(b.mem)); err != nil {
		return err
	}
	old, p := m.fitting(b), b.address()
	if l.Size() >= b.l.Size() && l.Size() < old.Size() {
		old = b.l // to be grown, not shrunk
	}
	var mem []byte
	var err error
	what := "Grow"
	switch {
	case l.Size() < old.Size():
		what = "Shrink"
		mem, err = galloc.Shrink(m.a, p, old, l)
	case zeroed:
		what = "GrowZeroed"
		mem, err = galloc.GrowZeroed(m.a, p, old, l)
	default:
		mem, err = galloc.Grow(m.a, p, old, l)
	}
	if err != nil {
		if err := b.verify(len(b.mem)); err != nil {
			return violation("a failed %s changed the block: %v", what, err)
		}
		return refusal(err, l)
	}
	kept := &modelBlock{id, mem, l, b.salt}
	if err := kept.inspect(); err != nil {
		return err
	}
	if err := kept.verify(int(min(old.Size(), l.Size()))); err != nil {
		return violation("%s from %v to %v lost bytes: %v", what, old, l, err)
	}
	if what == "GrowZeroed" {
		for i := int(old.Size()); i < len(b.mem) && i < len(mem); i++ {
			if mem[i] != 0 && mem[i] != b.at(i) {
				return violation("byte %d after GrowZeroed from %v (%d usable) to %v is %#02x, neither kept nor zero",
					i, old, len(b.mem), l, mem[i])
			}
		}
		if err := wantZero(mem, len(b.mem), what, l); err != nil {
			return err
		}
	}
	m.remove(b)
	return m.add(id, l, mem, nil)
}

// ResizeInPlace asks the allocator to change the size of block id in place, reports whether it did,
// and checks the bytes that must be kept.
func (m *Model) ResizeInPlace(id uint64, size uintptr) (bool, error) {
	b := m.blocks[id]
	if err := b.verify(len(b.mem)); err != nil {
		return false, err
	}
	old := m.fitting(b)
	if size == b.l.Size() {
		old = b.l // to stay as it is
	}
	if !galloc.Resize(m.a, b.address(), old, size) {
		return false, b.verify(len(b.mem))
	}
	l, err := galloc.NewLayout(size, b.l.Align())
	if err != nil || size > math.MaxInt/4 {
		return true, violation("Resize to %d bytes cannot have succeeded: %v", size, err)
	}
	kept := min(old.Size(), size)
	m.remove(b)
	c := &modelBlock{id, unsafe.Slice(unsafe.SliceData(b.mem), size), l, b.salt}
	if err := c.verify(int(kept)); err != nil {
		return true, violation("Resize from %v to %v lost bytes: %v", b.l, l, err)
	}
	return true, m.add(id, l, c.mem, nil)
}

// Free frees block id, with one of the layouts that fit it.
func (m *Model) Free(id uint64) error {
	b := m.blocks[id]
	if err := b.verify(len(b.mem)); err != nil {
		return err
	}
	m.remove(b)
	m.a.Deallocate(b.address(), m.fitting(b))
	return nil
}

// fitting returns one of the layouts that fit the block, in turn.
func (m *Model) fitting(b *modelBlock) galloc.Layout {
	extra := uintptr(len(b.mem)) - b.l.Size()
	if extra == 0 || b.l.Size() == 0 {
		return b.l
	}
	m.fits++
	return mustLayout(b.l.Size()+[]uintptr{0, extra, extra / 2}[m.fits%3], b.l.Align())
}

// Len returns the number of blocks.
func (m *Model) Len() int { return len(m.blocks) }

// Verify checks every byte of every block.
func (m *Model) Verify() error {
	for _, b := range m.blocks {
		if err := b.verify(len(b.mem)); err != nil {
			return err
		}
	}
	return nil
}

// FreeAll frees all blocks, in the order of their numbers.
func (m *Model) FreeAll() error {
	ids := make([]uint64, 0, len(m.blocks))
	for id := range m.blocks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := m.Free(id); err != nil {
			return err
		}
	}
	return nil
}

// Forget drops all blocks without freeing them, after a reset of the allocator.
func (m *Model) Forget() {
	clear(m.blocks)
	m.sorted = nil
}

// add adds a block as the allocator returned it.
func (m *Model) add(id uint64, l galloc.Layout, mem []byte, err error) error {
	if err != nil {
		return refusal(err, l)
	}
	b := &modelBlock{id, mem, l, byte(id)*31 + byte(id>>8)*17 + 1}
	if err := b.inspect(); err != nil {
		return err
	}
	if len(mem) > 0 {
		i, _ := slices.BinarySearchFunc(m.sorted, b, byAddress)
		for _, j := range []int{i - 1, i} {
			if j >= 0 && j < len(m.sorted) && m.sorted[j].overlaps(b) {
				o := m.sorted[j]
				return violation("block %d (%v at %p) overlaps block %d (%v at %p)",
					id, l, b.address(), o.id, o.l, o.address())
			}
		}
		m.sorted = slices.Insert(m.sorted, i, b)
	}
	b.fill()
	m.blocks[id] = b
	return nil
}

// inspect checks a block as the allocator returned it, without reading or writing its bytes.
func (b *modelBlock) inspect() error {
	mem, l, p := b.mem, b.l, b.address()
	switch {
	case p == nil:
		return violation("the block of %v is nil, without an error", l)
	case uintptr(p)&(l.Align()-1) != 0:
		return violation("the block of %v is at %p, which is not aligned", l, p)
	case uintptr(len(mem)) < l.Size():
		return violation("the block of %v has only %d bytes", l, len(mem))
	case l.Size() == 0 && len(mem) != 0:
		return violation("a block of size 0 has %d bytes", len(mem))
	case cap(mem) != len(mem):
		return violation("the block of %v has length %d and capacity %d, which must be equal", l, len(mem), cap(mem))
	case uintptr(p)+uintptr(len(mem)) < uintptr(p):
		return violation("the block of %v at %p wraps around the end of the address space", l, p)
	}
	return nil
}

func (m *Model) remove(b *modelBlock) {
	delete(m.blocks, b.id)
	if i, ok := slices.BinarySearchFunc(m.sorted, b, byAddress); ok && len(b.mem) > 0 {
		m.sorted = slices.Delete(m.sorted, i, i+1)
	}
}

func byAddress(a, b *modelBlock) int {
	p, q := uintptr(a.address()), uintptr(b.address())
	switch {
	case p < q:
		return -1
	case p > q:
		return 1
	}
	return 0
}

func (b *modelBlock) address() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b.mem)) }

func (b *modelBlock) overlaps(c *modelBlock) bool {
	p, q := uintptr(b.address()), uintptr(c.address())
	return p < q+uintptr(len(c.mem)) && q < p+uintptr(len(b.mem))
}

// pattern is the content of blocks: random bytes, repeated, from a place that depends on the block,
// its salt. The length of a period is a prime, so a block that is shifted or copied by any round
// number of bytes is found.
var pattern = func() (p [65521 + 256]byte) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}()

var zeroes [65521]byte

func (b *modelBlock) period() []byte { return pattern[b.salt : int(b.salt)+len(zeroes)] }

func (b *modelBlock) fill() {
	for i := 0; i < len(b.mem); i += len(zeroes) {
		copy(b.mem[i:], b.period())
	}
}

func (b *modelBlock) at(i int) byte { return b.period()[i%len(zeroes)] }

// verify checks the first n bytes.
func (b *modelBlock) verify(n int) error {
	if i := mismatch(b.mem[:n], b.period()); i >= 0 {
		return violation("byte %d of block %d (%v at %p, %d bytes) is %#02x, but %#02x was written there",
			i, b.id, b.l, b.address(), len(b.mem), b.mem[i], b.at(i))
	}
	return nil
}

func wantZero(mem []byte, from int, what string, l galloc.Layout) error {
	if from >= len(mem) {
		return nil
	}
	if i := mismatch(mem[from:], zeroes[:]); i >= 0 {
		return violation("byte %d of %d after %s of %v is %#02x, not zero", from+i, len(mem), what, l, mem[from+i])
	}
	return nil
}

// mismatch returns the index of the first byte of mem that differs from period repeated, or -1.
func mismatch(mem, period []byte) int {
	for i := 0; i < len(mem); i += len(period) {
		part := mem[i:min(i+len(period), len(mem))]
		if bytes.Equal(part, period[:len(part)]) {
			continue
		}
		for j := range part {
			if part[j] != period[j] {
				return i + j
			}
		}
	}
	return -1
}

// refusal returns err, the error of an allocator for l, or a Violation if allocators must not
// return it.
func refusal(err error, l galloc.Layout) error {
	var ae *galloc.AllocError
	if !errors.As(err, &ae) {
		return violation("the error for %v is %T, which does not wrap an *AllocError: %v", l, err, err)
	}
	if l.Size() == 0 {
		return violation("size 0 failed: %v", err)
	}
	return err
}
