package convert

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/trace"
)

// mtrace is the file of glibc's mtrace(3). A line may begin with "@ CALLER", where the caller may
// contain spaces. Numbers have 0x, except 0.
//
//	= Start
//	@ ./program:[0x11b0] + ADDRESS SIZE     malloc, calloc, aligned: which one is not recorded
//	@ ./program:[0x11fe] - ADDRESS          free
//	@ ./program:[0x11c5] < ADDRESS          realloc, from; the next line has
//	@ ./program:[0x11c5] > ADDRESS SIZE     to
//	@ ./program:[0x11c5] ! ADDRESS SIZE     realloc that failed
//	= End
var mtrace = format{
	name: "mtrace",
	first: func(line string) bool {
		return line == "= Start" || strings.HasPrefix(line, "@ ") || strings.HasPrefix(line, "+ 0x") || strings.HasPrefix(line, "- 0x")
	},
	open: func(w *writer) (func(string) error, func() error) {
		m := &mtraceReader{w: w}
		return m.line, func() error {
			if m.moving {
				return errors.New("the file ends within a realloc: there is a line with <, and none with > after it")
			}
			return nil
		}
	},
}

type mtraceReader struct {
	w      *writer
	moving bool // the next line must be the second of a realloc
	from   uint64
}

func (m *mtraceReader) line(text string) error {
	if text == "" || strings.HasPrefix(text, "= ") {
		return nil
	}
	fields := strings.Fields(text)
	n := len(fields)
	var op string
	var numbers []string
	switch {
	case n >= 2 && (fields[n-2] == "-" || fields[n-2] == "<"):
		op, numbers = fields[n-2], fields[n-1:]
	case n >= 3 && len(fields[n-3]) == 1 && strings.Contains("+>!", fields[n-3]):
		op, numbers = fields[n-3], fields[n-2:]
	default:
		return errors.New("the line has no +, -, <, > or ! before its last numbers")
	}
	if rest := n - 1 - len(numbers); rest != 0 && fields[0] != "@" {
		return errors.New("the line begins neither with @ and the caller nor with the call")
	}
	var v [2]uint64
	for i, s := range numbers {
		var err error
		if v[i], err = prefixed(s); err != nil {
			return err
		}
	}
	if m.moving != (op == ">") {
		return errors.New("a line with < must be followed by one with >: they are one realloc")
	}
	m.moving = false
	switch op {
	case "+":
		return m.w.alloc(0, v[0], trace.Op{Kind: trace.Malloc, Size: v[1]})
	case "-":
		return m.w.free(0, v[0])
	case "<":
		m.moving, m.from = true, v[0]
	case ">":
		return m.w.realloc(0, m.from, v[0], v[1])
	case "!":
		m.w.failed++
	}
	return nil
}

// prefixed parses a hexadecimal number with 0x, or 0.
func prefixed(s string) (uint64, error) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok && s != "0" && s != "(nil)" {
		return 0, fmt.Errorf("%.40q is not a hexadecimal number with 0x", s)
	}
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a hexadecimal number of at most 64 bits", s)
	}
	return n, nil
}
