package convert

import (
	"errors"
	"fmt"
	"math/bits"
	"regexp"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/trace"
)

// android is the text that record_allocs of Android's malloc debug writes, and memory_replay reads.
// Addresses are hexadecimal with 0x, other numbers decimal. Later versions add two times to each
// line but the last kind, which are skipped.
//
//	THREAD: malloc ADDRESS SIZE
//	THREAD: calloc ADDRESS COUNT SIZE
//	THREAD: realloc ADDRESS OLD SIZE
//	THREAD: memalign ADDRESS ALIGN SIZE
//	THREAD: free ADDRESS
//	THREAD: thread_done 0x0
var android = format{
	name:  "android",
	first: androidLine.MatchString,
	open: func(w *writer) (func(string) error, func() error) {
		return func(text string) error { return androidCall(w, text) }, func() error { return nil }
	},
}

var androidLine = regexp.MustCompile(`^[0-9]+: ?(malloc|calloc|realloc|memalign|free|thread_done) `)

// androidForms is the number of arguments of each call, and its form.
var androidForms = map[string]struct {
	n    int
	form string
}{
	"malloc":      {2, "malloc ADDRESS SIZE"},
	"calloc":      {3, "calloc ADDRESS COUNT SIZE"},
	"realloc":     {3, "realloc ADDRESS OLD SIZE"},
	"memalign":    {3, "memalign ADDRESS ALIGN SIZE"},
	"free":        {1, "free ADDRESS"},
	"thread_done": {1, "thread_done 0x0"},
}

func androidCall(w *writer, text string) error {
	if text == "" {
		return nil
	}
	name, rest, ok := strings.Cut(text, ":")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return errors.New("the form is THREAD: CALL ADDRESS, and more numbers")
	}
	thread, err := decimal(name)
	if err != nil {
		return err
	}
	call, args := fields[0], fields[1:]
	f, ok := androidForms[call]
	if !ok {
		return fmt.Errorf("unknown call %.40q: the calls are malloc, calloc, realloc, memalign, free and thread_done", call)
	}
	if len(args) != f.n && len(args) != f.n+2 {
		return fmt.Errorf("%s has %d arguments: the form is THREAD: %s, and two times or none", call, len(args), f.form)
	}
	var v [5]uint64
	for i, s := range args {
		if i == 0 || i == 1 && call == "realloc" {
			v[i], err = prefixed(s)
		} else {
			v[i], err = decimal(s)
		}
		if err != nil {
			return err
		}
	}
	switch call {
	case "malloc":
		return w.alloc(thread, v[0], trace.Op{Kind: trace.Malloc, Size: v[1]})
	case "calloc":
		over, size := bits.Mul64(v[1], v[2])
		if over != 0 {
			return errors.New("the product of COUNT and SIZE has more than 64 bits")
		}
		return w.alloc(thread, v[0], trace.Op{Kind: trace.Calloc, Size: size})
	case "realloc":
		return w.realloc(thread, v[1], v[0], v[2])
	case "memalign":
		return w.alloc(thread, v[0], trace.Op{Kind: trace.Aligned, Size: v[2], Align: v[1]})
	case "free":
		return w.free(thread, v[0])
	}
	return nil // thread_done
}

func decimal(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is not a decimal number of at most 64 bits", s)
	}
	return n, nil
}
