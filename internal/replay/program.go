// Package replay replays traces on an allocator, to measure it and to check it.
//
// [Compile] makes a [Program] of a trace, and [Replay] runs it on one thread; [CompileThreads],
// [ThreadProgram] and [ThreadReplay] do the same with a goroutine for each thread of the trace.
//
// # The compiled form of a trace
//
// Replaying must cost as little as possible beside the allocator under test, so the work is done
// beforehand: each instruction holds the complete layout of its block, and slots replace object
// numbers. A slot is an index in a table in which the replay keeps the pointers of live objects. A
// slot is free again when its object dies, and the slot that was freed last is reused first. So the
// table has one slot for each of the most objects alive at a time, and its busy part stays in the
// cache.
//
// Slots are assigned in two passes, because the kind of slot that an object needs depends on the
// thread that ends it. The first pass reads the events and follows every object from birth to
// death; the second pass goes through the list of each thread and replaces objects by slots.
// Compile puts all events on one thread.
//
// The files: program.go compiles, program_file.go and program_read.go write and read compiled
// programs, and replay.go, observe.go and check.go run them.
package replay

import (
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

// Summary describes a trace, however it is compiled.
type Summary struct {
	Name    string // the name passed to Compile
	Events  int
	Objects int
	Threads int

	PeakObjects   int    // the most objects alive at a time
	EndObjects    int    // objects alive at the end
	PeakLiveBytes uint64 // the most bytes of live objects at a time, by their requested sizes
	EndLiveBytes  uint64 // the bytes of objects alive at the end
	MaxSize       uint64 // the size of the largest object in bytes
	TotalBytes    uint64 // the bytes of all objects, modulo 2^64
}

// Program is a trace compiled for replay on one thread. It takes 24 bytes per event. It does not
// change after [Compile], so any number of goroutines may use it.
type Program struct {
	Summary
	Slots int // the length of the table of live objects; equal to PeakObjects

	code code
}

// ThreadProgram is a trace compiled for replay with one goroutine for each thread. Each thread
// performs its events in the order of the trace. Between threads only one order is kept: an object
// is born before another thread ends it. So a replay may exceed or not reach PeakObjects and
// PeakLiveBytes, which hold for the order of the trace. It does not change after [CompileThreads],
// so any number of goroutines may use it.
type ThreadProgram struct {
	Summary
	SharedSlots int // the length of the table of objects that die on another thread

	threads []code // by thread number
}

// code is the work of one thread.
//
// Invariants:
//   - an event is one instruction, but a realloc of an object is two: an opRealloc and directly
//     after it an opInto, which occurs nowhere else;
//   - slots of instructions that are not shared are below slots;
//   - such a slot is empty before each birth and full before each death in it;
//   - the slots of the survivors, and no others, are full after the last instruction.
type code struct {
	instrs    []instr
	slots     int        // the length of the thread's own table
	survivors []survivor // objects alive at the end, by slot
}

// instr is one instruction. It has no pointers, so an array of it can be moved to memory outside
// the Go heap. It has 24 bytes on 64-bit systems.
type instr struct {
	layout galloc.Layout // of the block, complete
	slot   uint32        // where the block's pointer is put (birth) or found (death)
	op     opcode
	shared bool // slot is in the table that the threads share: see CompileThreads
}

// opcode is the operation of an instruction. The letters of the format are mapped to fewer and
// denser values: with a complete layout, a malloc, an aligned allocation and a realloc of no object
// are the same operation.
type opcode uint8

const (
	opAlloc       opcode = iota // birth: allocate a block, put it in slot
	opAllocZeroed               // birth: likewise, and its memory must read zero
	opFree                      // death: free the block in slot, whose layout is this one
	opRealloc                   // death: the block in slot, whose layout is this one, becomes ...
	// Birth: ... one of this layout, with the same alignment, in this slot; may be the same slot.
	opInto
)

// survivor is an object that is alive at the end of a trace.
type survivor struct {
	layout galloc.Layout
	slot   uint32
}

// Compile reads the events from src until it returns [io.EOF], and compiles them for replay on one
// thread. It ignores the threads of the events. name is for reports and errors.
//
// It fails if src fails, with src's error; if an event cannot follow the events before it; or if
// the bytes of the live objects together exceed the greatest int. A trace of a million events takes
// some 100 ms from text, 200 ms from gzip, and some 70 MB while it is compiled.
func Compile(name string, src trace.Source) (*Program, error) {
	c := compiler{sum: Summary{Name: name}, one: true}
	if err := c.read(src); err != nil {
		return nil, err
	}
	p := &Program{Summary: c.sum}
	if len(c.lists) > 0 {
		p.code = c.assign(0)
	}
	p.Slots = p.code.slots
	return p, nil
}

// CompileThreads is like [Compile] but keeps the threads apart.
//
// An object that lives and dies on one thread has a slot in a table of that thread. An object that
// dies on another thread has a slot in a table that all threads share, and its two instructions are
// marked shared. Such a slot is used once: the thread of birth stores the pointer in it,
// atomically, and the thread of death waits for it in a loop that yields the processor. This cannot
// deadlock: of the events not yet done, the first in the order of the trace waits for nothing,
// since all births before it are done.
func CompileThreads(name string, src trace.Source) (*ThreadProgram, error) {
	c := compiler{sum: Summary{Name: name}}
	if err := c.read(src); err != nil {
		return nil, err
	}
	p := &ThreadProgram{
		Summary:     c.sum,
		SharedSlots: int(c.shared),
		threads:     make([]code, len(c.lists)),
	}
	for thread := range c.lists {
		p.threads[thread] = c.assign(thread)
	}
	return p, nil
}

// compiler is the state of a compilation.
type compiler struct {
	one     bool // put all events on thread 0
	sum     Summary
	check   trace.Checker
	objects objectTable
	lists   []instrList // by thread; in the first pass, slot holds the index of the object
	shared  uint32      // shared slots assigned
	live    int         // objects
	bytes   uint64      // of live objects
}

// object is the life of one object. The meaning of home depends on the stage.
type object struct {
	layout galloc.Layout
	// Alive in the first pass: the thread of birth; in stageShared and the second pass: the slot.
	home  uint32
	stage stage
}

type stage uint8

const (
	stageAlive  stage = iota
	stageLocal        // dead, on the thread of birth
	stageShared       // dead, on another thread
)

// read is the first pass.
func (c *compiler) read(src trace.Source) error {
	for {
		op, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := c.event(op); err != nil {
			if c.sum.Name != "" {
				return fmt.Errorf("%s: event %d: %w", c.sum.Name, c.sum.Events+1, err)
			}
			return fmt.Errorf("event %d: %w", c.sum.Events+1, err)
		}
		c.sum.Events++
	}
	c.sum.Objects = c.objects.len
	c.sum.Threads = c.check.Threads()
	c.sum.EndObjects = c.live
	c.sum.EndLiveBytes = c.bytes
	return nil
}

func (c *compiler) event(op trace.Op) error {
	if err := c.check.Check(op); err != nil {
		return err
	}
	thread := op.Thread
	if c.one {
		thread = 0
	}
	if thread == len(c.lists) {
		c.lists = append(c.lists, instrList{})
	}
	list := &c.lists[thread]

	switch {
	case op.Kind == trace.Free:
		list.add(c.death(op.ID, opFree, thread))
		return nil
	case op.Kind == trace.Realloc && op.Old != 0:
		old := c.death(op.Old, opRealloc, thread)
		into, err := c.birth(op.Size, uint64(old.layout.Align()), opInto, thread)
		if err != nil {
			return err
		}
		list.add(old)
		list.add(into)
		return nil
	}
	size, align := op.Layout()
	code := opAlloc
	if op.Kind == trace.Calloc {
		code = opAllocZeroed
	}
	birth, err := c.birth(size, align, code, thread)
	if err != nil {
		return err
	}
	list.add(birth)
	return nil
}

func (c *compiler) birth(size, align uint64, code opcode, thread int) (instr, error) {
	// The checker does not know that a realloc keeps a greater alignment.
	if err := trace.CheckLayout(size, align); err != nil {
		return instr{}, err
	}
	l, err := galloc.NewLayout(uintptr(size), uintptr(align))
	if err != nil {
		return instr{}, err
	}
	// The largest object and the sum are below 2^63: no overflow.
	c.bytes += size
	if c.bytes > math.MaxInt {
		return instr{}, tooMuch(c.bytes)
	}
	if uint64(c.objects.len) == math.MaxUint32 {
		return instr{}, errors.New("more than 4294967295 objects")
	}
	c.live++
	c.sum.PeakObjects = max(c.sum.PeakObjects, c.live)
	c.sum.PeakLiveBytes = max(c.sum.PeakLiveBytes, c.bytes)
	c.sum.MaxSize = max(c.sum.MaxSize, size)
	c.sum.TotalBytes += size
	index := c.objects.add(object{layout: l, home: uint32(thread)})
	return instr{layout: l, slot: index, op: code}, nil
}

func tooMuch(bytes uint64) error {
	return fmt.Errorf("the live objects together have %d bytes, over the limit of this platform, %d",
		bytes, math.MaxInt)
}

func (c *compiler) death(id uint64, code opcode, thread int) instr {
	index := uint32(id - 1)
	o := c.objects.at(index)
	if o.home == uint32(thread) {
		o.stage = stageLocal
	} else {
		o.stage = stageShared
		o.home = c.shared
		c.shared++
	}
	c.live--
	c.bytes -= uint64(o.layout.Size())
	return instr{layout: o.layout, slot: index, op: code}
}

// assign is the second pass over the list of one thread, which it consumes.
func (c *compiler) assign(thread int) code {
	list := &c.lists[thread]
	out := code{instrs: make([]instr, 0, list.len)}
	var (
		empty   []uint32 // slots without an object, the last freed at the end
		tenants []uint32 // by slot: the index of the last object in it
	)
	for i, chunk := range list.chunks {
		for _, in := range chunk {
			o := c.objects.at(in.slot)
			switch {
			case o.stage == stageShared:
				in.shared = true
			case in.op == opFree || in.op == opRealloc:
				empty = append(empty, o.home)
			case len(empty) > 0:
				o.home = empty[len(empty)-1]
				empty = empty[:len(empty)-1]
				tenants[o.home] = in.slot
			default:
				o.home = uint32(len(tenants))
				tenants = append(tenants, in.slot)
			}
			in.slot = o.home
			out.instrs = append(out.instrs, in)
		}
		list.chunks[i] = nil // large, and no longer needed
	}
	out.slots = len(tenants)
	for slot, index := range tenants {
		if o := c.objects.at(index); o.stage == stageAlive {
			out.survivors = append(out.survivors, survivor{layout: o.layout, slot: uint32(slot)})
		}
	}
	return out
}

// objectTable holds all objects of a trace by their index, which is the number minus 1. Like
// instrList it grows without moving its content: otherwise a large trace would need more than twice
// the memory.
type objectTable struct {
	chunks []*[objectChunk]object
	len    int
}

const objectChunk = 4096

func (t *objectTable) add(o object) (index uint32) {
	if t.len%objectChunk == 0 {
		t.chunks = append(t.chunks, new([objectChunk]object))
	}
	index = uint32(t.len)
	t.len++
	*t.at(index) = o
	return index
}

func (t *objectTable) at(index uint32) *object {
	return &t.chunks[index/objectChunk][index%objectChunk]
}

// instrList holds the instructions of one thread in their order.
type instrList struct {
	chunks [][]instr
	len    int
}

func (l *instrList) add(in instr) {
	last := len(l.chunks) - 1
	if last < 0 || len(l.chunks[last]) == cap(l.chunks[last]) {
		// Doubling keeps a thread with few events cheap.
		size := 64 << min(len(l.chunks), 10)
		l.chunks = append(l.chunks, make([]instr, 0, size))
		last++
	}
	l.chunks[last] = append(l.chunks[last], in)
	l.len++
}
