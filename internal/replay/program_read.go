// Reading program files.
//
// The loops that replay a program check nothing, so a file is verified. It is read in pieces, so
// that its head cannot demand more memory than it has bytes; then a verifier goes through the code
// as a replay would, with the instruction that filled a slot in place of the block. A program has
// one spelling: a file that is accepted would be written as the same bytes.

package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

// ReadProgram reads a program file of one thread, as [Program.WriteTo] writes it, to the end of r.
// It refuses a file of several threads: use [ReadThreadProgram].
//
// The result equals the program that was written, except that its name is empty and Threads is 1,
// because the file has neither.
//
// If no compiled trace can have resulted in the file, the error says where and why; for a file that
// ends too early it wraps [io.ErrUnexpectedEOF]. ReadProgram uses at most some three times the
// length of the file in memory.
func ReadProgram(r io.Reader) (*Program, error) {
	v, err := readProgram(r, true)
	if err != nil {
		return nil, fmt.Errorf("program file: %w", err)
	}
	v.sum.Threads = min(v.sum.Events, 1)
	return &Program{Summary: v.sum, Slots: v.threads[0].slots, code: v.threads[0]}, nil
}

// ReadThreadProgram reads a program file of any number of threads, as [ThreadProgram.WriteTo]
// writes it, to the end of r. A file of one thread may also come from [Program.WriteTo].
//
// The result equals the program that was written, except that its name is empty, and that
// PeakObjects and PeakLiveBytes, which hold for the order of the trace, are 0. Errors are as for
// [ReadProgram]; a file whose threads would deadlock is an error, too.
func ReadThreadProgram(r io.Reader) (*ThreadProgram, error) {
	v, err := readProgram(r, false)
	if err != nil {
		return nil, fmt.Errorf("program file: %w", err)
	}
	v.sum.Threads = len(v.threads)
	v.sum.PeakObjects, v.sum.PeakLiveBytes = 0, 0
	return &ThreadProgram{Summary: v.sum, SharedSlots: len(v.shared), threads: v.threads}, nil
}

// programHead is the beginning of a program file.
type programHead struct {
	threads, shared uint32
	events, largest uint64
}

// codeHead is the part of the beginning about one thread.
type codeHead struct {
	slots, survivors uint32
	instrs           uint64
}

func readProgram(r io.Reader, one bool) (*verifier, error) {
	f := &programReader{src: bufio.NewReaderSize(r, 64<<10)}
	head, codes, err := f.head(one)
	if err != nil {
		return nil, err
	}
	v := &verifier{}
	births := uint64(0)
	for t, h := range codes {
		c, born, err := f.code(h, head.shared)
		if err != nil {
			return nil, fmt.Errorf("thread %d, %w", t, err)
		}
		births += born
		v.threads = append(v.threads, c)
	}
	switch _, err := f.src.ReadByte(); {
	case err == nil:
		return nil, fmt.Errorf("it goes on after its end at byte %d", f.read)
	case err != io.EOF:
		return nil, fmt.Errorf("after %d bytes: %w", f.read, err)
	case uint64(head.shared) > births:
		return nil, fmt.Errorf("the threads share %d slots, but fill %d in all", head.shared, births)
	}
	v.shared = make([]*instr, head.shared)
	if err := v.verify(); err != nil {
		return nil, err
	}
	if head.events != uint64(v.sum.Events) || head.largest != v.sum.MaxSize {
		return nil, fmt.Errorf(
			"its head says %d events and a largest object of %d bytes, but it has %d, and the largest has %d",
			head.events, head.largest, v.sum.Events, v.sum.MaxSize)
	}
	if len(v.threads) == 1 && v.threads[0].slots != v.sum.PeakObjects {
		return nil, fmt.Errorf("it has %d slots, but at most %d objects are alive at a time",
			v.threads[0].slots, v.sum.PeakObjects)
	}
	return v, nil
}

// programReader reads the parts of a file.
type programReader struct {
	src  *bufio.Reader
	read uint64 // bytes
}

