package procmem

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A mapping is an entry of /proc/PID/smaps.
type mapping struct {
	start, end uint64
	code       bool // may be executed
	shared     bool
	file       string // a path, or a name in brackets, or ""
	rss        uint64 // bytes
}

// readSmaps reads the entries of an smaps file. Lines with other keys are skipped.
//
//	00400000-004ab000 r-xp 00000000 fe:00 9988308        /usr/bin/program
//	Size:                684 kB
//	Rss:                 684 kB
func readSmaps(r io.Reader) (all []mapping, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 4096), 1<<20)
	number := 0
	for lines.Scan() {
		number++
		key, rest, _ := bytes.Cut(lines.Bytes(), []byte(" "))
		if name, ok := bytes.CutSuffix(key, []byte(":")); ok {
			if string(name) != "Rss" {
				continue
			}
			kb, err := strconv.ParseUint(string(bytes.TrimSpace(bytes.TrimSuffix(rest, []byte(" kB")))), 10, 54)
			if err != nil || len(all) == 0 {
				return nil, fmt.Errorf("line %d: %.80q is not the Rss of a mapping", number, lines.Bytes())
			}
			all[len(all)-1].rss = kb << 10
			continue
		}
		m, err := parseMapping(string(key), string(rest))
		if err != nil {
			return nil, fmt.Errorf("line %d: %.80q: %w", number, lines.Bytes(), err)
		}
		all = append(all, m)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", number+1, err)
	}
	return all, nil
}

// parseMapping parses the first line of a mapping: its addresses, and the rest.
func parseMapping(addresses, rest string) (m mapping, err error) {
	low, high, ok := strings.Cut(addresses, "-")
	var err1, err2 error
	m.start, err1 = strconv.ParseUint(low, 16, 64)
	m.end, err2 = strconv.ParseUint(high, 16, 64)
	if !ok || err1 != nil || err2 != nil || m.start >= m.end {
		return m, fmt.Errorf("the addresses are not two rising hexadecimal numbers")
	}
	var fields [4]string // permissions, offset, device, inode
	for i := range fields {
		fields[i], rest, _ = strings.Cut(strings.TrimLeft(rest, " "), " ")
	}
	if len(fields[0]) != 4 || fields[3] == "" {
		return m, fmt.Errorf("there are no permissions, offset, device and inode")
	}
	m.code, m.shared = fields[0][2] == 'x', fields[0][3] == 's'
	m.file = strings.TrimSuffix(strings.TrimLeft(rest, " "), " (deleted)")
	return m, nil
}

// A group is what a mapping is for, as its name and its place among the others show.
type group uint8

const (
	anonymous group = iota
	goNamed         // the Go runtime has named it
	files           // and shared memory
	code            // with data
	rest            // the stack, C's heap, and what the kernel maps
)

// groups returns the group of each mapping.
func groups(all []mapping) []group {
	programs := map[string]bool{} // files of which a part is code
	for i := range all {
		if all[i].code && strings.HasPrefix(all[i].file, "/") {
			programs[all[i].file] = true
		}
	}
	of := make([]group, len(all))
	for i := range all {
		m := &all[i]
		switch {
		case programs[m.file]:
			of[i] = code
		case strings.HasPrefix(m.file, "[anon: Go:"):
			of[i] = goNamed
		case strings.HasPrefix(m.file, "/") || m.shared:
			of[i] = files
		case m.file == "" || strings.HasPrefix(m.file, "[anon:"):
			// Variables that begin as zeros follow the other variables of a program.
			if i > 0 && of[i-1] == code && all[i-1].end == m.start && !m.code {
				of[i] = code
			}
		default:
			of[i] = rest
		}
	}
	return of
}
