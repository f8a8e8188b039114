// Replaying a program.
//
// Four loops run compiled programs. They do the same work in the same order for every allocator:
//
//   - Replay.Round: the timed loop. One thread; every event is a call of galloc.Alloc, AllocZeroed,
//     Realloc or Dealloc, and so of the registered allocator; or of other functions, see Face. A
//     block is touched as a program would: the first byte of every 4 KiB and the last byte.
//   - ThreadReplay.Round: the same with a goroutine for each thread.
//   - observer, for RoundObserved of both: times each call, not the whole.
//   - checkRun, for Check of both: no timing. It writes every byte of every block, and compares it
//     before the block is freed or resized.
//
// A replay on the allocator Sink shows the cost of the loop itself.

package replay

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/vm"
)

// Replay replays a [Program] through the global allocator, any number of times. It is not safe for
// concurrent use.
type Replay struct {
	code  code
	table []unsafe.Pointer // by slot; Go memory, so that blocks on the Go heap stay alive
	face  Face
	last  Face // of the last round
	free  func() error
}

// NewReplay prepares to replay p. It copies the instructions to pages off the Go heap, where they
// do not influence how often the garbage collector runs, and touches all memory that Round itself
// needs. Close releases the memory.
func NewReplay(p *Program) (*Replay, error) {
	r := &Replay{code: p.code, table: touchedTable(p.Slots)}
	var err error
	if r.code.instrs, r.free, err = offHeap(p.code.instrs); err != nil {
		return nil, err
	}
	return r, nil
}

// Round replays the whole trace and returns the elapsed time. Objects that are alive at the end
// stay allocated until FreeSurvivors. If an allocation fails, the round ends with an error that
// wraps [galloc.ErrOutOfMemory], and all objects are freed.
func (r *Replay) Round() (time.Duration, error) {
	f := run
	switch r.face {
	case AtRunTime:
		f = runAtRunTime
	case Slices:
		f = runSlices
	}
	r.last = r.face
	start := time.Now()
	if failed := f(r.code.instrs, r.table); failed >= 0 {
		return 0, r.fail(failed, r.face)
	}
	return time.Since(start), nil
}

// run is the timed loop. It returns the number of the first instruction whose allocation fails, or
// -1. It is a separate function, and each case uses its slot as early as possible, so that few
// registers are saved across the calls.
func run(code []instr, table []unsafe.Pointer) (failed int) {
	slots := unsafe.Pointer(unsafe.SliceData(table))
	for i := range code {
		in := &code[i]
		switch in.op {
		case opAlloc:
			p := galloc.Alloc(in.layout)
			if p == nil {
				return i
			}
			*slotAt(slots, in) = p
			touch(p, in.layout.Size())
		case opFree:
			slot := slotAt(slots, in)
			p := *slot
			*slot = nil
			galloc.Dealloc(p, in.layout)
		case opAllocZeroed:
			p := galloc.AllocZeroed(in.layout)
			if p == nil {
				return i
			}
			*slotAt(slots, in) = p
			touch(p, in.layout.Size())
		case opRealloc:
			slot, into := slotAt(slots, in), &code[i+1]
			p := galloc.Realloc(*slot, in.layout, into.layout.Size())
			if p == nil {
				return i
			}
			*slot = nil
			*slotAt(slots, into) = p
			touch(p, into.layout.Size())
		}
	}
	return -1
}

// slotAt returns the slot of in, in the table that begins at slots.
func slotAt(slots unsafe.Pointer, in *instr) *unsafe.Pointer {
	// SAFETY: the slots of instructions are below the length of the table, as the invariants of
	// code say.
	return (*unsafe.Pointer)(unsafe.Add(slots, uintptr(in.slot)*unsafe.Sizeof(slots)))
}

// fail frees all that the instructions before number n have left alive, and returns the error for
// it.
func (r *Replay) fail(n int, f Face) error {
	live := map[uint32]galloc.Layout{}
	for _, in := range r.code.instrs[:n] {
		if in.op == opFree || in.op == opRealloc {
			delete(live, in.slot)
		} else {
			live[in.slot] = in.layout
		}
	}
	for slot, l := range live {
		galloc.Dealloc(r.table[slot], f.layout(l))
		r.table[slot] = nil
	}
	return outOfMemory(r.code.instrs, n)
}

// FreeSurvivors frees what is alive at the end of the trace, after a Round.
func (r *Replay) FreeSurvivors() { freeSurvivors(r.code.survivors, r.table, r.last) }

