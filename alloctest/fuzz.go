package alloctest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

// Fuzz makes f a fuzz target for the allocators that create returns. It decodes the input by [Ops]
// and checks it by [Check]. A failing input is printed as a trace: save its lines in a file, and
// "galloc replay -check" runs it on any allocator. (It calls Grow for every growth; Check calls
// GrowZeroed for growth to an even size.)
func Fuzz(f *testing.F, create func() galloc.Allocator) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := Check(create(), Ops(data)); err != nil {
			t.Fatal(err)
		}
	})
}

// seeds are programs that use the size classes, resize, and free in several orders.
var seeds = []string{
	"",
	"\x00\x00\x08\x00\x00\x00\x18\x00\x04\x00\x00\x00\x04\x00\x00\x00",
	"\x01\x00\x40\x01\x02\x00\x41\x22\x03\x00\x42\x33\x03\x01\x43\x05\x04\x02\x00\x00\x04\x00\x00\x00",
	"\x00\x00\xff\x0c\x01\x00\xff\x0c\x03\x01\x01\x00\x03\x00\xff\x0f\x04\x01\x00\x00\x01\x00\xff\x0c",
	"\x42\x00\x07\x00\x82\x00\x07\x00\xc2\x00\x07\x00\x03\x02\x80\x04\x03\x01\x80\x04\x03\x00\x80\x04",
}

// opBytes is the number of bytes of fuzz input for an event.
const opBytes = 4

// Ops turns any bytes into a sequence of events that a program can produce, at most one for every
// four bytes: a kind and alignment, a choice among the live objects, and a size of 0 to 1 MiB,
// mostly small.
func Ops(data []byte) []trace.Op {
	var ops []trace.Op
	var live []uint64
	var next uint64
	for ; len(data) >= opBytes; data = data[opBytes:] {
		exponent := min(data[3]&15, data[3]>>4)
		size := uint64(data[2]) << exponent >> 3 // 0 to 255 eighths, times 1 to 32768
		op := trace.Op{Size: size}
		choice := 0
		if len(live) > 0 {
			choice = int(data[1]) % len(live)
		}
		switch data[0] & 7 {
		case 0:
			op.Kind = trace.Malloc
		case 1:
			op.Kind = trace.Calloc
		case 2:
			op.Kind, op.Align = trace.Aligned, 1<<(data[0]>>3&15)
		case 3, 6:
			op.Kind = trace.Realloc
			if len(live) > 0 {
				op.Old = live[choice]
			}
		case 4, 5, 7:
			if len(live) == 0 {
				continue
			}
			op = trace.Op{Kind: trace.Free, ID: live[choice]}
		}
		if dead := op.Old + op.ID; dead != 0 { // a realloc or a free ends an object
			live[choice] = live[len(live)-1]
			live = live[:len(live)-1]
		}
		if op.Kind != trace.Free {
			next++
			op.ID = next
			live = append(live, next)
		}
		ops = append(ops, op)
	}
	return ops
}

// Check runs the events on a through a [Model]. It checks every byte of every block after each
// event while there are few blocks, later after every 16th, and at the end; then it frees the
// remaining blocks. It skips allocations that fail. If a breaks a rule, the error shows the events
// up to that point as a trace.
func Check(a galloc.Allocator, ops []trace.Op) error {
	m := NewModel(a)
	for i, op := range ops {
		err := perform(m, op)
		if err == nil && (m.Len() < 4 || i%16 == 0) {
			err = m.Verify()
		}
		if err != nil {
			return traceError(err, ops[:i+1])
		}
	}
	err := m.Verify()
	if err == nil {
		err = m.FreeAll()
	}
	if err != nil {
		return traceError(err, ops)
	}
	return nil
}

// perform executes op. If it fails to allocate its block, later events of that block do nothing.
func perform(m *Model, op trace.Op) error {
	size, align := op.Layout()
	l, err := galloc.NewLayout(uintptr(size), uintptr(align))
	if err != nil {
		return err
	}
	switch op.Kind {
	case trace.Calloc:
		err = m.AllocateZeroed(op.ID, l)
	case trace.Free:
		if m.blocks[op.ID] != nil {
			err = m.Free(op.ID)
		}
	case trace.Realloc:
		if b := m.blocks[op.Old]; b != nil {
			err = m.Resize(op.Old, mustLayout(l.Size(), b.l.Align()), size%2 == 0)
			m.rename(op.Old, op.ID)
			break
		}
		fallthrough
	default:
		err = m.Allocate(op.ID, l)
	}
	if v := (*Violation)(nil); errors.As(err, &v) {
		return err
	}
	return nil
}

// rename changes the number of a block, as a realloc in a trace does.
func (m *Model) rename(old, id uint64) {
	if b := m.blocks[old]; b != nil {
		delete(m.blocks, old)
		b.id = id
		m.blocks[id] = b
	}
}

func traceError(err error, ops []trace.Op) error {
	var text strings.Builder
	w := trace.NewWriter(&text)
	for _, op := range ops {
		if err := w.Write(op); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return fmt.Errorf("%w, after the %d events of this trace:\n%s", err, len(ops), text.String())
}

func addressOf[T any](p *T) unsafe.Pointer { return unsafe.Pointer(p) }