// fill reads the next bytes of the file.
func (f *programReader) fill(b []byte) error {
	n, err := io.ReadFull(f.src, b)
	f.read += uint64(n)
	switch err {
	case nil:
		return nil
	case io.EOF, io.ErrUnexpectedEOF:
		return fmt.Errorf("the file ends too early, after %d bytes: %w", f.read, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("after %d bytes: %w", f.read, err)
}

func (f *programReader) head(one bool) (h programHead, codes []codeHead, err error) {
	le := binary.LittleEndian
	var b [24]byte
	if err := f.fill(b[:len(programMagic)]); err != nil {
		return h, nil, err
	}
	if got := string(b[:len(programMagic)]); got != programMagic {
		return h, nil, fmt.Errorf("it begins with %q, not with %q", got, programMagic)
	}
	if err := f.fill(b[:]); err != nil {
		return h, nil, err
	}
	h = programHead{le.Uint32(b[:]), le.Uint32(b[4:]), le.Uint64(b[8:]), le.Uint64(b[16:])}
	switch {
	case one && h.threads != 1:
		return h, nil, fmt.Errorf("it has %d threads: use ReadThreadProgram", h.threads)
	case h.threads < 2 && h.shared > 0:
		return h, nil, fmt.Errorf("it has %d shared slots, but not several threads", h.shared)
	}
	for range h.threads {
		if err := f.fill(b[:16]); err != nil {
			return h, nil, err
		}
		codes = append(codes, codeHead{le.Uint32(b[:]), le.Uint32(b[4:]), le.Uint64(b[8:])})
	}
	return h, codes, nil
}

// code reads the code of one thread, and returns how many blocks it allocates. The verifier checks
// whether the instructions fit together.
func (f *programReader) code(h codeHead, shared uint32) (c code, births uint64, err error) {
	const atFirst = 1 << 16 // instructions; memory for more is allocated when they are read
	c = code{slots: int(h.slots), instrs: make([]instr, 0, min(h.instrs, atFirst))}
	for i := range h.instrs {
		in, err := f.instr()
		if err == nil {
			limit := h.slots
			if in.shared {
				limit = shared
			}
			if in.slot >= limit {
				err = fmt.Errorf("slot %d of %d", in.slot, limit)
			}
		}
		if err != nil {
			return c, 0, fmt.Errorf("instruction %d: %w", i+1, err)
		}
		if in.op != opFree && in.op != opRealloc {
			births++
		}
		c.instrs = append(c.instrs, in)
	}
	if uint64(h.slots) > births || h.survivors > h.slots {
		return c, 0, fmt.Errorf(
			"%d slots, %d births, %d survivors: the births must fill the slots, and the survivors fit in",
			h.slots, births, h.survivors)
	}
	for i := range h.survivors {
		in, err := f.instr()
		if err == nil && (in.op != 0 || in.shared || in.slot >= h.slots) {
			err = fmt.Errorf("slot %d of %d, with an operation or shared: %d, %v", in.slot, h.slots, in.op, in.shared)
		}
		if err != nil {
			return c, 0, fmt.Errorf("survivor %d: %w", i+1, err)
		}
		c.survivors = append(c.survivors, survivor{in.layout, in.slot})
	}
	return c, births, nil
}

// instr reads an instruction or a survivor. It checks everything but the slot.
func (f *programReader) instr() (instr, error) {
	le := binary.LittleEndian
	var b [24]byte
	if err := f.fill(b[:]); err != nil {
		return instr{}, err
	}
	size, lg, op, shared := le.Uint64(b[:]), b[8], b[20], b[21]
	switch {
	case le.Uint64(b[8:])>>8 != 0 || b[22] != 0 || b[23] != 0:
		return instr{}, errors.New("bytes that must be zero are not")
	case opcode(op) > opInto || shared > 1:
		return instr{}, fmt.Errorf("operation %d, shared %d: the operation must be 0 to 4, and shared 0 or 1",
			op, shared)
	case lg > 63:
		return instr{}, fmt.Errorf("an alignment of 2^%d", lg)
	}
	if err := trace.CheckLayout(size, 1<<lg); err != nil {
		return instr{}, err
	}
	l, err := galloc.NewLayout(uintptr(size), 1<<lg)
	return instr{layout: l, slot: le.Uint32(b[16:]), op: opcode(op), shared: shared == 1}, err
}

// verifier goes through the code of all threads, and leaves a thread where it would wait for
// another. The order does not matter: threads wait for births only, and an object that is born for
// another thread stays until that thread ends it.
//
// Invariants:
//   - a slot holds the instruction of the birth that filled it last, or nil if it is empty;
//   - a shared slot that is empty again holds done;
//   - waiting[slot] is the thread whose next instruction ends the block in that shared slot, which
//     is nil.
type verifier struct {
	threads []code
	shared  []*instr

	tables  [][]*instr
	next    []int // by thread: the number of the instruction that comes next
	waiting map[uint32]int
	ready   []int // threads that can go on

	sum  Summary
	live int // objects
}

// done fills a shared slot whose block was allocated and freed.
var done = new(instr)

func (v *verifier) verify() error {
	v.waiting = map[uint32]int{}
	v.next = make([]int, len(v.threads))
	for t, c := range v.threads {
		v.tables = append(v.tables, make([]*instr, c.slots))
		v.ready = append(v.ready, t)
	}
	for len(v.ready) > 0 {
		t := v.ready[len(v.ready)-1]
		v.ready = v.ready[:len(v.ready)-1]
		if err := v.thread(t); err != nil {
			return fmt.Errorf("thread %d, instruction %d: %w", t, v.next[t]+1, err)
		}
	}
	for t, c := range v.threads {
		if v.next[t] < len(c.instrs) {
			return fmt.Errorf("thread %d, instruction %d: it would wait forever for a block in shared slot %d",
				t, v.next[t]+1, c.instrs[v.next[t]].slot)
		}
	}
	for slot, in := range v.shared {
		if in != done {
			return fmt.Errorf("shared slot %d is not both filled and emptied", slot)
		}
	}
	return v.survivors()
}

// thread continues a thread until it ends or must wait.
func (v *verifier) thread(t int) error {
	code := v.threads[t].instrs
	for ; v.next[t] < len(code); v.next[t]++ {
		i := v.next[t]
		in := &code[i]
		table := v.tables[t]
		if in.shared {
			table = v.shared
		}
		slot := &table[in.slot]
		var err error
		switch in.op {
		case opFree, opRealloc:
			if *slot == nil && in.shared {
				if other, twice := v.waiting[in.slot]; twice {
					return fmt.Errorf("shared slot %d is also emptied by thread %d", in.slot, other)
				}
				v.waiting[in.slot] = t
				return nil
			}
			err = v.death(in, slot)
			if err == nil && in.op == opRealloc &&
				(i+1 == len(code) || code[i+1].op != opInto || code[i+1].layout.Align() != in.layout.Align()) {
				err = errors.New("a realloc must be followed by its second half, with the same alignment")
			}
		default:
			if in.op == opInto && (i == 0 || code[i-1].op != opRealloc) {
				return errors.New("the second half of a realloc without the first")
			}
			err = v.birth(in, slot)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// death empties a slot.
func (v *verifier) death(in *instr, slot **instr) error {
	birth := *slot
	switch {
	case birth == nil || birth == done:
		return fmt.Errorf("%v of the block in slot %d, which is empty", in.op, in.slot)
	case birth.layout != in.layout:
		return fmt.Errorf("%v of %v, but in slot %d is %v", in.op, in.layout, in.slot, birth.layout)
	}
	*slot = nil
	if in.shared {
		*slot = done
	}
	v.sum.Events++ // a realloc is counted here
	v.sum.EndLiveBytes -= uint64(in.layout.Size())
	v.live--
	return nil
}

// birth fills a slot.
func (v *verifier) birth(in *instr, slot **instr) error {
	if *slot != nil {
		return fmt.Errorf("%v into slot %d, which is full or, if shared, has been filled before", in.op, in.slot)
	}
	*slot = in
	if in.shared {
		if t, waits := v.waiting[in.slot]; waits {
			delete(v.waiting, in.slot)
			v.ready = append(v.ready, t)
		}
	}
	size := uint64(in.layout.Size())
	v.live++
	v.sum.Objects++
	v.sum.TotalBytes += size
	v.sum.EndLiveBytes += size
	// With several threads, the live bytes depend on how the threads are interleaved.
	if len(v.threads) == 1 && v.sum.EndLiveBytes > math.MaxInt {
		return tooMuch(v.sum.EndLiveBytes)
	}
	v.sum.MaxSize = max(v.sum.MaxSize, size)
	v.sum.PeakObjects = max(v.sum.PeakObjects, v.live)
	v.sum.PeakLiveBytes = max(v.sum.PeakLiveBytes, v.sum.EndLiveBytes)
	if in.op != opInto {
		v.sum.Events++
	}
	return nil
}

// survivors compares the blocks left in the slots with the survivors of the file.
func (v *verifier) survivors() error {
	v.sum.EndObjects, v.sum.EndLiveBytes = v.live, 0
	for t, c := range v.threads {
		said := c.survivors
		for slot, birth := range v.tables[t] {
			if birth == nil {
				continue
			}
			if len(said) == 0 || said[0] != (survivor{birth.layout, uint32(slot)}) {
				return fmt.Errorf(
					"thread %d: %v is left in slot %d, which is not the next of its survivors, ordered by slot",
					t, birth.layout, slot)
			}
			said = said[1:]
			v.sum.EndLiveBytes += uint64(birth.layout.Size())
			if v.sum.EndLiveBytes > math.MaxInt {
				return tooMuch(v.sum.EndLiveBytes)
			}
		}
		if len(said) > 0 {
			return fmt.Errorf("thread %d: nothing is left in slot %d, which has a survivor in the file",
				t, said[0].slot)
		}
	}
	return nil
}
