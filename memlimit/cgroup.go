package memlimit

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// A cgroup is a control group that bounds the memory of the process, or an ancestor of one.
type cgroup struct {
	dir string // in the file system, without the leading slash
	v2  bool
}

// findCgroups returns the control groups of the process that may limit its memory, each before its
// ancestors: in the hierarchy of version 1 with the controller memory, and in the hierarchy of
// version 2. It returns none if the system has no control groups.
func findCgroups(root fs.FS) ([]cgroup, error) {
	member, err := readFile(root, "proc/self/cgroup")
	if member == nil {
		return nil, err
	}
	mounts, err := readFile(root, "proc/self/mountinfo")
	if mounts == nil {
		return nil, err
	}
	v1, v2, err := parseMembership(member)
	if err != nil {
		return nil, fmt.Errorf("galloc/memlimit: /proc/self/cgroup: %w", err)
	}
	m, err := parseMounts(mounts)
	if err != nil {
		return nil, fmt.Errorf("galloc/memlimit: /proc/self/mountinfo: %w", err)
	}
	return append(chain(m.v1, v1, false), chain(m.v2, v2, true)...), nil
}

// parseMembership parses /proc/self/cgroup. It returns the path of the process in the hierarchy
// with the controller memory, and in the hierarchy of version 2; "" if there is none.
func parseMembership(text []byte) (v1, v2 string, err error) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 || !strings.HasPrefix(fields[2], "/") {
			return "", "", fmt.Errorf("the line %q is not hierarchy:controllers:/path", line)
		}
		if fields[0] == "0" && fields[1] == "" {
			v2 = fields[2]
		}
		for c := range strings.SplitSeq(fields[1], ",") {
			if c == "memory" {
				v1 = fields[2]
			}
		}
	}
	return v1, v2, nil
}

// A mount is where a hierarchy is visible: root, a path in the hierarchy, is at point.
type mount struct{ root, point string }

type mounts struct{ v1, v2 mount }

// parseMounts finds the hierarchies in /proc/self/mountinfo: see proc_pid_mountinfo(5). If one is
// mounted more than once, the mount with the shortest root shows the most ancestors.
func parseMounts(text []byte) (m mounts, err error) {
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		before, after, ok := strings.Cut(line, " - ")
		mounted, system := strings.Fields(before), strings.Fields(after)
		if !ok || len(mounted) < 6 || len(system) < 1 {
			return m, fmt.Errorf("the line %q has not the fields of a mount", line)
		}
		into := &m.v2
		switch system[0] {
		case "cgroup2":
		case "cgroup":
			if len(system) < 3 || !hasOption(system[2], "memory") {
				continue
			}
			into = &m.v1
		default:
			continue
		}
		found := mount{unescape(mounted[3]), unescape(mounted[4])}
		if into.point == "" || len(found.root) < len(into.root) {
			*into = found
		}
	}
	return m, nil
}

func hasOption(options, name string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == name {
			return true
		}
	}
	return false
}

// unescape replaces the octal escapes of space, tab, newline and backslash in mountinfo.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// chain returns the control group with the path p in its hierarchy, and its ancestors up to the
// root of the mount. In a namespace, p may lie outside of the mount; then the mount itself is what
// the process can see of its group.
func chain(m mount, p string, v2 bool) (groups []cgroup) {
	if m.point == "" || p == "" {
		return nil
	}
	rest := "/"
	if root := path.Clean(m.root); root == "/" {
		rest = path.Clean(p)
	} else if p == root || strings.HasPrefix(p, root+"/") {
		rest = path.Clean("/" + strings.TrimPrefix(p, root))
	}
	if strings.HasPrefix(p, "/..") {
		rest = "/"
	}
	for {
		dir := strings.TrimPrefix(path.Join(m.point, rest), "/")
		if fs.ValidPath(dir) {
			groups = append(groups, cgroup{dir, v2})
		}
		if rest == "/" {
			return groups
		}
		rest = path.Dir(rest)
	}
}

