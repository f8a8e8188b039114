package replay

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// A Face is the functions through which a round allocates.
type Face int

const (
	// Static is galloc.Alloc and its kin, with layouts that were made before the clock starts, as
	// for the types of a program.
	Static Face = iota
	// AtRunTime is the same functions, with a layout that each call makes of the size and an
	// alignment of 16, as malloc in C finds its class in each call.
	AtRunTime
	// Slices is MakeSlice[byte], GrowSlice and FreeSlice. MakeSlice zeroes, which malloc does not.
	Slices
)

// largeAlign is the alignment above which a program chooses the alignment itself. All faces treat
// such blocks as Static does.
const largeAlign = 16

// layout returns the layout of the blocks of an instruction with layout l.
func (f Face) layout(l galloc.Layout) galloc.Layout {
	switch {
	case f == Static || l.Align() > largeAlign:
		return l
	case f == AtRunTime:
		l, _ = galloc.NewLayout(l.Size(), largeAlign)
	default:
		l, _ = galloc.NewLayout(l.Size(), 1)
	}
	return l
}

// Through makes the rounds of r allocate through f. RoundObserved and Check do not change.
func (r *Replay) Through(f Face) { r.face = f }

// runAtRunTime is run for AtRunTime.
func runAtRunTime(code []instr, table []unsafe.Pointer) (failed int) {
	slots := unsafe.Pointer(unsafe.SliceData(table))
	for i := range code {
		in := &code[i]
		l := in.layout
		if l.Align() <= largeAlign {
			l, _ = galloc.NewLayout(in.layout.Size(), largeAlign)
		}
		switch in.op {
		case opAlloc:
			p := galloc.Alloc(l)
			if p == nil {
				return i
			}
			*slotAt(slots, in) = p
			touch(p, in.layout.Size())
		case opFree:
			slot := slotAt(slots, in)
			p := *slot
			*slot = nil
			galloc.Dealloc(p, l)
		case opAllocZeroed:
			p := galloc.AllocZeroed(l)
			if p == nil {
				return i
			}
			*slotAt(slots, in) = p
			touch(p, in.layout.Size())
		case opRealloc:
			slot, into := slotAt(slots, in), &code[i+1]
			p := galloc.Realloc(*slot, l, into.layout.Size())
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

// runSlices is run for Slices.
func runSlices(code []instr, table []unsafe.Pointer) (failed int) {
	slots := unsafe.Pointer(unsafe.SliceData(table))
	for i := range code {
		in := &code[i]
		size := int(in.layout.Size())
		if in.op != opInto && in.layout.Align() > largeAlign {
			if run(code[i:min(i+2, len(code))][:lengthOf(in)], table) >= 0 {
				return i
			}
			continue
		}
		switch in.op {
		case opAlloc, opAllocZeroed:
			s, err := galloc.MakeSlice[byte](nil, size)
			if err != nil {
				return i
			}
			p := unsafe.Pointer(unsafe.SliceData(s))
			*slotAt(slots, in) = p
			touch(p, in.layout.Size())
		case opFree:
			slot := slotAt(slots, in)
			// SAFETY: the slice that MakeSlice or GrowSlice made for the slot has this length.
			s := unsafe.Slice((*byte)(*slot), size)
			*slot = nil
			galloc.FreeSlice(nil, s)
		case opRealloc:
			slot, into := slotAt(slots, in), &code[i+1]
			// SAFETY: as above.
			s, err := galloc.GrowSlice(nil, unsafe.Slice((*byte)(*slot), size), int(into.layout.Size()))
			if err != nil {
				return i
			}
			p := unsafe.Pointer(unsafe.SliceData(s))
			*slot = nil
			*slotAt(slots, into) = p
			touch(p, into.layout.Size())
		}
	}
	return -1
}

// lengthOf returns the number of instructions of an event that begins with in.
func lengthOf(in *instr) int {
	if in.op == opRealloc {
		return 2
	}
	return 1
}
