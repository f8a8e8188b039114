package convert

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/trace"
)

// heaptrack is the output of heaptrack 1.1 and later (file version 1 to 3). Numbers are
// hexadecimal. The raw form, of heaptrack --raw, has addresses:
//
//   - SIZE STACK ADDRESS
//   - ADDRESS
//
// In the other form, a line "a SIZE STACK" describes a kind of allocation, and events have its
// number, from 0 on:
//
//   - KIND
//   - KIND
//
// All other lines are strings, stacks, modules and times.
var heaptrack = format{
	name:  "heaptrack",
	first: func(line string) bool { return strings.HasPrefix(line, "v ") },
	open: func(w *writer) (func(string) error, func() error) {
		h := &heaptrackReader{w: w}
		return h.line, func() error { return nil }
	},
}

type heaptrackReader struct {
	w       *writer
	version bool            // was read
	form    int             // number of fields of "+", once known
	kinds   []heaptrackKind // of the form without addresses
	next    uint64          // number of the next block there
}

// A heaptrackKind is a kind of allocation, and the numbers of its blocks in use, the newest last.
type heaptrackKind struct {
	size uint64
	live []uint64
}

func (h *heaptrackReader) line(text string) error {
	if text == "" {
		return nil
	}
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return errors.New("the line has blanks only")
	}
	switch key := fields[0]; key {
	case "v":
		if err := wantFields(fields, 3, "v VERSION FILEVERSION"); err != nil {
			return err
		}
		n, err := hexadecimal(fields[2])
		if err != nil {
			return err
		}
		if n < 1 || n > 3 {
			return fmt.Errorf("version %d of the file format is unknown: 1 to 3 are known", n)
		}
		h.version = true
		return nil
	case "a", "+", "-":
		if !h.version {
			return errors.New("there is no line v VERSION FILEVERSION before it")
		}
		var n [4]uint64
		if len(fields) > len(n) {
			return wantFields(fields, 4, "+ SIZE STACK ADDRESS")
		}
		for i := 1; i < len(fields); i++ {
			var err error
			if n[i], err = hexadecimal(fields[i]); err != nil {
				return err
			}
		}
		switch key {
		case "a":
			if err := wantFields(fields, 3, "a SIZE STACK"); err != nil {
				return err
			}
			h.kinds = append(h.kinds, heaptrackKind{size: n[1]})
			return nil
		case "+":
			return h.alloc(fields, n)
		}
		if err := wantFields(fields, 2, "- ADDRESS, or - KIND"); err != nil {
			return err
		}
		return h.free(n[1])
	case "x", "X", "I", "m", "t", "i", "s", "c", "R", "A", "S", "#":
		return nil
	}
	return errors.New("unknown line")
}

func (h *heaptrackReader) alloc(fields []string, n [4]uint64) error {
	if len(fields) != 2 && len(fields) != 4 {
		return wantFields(fields, 4, "+ SIZE STACK ADDRESS, or + KIND")
	}
	if h.form != 0 && h.form != len(fields) {
		return errors.New("the line has an address, or others have: the file has two forms")
	}
	h.form = len(fields)
	if h.form == 4 {
		return h.w.alloc(0, n[3], trace.Op{Kind: trace.Malloc, Size: n[1]})
	}
	k, err := h.kind(n[1])
	if err != nil {
		return err
	}
	h.next++
	k.live = append(k.live, h.next)
	return h.w.alloc(0, h.next, trace.Op{Kind: trace.Malloc, Size: k.size})
}

func (h *heaptrackReader) free(n uint64) error {
	if h.form != 2 {
		return h.w.free(0, n)
	}
	k, err := h.kind(n)
	if err != nil {
		return err
	}
	last := len(k.live) - 1
	if last < 0 {
		return errors.New("no block of this kind is in use")
	}
	addr := k.live[last]
	k.live = k.live[:last]
	return h.w.free(0, addr)
}

func (h *heaptrackReader) kind(n uint64) (*heaptrackKind, error) {
	if n >= uint64(len(h.kinds)) {
		return nil, fmt.Errorf("kind %x was not described: there are %d lines a SIZE STACK before it", n, len(h.kinds))
	}
	return &h.kinds[n], nil
}

// hexadecimal parses a number without 0x.
func hexadecimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a hexadecimal number of at most 64 bits", s)
	}
	return n, nil
}