// limit returns the limit of the group in bytes and the file that sets it. 0 is no limit.
func (c cgroup) limit(root fs.FS) (n uint64, file string, err error) {
	names := []string{"memory.limit_in_bytes"}
	if c.v2 {
		names = []string{"memory.max", "memory.high"}
	}
	for _, name := range names {
		at := path.Join(c.dir, name)
		text, err := readFile(root, at)
		if err != nil {
			return 0, "", err
		}
		if text == nil {
			continue // the root of a hierarchy, or a controller that is not enabled
		}
		v, err := parseLimit(text)
		if err != nil {
			return 0, "", fmt.Errorf("galloc/memlimit: /%s: %w", at, err)
		}
		if v != 0 && (n == 0 || v < n) {
			n, file = v, "/"+at
		}
	}
	if c.v2 {
		return n, file, nil
	}
	// The ancestors that a namespace hides are in this line.
	at := path.Join(c.dir, "memory.stat")
	text, err := readFile(root, at)
	if err != nil {
		return 0, "", err
	}
	stat, err := parseStat(text)
	if err != nil {
		return 0, "", fmt.Errorf("galloc/memlimit: /%s: %w", at, err)
	}
	if v := stat["hierarchical_memory_limit"]; v != 0 && v < unlimited && (n == 0 || v < n) {
		n, file = v, "/"+at
	}
	return n, file, nil
}

// charged returns the bytes of the group that the kernel cannot reclaim: without the page cache. It
// returns 0 if the group has no such figures.
func (c cgroup) charged(root fs.FS) (n uint64, err error) {
	at := path.Join(c.dir, "memory.stat")
	text, err := readFile(root, at)
	if err != nil {
		return 0, err
	}
	stat, err := parseStat(text)
	if err != nil {
		return 0, fmt.Errorf("galloc/memlimit: /%s: %w", at, err)
	}
	keys := []string{"total_rss", "total_shmem"}
	if c.v2 {
		keys = []string{"anon", "shmem", "kernel_stack", "pagetables", "percpu", "sock", "slab_unreclaimable"}
	}
	for _, k := range keys {
		if n += stat[k]; n < stat[k] {
			return 0, fmt.Errorf("galloc/memlimit: /%s: the sum of the figures overflows", at)
		}
	}
	return n, nil
}

// unlimited is the least value that means no limit in version 1: the kernel rounds math.MaxInt64
// down to pages.
const unlimited = 1 << 62

// parseLimit parses a file with one limit: a number of bytes or, in version 2, "max". It returns 0
// for no limit. A limit of 0 bytes is an error: no process runs in such a group.
func parseLimit(text []byte) (uint64, error) {
	s := string(bytes.TrimSpace(text))
	if s == "max" || s == "-1" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%.40q is neither a number of bytes nor max", s)
	}
	if n >= unlimited {
		return 0, nil
	}
	return n, nil
}

// parseStat parses a file of lines with a key and a number, as memory.stat.
func parseStat(text []byte) (map[string]uint64, error) {
	stat := map[string]uint64{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("the line %.80q is not a key and a number", line)
		}
		n, err := strconv.ParseUint(fields[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the line %.80q is not a key and a number", line)
		}
		stat[fields[0]] = n
	}
	return stat, nil
}

// readFile returns the contents of a file. If the file does not exist, or the system has no such
// file system, both results are nil. The kernel refuses to open memory.pressure if it does not
// count pressure.
func readFile(root fs.FS, name string) ([]byte, error) {
	text, err := fs.ReadFile(root, name)
	switch {
	case err == nil && text == nil:
		return []byte{}, nil
	case err == nil:
		return text, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, errors.ErrUnsupported):
		return nil, nil
	}
	return nil, fmt.Errorf("galloc/memlimit: %w", err)
}
