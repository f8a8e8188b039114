package memlimit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// A system reads what the kernel reports about the process. The methods may be called by one
// goroutine at a time.
type system struct {
	root   fs.FS
	groups []cgroup
	bound  *cgroup // the group with the least limit, or nil
}

// newSystem returns the system whose files are below root.
func newSystem(root fs.FS) (*system, error) {
	groups, err := findCgroups(root)
	return &system{root: root, groups: groups}, err
}

// realSystem returns the system of the process.
func realSystem() (*system, error) { return newSystem(os.DirFS("/")) }

// errNoLimit is the error of a system without a limit.
var errNoLimit = errors.New("galloc/memlimit: the system has no limit that can be read: set Options.Limit")

// limit returns the least limit of the process in bytes, and the file that sets it.
func (s *system) limit() (n uint64, file string, err error) {
	var bound *cgroup
	for i := range s.groups {
		v, f, err := s.groups[i].limit(s.root)
		if err != nil {
			return 0, "", err
		}
		if v != 0 && (n == 0 || v < n) {
			n, file, bound = v, f, &s.groups[i]
		}
	}
	text, err := readFile(s.root, "proc/meminfo")
	if err != nil {
		return 0, "", err
	}
	if text != nil {
		total, err := parseKB(text, "MemTotal")
		if err != nil {
			return 0, "", fmt.Errorf("galloc/memlimit: /proc/meminfo: %w", err)
		}
		if total["MemTotal"] != 0 && (n == 0 || total["MemTotal"] < n) {
			n, file, bound = total["MemTotal"], "/proc/meminfo", nil
		}
	}
	if n == 0 {
		return 0, "", errNoLimit
	}
	s.bound = bound
	return n, file, nil
}

// used returns the bytes that count against the limit and that the kernel cannot reclaim: of the
// process, or of all processes in the group with the least limit if that is more. It returns 0 if
// the kernel reports none.
func (s *system) used() (n uint64, err error) {
	text, err := readFile(s.root, "proc/self/status")
	if err != nil {
		return 0, err
	}
	if text != nil {
		kb, err := parseKB(text, "RssAnon", "RssShmem")
		if err != nil {
			return 0, fmt.Errorf("galloc/memlimit: /proc/self/status: %w", err)
		}
		n = kb["RssAnon"] + kb["RssShmem"]
	}
	if s.bound != nil {
		c, err := s.bound.charged(s.root)
		if err != nil {
			return 0, err
		}
		n = max(n, c)
	}
	return n, nil
}

// stalled returns the time, in microseconds, that some thread has waited for memory: in the control
// group of the process if the kernel offers that, otherwise in the whole system. ok is false if
// the kernel does not count.
func (s *system) stalled() (us uint64, ok bool, err error) {
	files := []string{"proc/pressure/memory"}
	for _, c := range s.groups {
		if c.v2 {
			files = []string{path.Join(c.dir, "memory.pressure"), files[0]}
			break
		}
	}
	for _, f := range files {
		text, err := readFile(s.root, f)
		if err != nil {
			return 0, false, err
		}
		if text == nil {
			continue
		}
		if us, err = parsePressure(text); err != nil {
			return 0, false, fmt.Errorf("galloc/memlimit: /%s: %w", f, err)
		}
		return us, true, nil
	}
	return 0, false, nil
}

// parsePressure returns the total of the line "some" of a pressure file, in microseconds.
func parsePressure(text []byte) (uint64, error) {
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "some" {
			continue
		}
		for _, f := range fields[1:] {
			if v, ok := strings.CutPrefix(f, "total="); ok {
				n, err := strconv.ParseUint(v, 10, 64)
				if err != nil {
					return 0, fmt.Errorf("%.40q is not a time in microseconds", f)
				}
				return n, nil
			}
		}
	}
	return 0, errors.New("there is no line with some and total")
}

// parseKB returns the values of the keys in lines as "MemTotal:  1024 kB", in bytes. Keys that the
// text does not have are left out.
func parseKB(text []byte, keys ...string) (map[string]uint64, error) {
	values := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		for _, k := range keys {
			if k != key {
				continue
			}
			kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
			if err != nil || kb >= unlimited>>10 {
				return nil, fmt.Errorf("%.80q is not a number of kB", strings.TrimSpace(line))
			}
			values[k] = kb << 10
		}
	}
	return values, nil
}
