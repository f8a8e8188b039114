package convert

import (
	"errors"
	"fmt"

	"github.com/galloc-go/galloc/trace"
)

// A writer makes events of calls that name blocks by address, or by another number that one block
// at a time has. The address 0 is no block.
type writer struct {
	out    *trace.Writer
	strict bool

	live    map[uint64]uint64 // object by address
	threads map[uint64]int    // by the number in the recording
	born    uint64            // objects so far
	events  int

	lostFrees, unknownFrees, unknownReallocs, failed int
}

// Errors of -strict.
var (
	errInUse   = errors.New("the address is in use: a free is missing")
	errUnknown = errors.New("no block that is in use has this address")
)

func (w *writer) write(thread uint64, op trace.Op) error {
	n, known := w.threads[thread]
	if !known {
		n = len(w.threads)
	}
	op.Thread = n
	if err := w.out.Write(op); err != nil {
		return err
	}
	w.threads[thread] = n
	w.events++
	if op.Kind != trace.Free {
		w.born++
	}
	return nil
}

// alloc writes op, which has a kind, a size and an alignment, as the allocation of the block at
// addr.
func (w *writer) alloc(thread, addr uint64, op trace.Op) error {
	if addr == 0 {
		w.failed++
		return nil
	}
	if err := w.vacate(thread, addr); err != nil {
		return err
	}
	op.ID = w.born + 1
	if err := w.write(thread, op); err != nil {
		return err
	}
	w.live[addr] = op.ID
	return nil
}

// vacate ends the block at addr if there is one.
func (w *writer) vacate(thread, addr uint64) error {
	id, used := w.live[addr]
	if !used {
		return nil
	}
	if w.strict {
		return errInUse
	}
	w.lostFrees++
	delete(w.live, addr)
	return w.write(thread, trace.Op{Kind: trace.Free, ID: id})
}

func (w *writer) free(thread, addr uint64) error {
	if addr == 0 {
		return nil
	}
	id, used := w.live[addr]
	if !used {
		if w.strict {
			return errUnknown
		}
		w.unknownFrees++
		return nil
	}
	delete(w.live, addr)
	return w.write(thread, trace.Op{Kind: trace.Free, ID: id})
}

// realloc writes the change of the block at from to size bytes, which moved it to addr.
func (w *writer) realloc(thread, from, addr, size uint64) error {
	switch {
	case addr == 0 && size == 0: // as free
		return w.free(thread, from)
	case addr == 0:
		w.failed++
		return nil
	}
	old, used := w.live[from]
	if !used && from != 0 {
		if w.strict {
			return errUnknown
		}
		w.unknownReallocs++
	}
	if addr != from {
		if err := w.vacate(thread, addr); err != nil {
			return err
		}
	}
	id := w.born + 1
	if err := w.write(thread, trace.Op{Kind: trace.Realloc, ID: id, Old: old, Size: size}); err != nil {
		return err
	}
	delete(w.live, from)
	w.live[addr] = id
	return nil
}

// wantFields returns an error unless there are n fields.
func wantFields(fields []string, n int, form string) error {
	if len(fields) != n {
		return fmt.Errorf("the line has %d fields: the form is %s", len(fields), form)
	}
	return nil
}