// Check replays the trace on a, which may be [galloc.Global], then frees the survivors. Every byte
// of every block is written, and must still be there when the block is freed or resized; blocks
// must be aligned, and the blocks of a calloc zero. It returns the number of bytes compared, and an
// error that names the first event at which something is wrong; blocks stay allocated then.
func (r *Replay) Check(a galloc.Allocator) (uint64, error) {
	run := checkRun{a: a}
	run.thread(0, r.code, r.table)
	return run.result()
}

// Close releases the memory of the instructions. The Replay cannot be used afterwards.
func (r *Replay) Close() error {
	r.code = code{}
	return r.free()
}

// ThreadReplay replays a [ThreadProgram] through the global allocator, with one goroutine for each
// thread.
type ThreadReplay struct {
	threads []code
	tables  [][]unsafe.Pointer
	shared  []unsafe.Pointer // accessed atomically; nil until the block is born
	frees   []func() error
}

// NewThreadReplay prepares to replay p, as [NewReplay] does.
func NewThreadReplay(p *ThreadProgram) (*ThreadReplay, error) {
	r := &ThreadReplay{shared: touchedTable(p.SharedSlots)}
	for _, c := range p.threads {
		instrs, free, err := offHeap(c.instrs)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		c.instrs = instrs
		r.threads = append(r.threads, c)
		r.tables = append(r.tables, touchedTable(c.slots))
		r.frees = append(r.frees, free)
	}
	return r, nil
}

// Round replays the whole trace, each goroutine doing the events of its thread in their order, and
// waiting only for blocks that another thread has to allocate first. It returns how long that took,
// from the start of all to the end of the last. If an allocation fails, that thread ends, and those
// that wait for it; the error wraps [galloc.ErrOutOfMemory], and what was allocated stays so: end
// the process.
func (r *ThreadReplay) Round() (time.Duration, error) { return r.round(r.thread) }

// round does a round in which f is what a thread does.
func (r *ThreadReplay) round(f func(t int, failed *atomic.Pointer[error]) error) (time.Duration, error) {
	var failed atomic.Pointer[error]
	clear(r.shared)
	took := r.together(func(t int) {
		if err := f(t, &failed); err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	})
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return took, nil
}

func (r *ThreadReplay) thread(t int, failed *atomic.Pointer[error]) error {
	code, table := r.threads[t].instrs, r.tables[t]
	for i := 0; i < len(code); i++ {
		in := &code[i]
		var old unsafe.Pointer
		if in.op == opFree || in.op == opRealloc {
			if old = takeBlock(in, table, r.shared, failed); old == nil {
				return nil
			}
		}
		if in.op == opFree {
			galloc.Dealloc(old, in.layout)
			continue
		}
		var p unsafe.Pointer
		switch in.op {
		case opAlloc:
			p = galloc.Alloc(in.layout)
		case opAllocZeroed:
			p = galloc.AllocZeroed(in.layout)
		case opRealloc:
			i++
			p = galloc.Realloc(old, in.layout, code[i].layout.Size())
			in = &code[i]
		}
		if p == nil {
			return fmt.Errorf("thread %d, %w", t, outOfMemory(code, i))
		}
		touch(p, in.layout.Size())
		if in.shared {
			atomic.StorePointer(&r.shared[in.slot], p)
		} else {
			table[in.slot] = p
		}
	}
	return nil
}

// takeBlock returns the block that in ends. If another thread has to allocate it, it waits for
// that, and returns nil if any thread fails.
func takeBlock(in *instr, table, shared []unsafe.Pointer, failed *atomic.Pointer[error]) unsafe.Pointer {
	if !in.shared {
		p := table[in.slot]
		table[in.slot] = nil
		return p
	}
	for {
		if p := atomic.LoadPointer(&shared[in.slot]); p != nil {
			shared[in.slot] = nil // no other thread reads it
			return p
		}
		if failed.Load() != nil {
			return nil
		}
		runtime.Gosched()
	}
}

// FreeSurvivors frees what is alive at the end of the trace, after a Round.
func (r *ThreadReplay) FreeSurvivors() {
	for t, c := range r.threads {
		freeSurvivors(c.survivors, r.tables[t], Static)
	}
}

// Check replays the trace on a with one goroutine for each thread, as [Replay.Check] does with one.
func (r *ThreadReplay) Check(a galloc.Allocator) (uint64, error) {
	clear(r.shared)
	run := checkRun{a: a, shared: r.shared}
	r.together(func(t int) { run.thread(t, r.threads[t], r.tables[t]) })
	return run.result()
}

