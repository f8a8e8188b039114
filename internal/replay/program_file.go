// Compiled programs as files, for replayers in other languages and for processes that should begin
// to replay at once. This file writes them, program_read.go reads them.

package replay

import (
	"bufio"
	"encoding/binary"
	"io"
	"math/bits"
)

// programMagic begins a program file. It has 16 bytes, including the zero.
const programMagic = "mallocprogram1\n\x00"

// WriteTo writes p as a program file, with which a replayer in another language can do exactly the
// work of [Replay]. It returns the number of bytes written. The file is binary, little-endian:
//
//	16 bytes  "mallocprogram1", a line feed, a zero
//	uint32    threads
//	uint32    slots that the threads share
//	uint64    events
//	uint64    the size of the largest object
//
// and for each thread
//
//	uint32    its slots
//	uint32    objects that are alive at its end
//	uint64    instructions
//
// then for each thread its instructions and its survivors, each in 24 bytes:
//
//	uint64    size of the block
//	uint8     binary logarithm of its alignment, and 7 bytes of zeros
//	uint32    slot
//	uint8     0 alloc, 1 alloc zeroed, 2 free, 3 realloc, 4 into (see the package's program.go)
//	uint8     1 if the threads share the slot, else 0, and 2 bytes of zeros
//
// In a survivor, the last two are 0. [ReadProgram] and [ReadThreadProgram] define which files are
// valid.
func (p *Program) WriteTo(w io.Writer) (int64, error) {
	return writeProgram(w, p.Summary, 0, []code{p.code})
}

// WriteTo writes p as a program file: see [Program.WriteTo].
func (p *ThreadProgram) WriteTo(w io.Writer) (int64, error) {
	return writeProgram(w, p.Summary, p.SharedSlots, p.threads)
}

func writeProgram(w io.Writer, sum Summary, shared int, threads []code) (int64, error) {
	count := &counter{w: w}
	b := bufio.NewWriterSize(count, 64<<10)
	le := binary.LittleEndian
	head := []byte(programMagic)
	head = le.AppendUint32(head, uint32(len(threads)))
	head = le.AppendUint32(head, uint32(shared))
	head = le.AppendUint64(head, uint64(sum.Events))
	head = le.AppendUint64(head, sum.MaxSize)
	for _, c := range threads {
		head = le.AppendUint32(head, uint32(c.slots))
		head = le.AppendUint32(head, uint32(len(c.survivors)))
		head = le.AppendUint64(head, uint64(len(c.instrs)))
	}
	_, _ = b.Write(head) // Flush returns its error
	var line [24]byte
	write := func(in instr) {
		le.PutUint64(line[:], uint64(in.layout.Size()))
		line[8] = byte(bits.TrailingZeros64(uint64(in.layout.Align())))
		le.PutUint32(line[16:], in.slot)
		line[20], line[21] = byte(in.op), 0
		if in.shared {
			line[21] = 1
		}
		_, _ = b.Write(line[:])
	}
	for _, c := range threads {
		for _, in := range c.instrs {
			write(in)
		}
		for _, s := range c.survivors {
			write(instr{layout: s.layout, slot: s.slot})
		}
	}
	err := b.Flush()
	return count.n, err
}

// counter counts the bytes written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
