package convert

import (
	"errors"
	"fmt"
	"strings"

	"github.com/galloc-go/galloc/trace"
)

// rep is the traces of the Malloc Lab of CS:APP (Bryant and O'Hallaron). Numbers are decimal. The
// first four lines are a size for the heap, the number of blocks, the number of calls, and a
// weight.
//
//	a ID SIZE     malloc
//	r ID SIZE     realloc
//	f ID          free; of -1, of no block
var rep = format{
	name: "rep",
	first: func(line string) bool {
		_, err := decimal(strings.TrimSpace(line))
		return err == nil
	},
	open: func(w *writer) (func(string) error, func() error) {
		r := &repReader{w: w}
		return r.line, r.end
	},
	loose: true,
}

type repReader struct {
	w      *writer
	header [4]uint64
	read   int // numbers of the header
	calls  uint64
}

// Numbers of the header.
const (
	repBlocks = 1
	repCalls  = 2
)

func (r *repReader) line(text string) error {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return nil
	}
	if r.read < len(r.header) {
		n, err := decimal(fields[0])
		if err != nil || len(fields) != 1 {
			return errors.New("the first four lines must have one decimal number each")
		}
		r.header[r.read] = n
		r.read++
		return nil
	}
	form := map[string]string{"a": "a ID SIZE", "r": "r ID SIZE", "f": "f ID"}[fields[0]]
	if form == "" {
		return fmt.Errorf("unknown call %.40q: the calls are a, r and f", fields[0])
	}
	if err := wantFields(fields, strings.Count(form, " ")+1, form); err != nil {
		return err
	}
	if r.calls++; r.calls > r.header[repCalls] {
		return fmt.Errorf("there are more calls than the %d of the header", r.header[repCalls])
	}
	if fields[0] == "f" && fields[1] == "-1" {
		return nil
	}
	id, err := decimal(fields[1])
	if err != nil {
		return err
	}
	if id >= r.header[repBlocks] {
		return fmt.Errorf("block %d is not below the %d blocks of the header", id, r.header[repBlocks])
	}
	addr := id + 1
	var size uint64
	if fields[0] != "f" {
		if size, err = decimal(fields[2]); err != nil {
			return err
		}
	}
	switch fields[0] {
	case "a":
		if _, used := r.w.live[addr]; used {
			return fmt.Errorf("block %d is in use", id)
		}
		return r.w.alloc(0, addr, trace.Op{Kind: trace.Malloc, Size: size})
	case "r":
		from := addr
		if _, used := r.w.live[addr]; !used {
			from = 0
		}
		return r.w.realloc(0, from, addr, size)
	}
	if _, used := r.w.live[addr]; !used {
		return fmt.Errorf("block %d is not in use", id)
	}
	return r.w.free(0, addr)
}

func (r *repReader) end() error {
	switch {
	case r.read < len(r.header):
		return errors.New("the file ends within its first four lines")
	case r.calls < r.header[repCalls]:
		return fmt.Errorf("the file ends after %d of %d calls: it was cut short", r.calls, r.header[repCalls])
	}
	return nil
}
