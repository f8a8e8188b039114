package replay

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// RoundObserved is like [Replay.Round], but times each call of the allocator: it calls now before
// and after it, and observe with the difference, in the unit of now. The difference includes the
// cost of calling now; the caller may subtract it. Touching the blocks is not timed.
func (r *Replay) RoundObserved(now func() uint64, observe func(ticks uint64)) error {
	r.last = Static
	o := observer{now, observe}
	if failed := o.run(r.code.instrs, r.table, nil, nil); failed >= 0 {
		return r.fail(failed, Static)
	}
	return nil
}

// RoundObserved is like [ThreadReplay.Round], but times each call of the allocator, as
// [Replay.RoundObserved] does. Waiting for a block from another thread is not timed. Each thread
// calls now and observe on its own goroutine, with its number, from 0 to less than the Threads of
// the program, so that observe can write to separate places.
func (r *ThreadReplay) RoundObserved(now func() uint64, observe func(thread int, ticks uint64)) error {
	_, err := r.round(func(t int, failed *atomic.Pointer[error]) error {
		o := observer{now, func(ticks uint64) { observe(t, ticks) }}
		code := r.threads[t].instrs
		if i := o.run(code, r.tables[t], r.shared, failed); i >= 0 {
			return fmt.Errorf("thread %d, %w", t, outOfMemory(code, i))
		}
		return nil
	})
	return err
}

// observer replays the events of one thread, and times the calls.
type observer struct {
	now     func() uint64
	observe func(ticks uint64)
}

// run is the loop. It returns the number of the first instruction whose allocation fails, or -1,
// also if another thread has failed. A block whose realloc fails stays in its slot, unless threads
// share the slot.
func (o *observer) run(code []instr, table, shared []unsafe.Pointer, others *atomic.Pointer[error]) (failed int) {
	for i := 0; i < len(code); i++ {
		in, first := &code[i], i
		var old, p unsafe.Pointer
		if in.op == opFree || in.op == opRealloc {
			if old = takeBlock(in, table, shared, others); old == nil {
				return -1
			}
		}
		start := o.now()
		switch in.op {
		case opAlloc:
			p = galloc.Alloc(in.layout)
		case opAllocZeroed:
			p = galloc.AllocZeroed(in.layout)
		case opFree:
			galloc.Dealloc(old, in.layout)
		case opRealloc:
			i++
			p = galloc.Realloc(old, in.layout, code[i].layout.Size())
		}
		o.observe(o.now() - start)
		if in.op == opFree {
			continue
		}
		if p == nil {
			if in.op == opRealloc && !in.shared {
				table[in.slot] = old
			}
			return first
		}
		in = &code[i]
		touch(p, in.layout.Size())
		if in.shared {
			atomic.StorePointer(&shared[in.slot], p)
		} else {
			table[in.slot] = p
		}
	}
	return -1
}
