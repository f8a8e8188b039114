package replay

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// checkRun is one replay in which every byte is checked. The threads of a trace share it.
type checkRun struct {
	a        galloc.Allocator
	shared   []unsafe.Pointer      // as in ThreadReplay
	failed   atomic.Pointer[error] // the first error
	compared atomic.Uint64         // bytes
}

func (r *checkRun) result() (uint64, error) {
	if err := r.failed.Load(); err != nil {
		return r.compared.Load(), *err
	}
	return r.compared.Load(), nil
}

// thread replays the events of one thread, until any thread fails, and frees the objects that are
// alive at their end.
func (r *checkRun) thread(number int, c code, table []unsafe.Pointer) {
	for i := 0; i < len(c.instrs); i++ {
		in := &c.instrs[i]
		first := i
		var err error
		switch in.op {
		case opFree, opRealloc:
			old := takeBlock(in, table, r.shared, &r.failed)
			if old == nil {
				return
			}
			if err = r.compare(old, in.layout.Size(), seed(number, in), "before the "+in.op.String()); err != nil {
				break
			}
			if in.op == opFree {
				r.a.Deallocate(old, in.layout)
				break
			}
			i++
			err = r.change(number, old, in, &c.instrs[i], table)
		default:
			err = r.birth(number, in, table)
		}
		if err != nil {
			err = fmt.Errorf("thread %d, event %d, %v: %w",
				number, eventNumber(c.instrs, first), c.instrs[first].op, err)
			r.failed.CompareAndSwap(nil, &err)
		}
		if r.failed.Load() != nil {
			return
		}
	}
	for _, s := range c.survivors {
		in := &instr{slot: s.slot, layout: s.layout}
		p := table[s.slot]
		table[s.slot] = nil
		if err := r.compare(p, s.layout.Size(), seed(number, in), "at the end"); err != nil {
			r.failed.CompareAndSwap(nil, &err)
			return
		}
		r.a.Deallocate(p, s.layout)
	}
}

// birth allocates a block and fills it.
func (r *checkRun) birth(number int, in *instr, table []unsafe.Pointer) error {
	var b []byte
	var err error
	if in.op == opAllocZeroed {
		b, err = galloc.AllocateZeroed(r.a, in.layout)
		for i, v := range b {
			if v != 0 {
				return fmt.Errorf("byte %d of %d is %#02x, not zero", i, len(b), v)
			}
		}
	} else {
		b, err = r.a.Allocate(in.layout)
	}
	if err != nil {
		return err
	}
	return r.settle(number, b, in, table)
}

// change grows or shrinks the block old of in as into says, and checks the kept bytes.
func (r *checkRun) change(number int, old unsafe.Pointer, in, into *instr, table []unsafe.Pointer) error {
	do := galloc.Grow
	if into.layout.Size() < in.layout.Size() {
		do = galloc.Shrink
	}
	b, err := do(r.a, old, in.layout, into.layout)
	if err != nil {
		return err
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	kept := min(in.layout.Size(), into.layout.Size())
	if err := r.compare(p, kept, seed(number, in), "kept by the realloc"); err != nil {
		return err
	}
	return r.settle(number, b, into, table)
}

// settle checks the address and the length of a new block, fills it, and puts it into its slot.
func (r *checkRun) settle(number int, b []byte, in *instr, table []unsafe.Pointer) error {
	p := unsafe.Pointer(unsafe.SliceData(b))
	if p == nil || uintptr(p)&(in.layout.Align()-1) != 0 {
		return fmt.Errorf("the block of %v is at %p, which is not aligned", in.layout, p)
	}
	if uintptr(len(b)) < in.layout.Size() {
		return fmt.Errorf("the block of %v has %d bytes", in.layout, len(b))
	}
	fill(b[:in.layout.Size()], seed(number, in))
	if in.shared {
		atomic.StorePointer(&r.shared[in.slot], p)
	} else {
		table[in.slot] = p
	}
	return nil
}

// compare checks that n bytes at p are what fill has written with the same seed.
func (r *checkRun) compare(p unsafe.Pointer, n uintptr, seed uint64, when string) error {
	// SAFETY: the block is currently allocated, and of at least n bytes.
	b := unsafe.Slice((*byte)(p), n)
	r.compared.Add(uint64(n))
	for i := 0; i+8 <= len(b); i += 8 {
		if binary.NativeEndian.Uint64(b[i:]) != word(seed, i) {
			return fmt.Errorf("%s, bytes %d to %d of a block of %d are % x, but % x was written there", when, i, i+7, n,
				b[i:i+8], binary.NativeEndian.AppendUint64(nil, word(seed, i)))
		}
	}
	for i := len(b) &^ 7; i < len(b); i++ {
		if b[i] != tailByte(seed, i) {
			return fmt.Errorf("%s, byte %d of a block of %d is %#02x, but %#02x was written there",
				when, i, n, b[i], tailByte(seed, i))
		}
	}
	return nil
}

func fill(b []byte, seed uint64) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.NativeEndian.PutUint64(b[i:], word(seed, i))
	}
	for i := len(b) &^ 7; i < len(b); i++ {
		b[i] = tailByte(seed, i)
	}
}

// word returns the word at offset i of a block, and tailByte a byte after the last whole word. Both
// depend on the offset and the seed only, so that the words of a block can be compared after its
// size has changed.
func word(seed uint64, i int) uint64 { return (seed + uint64(i)) * 0x9e3779b97f4a7c15 }

func tailByte(seed uint64, i int) byte {
	var w [8]byte
	binary.NativeEndian.PutUint64(w[:], word(seed, i&^7))
	return w[i&7]
}

// seed returns a number that differs between all blocks that are alive at the same time, and is the
// same at the birth and at the end of a block.
func seed(thread int, in *instr) uint64 {
	s := uint64(in.slot)<<1 | 1
	if !in.shared {
		s = uint64(in.slot)<<1 | uint64(thread+1)<<33
	}
	return s * 0xd6e8feb86659fd93
}

// String returns the name of the call.
func (o opcode) String() string {
	return [...]string{"malloc", "calloc", "free", "realloc", "realloc"}[o]
}