// Close releases the memory of the instructions. The ThreadReplay cannot be used afterwards.
func (r *ThreadReplay) Close() error {
	var errs []error
	for _, free := range r.frees {
		errs = append(errs, free())
	}
	r.threads, r.frees = nil, nil
	return errors.Join(errs...)
}

// together runs f for each thread, all started at once, and returns the time until the last has
// ended.
func (r *ThreadReplay) together(f func(thread int)) time.Duration {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for t := range r.threads {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			f(t)
		})
	}
	ready.Wait()
	began := time.Now()
	close(start)
	done.Wait()
	return time.Since(began)
}

// Sink returns an allocator that does nothing: every block is at the same address, the start of
// maxSize bytes of memory, which must suffice for the largest object. A replay on it shows the cost
// of the replay itself: loop, table and touching. It is for one thread: several would slow one
// another down by writing to the same block.
func Sink(maxSize uint64) (galloc.GlobalAlloc, error) {
	if maxSize >= math.MaxInt-1<<20 { // too much to be rounded up
		return nil, galloc.ErrOutOfMemory
	}
	p, _, err := pages(uintptr(maxSize) + 1)
	if err != nil {
		return nil, err
	}
	return sink{p}, nil
}

type sink struct{ p unsafe.Pointer }

func (n sink) Alloc(galloc.Layout) unsafe.Pointer                                  { return n.p }
func (n sink) AllocZeroed(galloc.Layout) unsafe.Pointer                            { return n.p }
func (n sink) Dealloc(unsafe.Pointer, galloc.Layout)                               {}
func (n sink) Realloc(p unsafe.Pointer, _ galloc.Layout, _ uintptr) unsafe.Pointer { return p }
func (n sink) String() string                                                      { return "sink" }

// touch writes to the first byte of every 4 KiB of a block and to its last byte.
func touch(p unsafe.Pointer, size uintptr) {
	if size == 0 {
		return
	}
	for off := uintptr(0); off < size; off += 4096 {
		*(*byte)(unsafe.Add(p, off)) = 1
	}
	*(*byte)(unsafe.Add(p, size-1)) = 1
}

func freeSurvivors(survivors []survivor, table []unsafe.Pointer, f Face) {
	for _, s := range survivors {
		galloc.Dealloc(table[s.slot], f.layout(s.layout))
		table[s.slot] = nil
	}
}

// outOfMemory returns the error of instruction i, whose allocation failed.
func outOfMemory(code []instr, i int) error {
	first := i
	switch code[i].op {
	case opRealloc:
		i++
	case opInto:
		first--
	}
	return fmt.Errorf("event %d, %v: %w",
		eventNumber(code, first), code[i].op, galloc.ErrOutOfMemory.For(code[i].layout))
}

// eventNumber returns the number, from 1, of the event that begins with instruction i.
func eventNumber(code []instr, i int) int {
	n := 1
	for _, in := range code[:i] {
		if in.op != opInto {
			n++
		}
	}
	return n
}

// touchedTable returns a table whose pages are all resident.
func touchedTable(n int) []unsafe.Pointer {
	table := make([]unsafe.Pointer, n)
	for i := range table {
		table[i] = unsafe.Pointer(&table[0])
	}
	clear(table)
	return table
}

// offHeap copies code to pages off the Go heap, and returns a function that releases them.
func offHeap(instrs []instr) ([]instr, func() error, error) {
	if len(instrs) == 0 {
		return nil, func() error { return nil }, nil
	}
	p, free, err := pages(uintptr(len(instrs)) * unsafe.Sizeof(instr{}))
	if err != nil {
		return nil, nil, err
	}
	// SAFETY: the pages are ours, long enough, aligned, and instr has no pointers.
	moved := unsafe.Slice((*instr)(p), len(instrs))
	copy(moved, instrs)
	return moved, free, nil
}

// pages returns n bytes of memory from the system, and a function that releases them.
func pages(n uintptr) (unsafe.Pointer, func() error, error) {
	page := vm.PageSize()
	n = (n + page - 1) &^ (page - 1)
	p, err := vm.Reserve(n, 0)
	if err == nil {
		if err = vm.Commit(p, n); err != nil {
			err = errors.Join(err, vm.Release(p, n))
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("replay: cannot get %d bytes for the replay itself: %w", n, err)
	}
	return p, func() error { return vm.Release(p, n) }, nil
}
