package memlimit

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// tree returns a file system with these files: pairs of a path and its contents.
func tree(files ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return m
}

const (
	unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	legacy  = "31 23 0:28 / /sys/fs/cgroup rw shared:3 - tmpfs tmpfs rw,mode=755\n" +
		"34 31 0:31 / /sys/fs/cgroup/cpu rw shared:7 - cgroup cgroup rw,cpu\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw shared:8 - cgroup cgroup rw,memory\n"
	hybrid  = legacy + "41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
	meminfo = "MemTotal:       16777216 kB\nMemFree:         1 kB\n"
	none    = "9223372036854771712\n"
)

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		limit uint64
		file  string // or the text of the error
	}{
		{"no control groups", []string{"proc/meminfo", meminfo}, 16 * gib, "/proc/meminfo"},
		{"nothing", nil, 0, "set Options.Limit"},
		{"version 2", []string{
			"proc/self/cgroup", "0::/a/b\n", "proc/self/mountinfo", unified, "proc/meminfo", meminfo,
			"sys/fs/cgroup/a/b/memory.max", "1073741824\n", "sys/fs/cgroup/a/memory.max", "max\n",
		}, gib, "/sys/fs/cgroup/a/b/memory.max"},
		{"version 2, an ancestor with less", []string{
			"proc/self/cgroup", "0::/a/b/c\n", "proc/self/mountinfo", unified, "proc/meminfo", meminfo,
			"sys/fs/cgroup/a/b/c/memory.max", "1073741824\n", "sys/fs/cgroup/a/b/memory.max", "max\n",
			"sys/fs/cgroup/a/memory.max", "536870912\n",
		}, gib / 2, "/sys/fs/cgroup/a/memory.max"},
		{"version 2, memory.high", []string{
			"proc/self/cgroup", "0::/a\n", "proc/self/mountinfo", unified,
			"sys/fs/cgroup/a/memory.max", "1073741824\n", "sys/fs/cgroup/a/memory.high", "805306368\n",
		}, gib * 3 / 4, "/sys/fs/cgroup/a/memory.high"},
		{"version 2, namespace", []string{
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.max", "1048576\n",
		}, mib, "/sys/fs/cgroup/memory.max"},
		{"version 2, outside of the namespace", []string{
			"proc/self/cgroup", "0::/../../b\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.max", "1048576\n",
			"sys/fs/cgroup/b/memory.max", "1\n",
		}, mib, "/sys/fs/cgroup/memory.max"},
		{"version 2, the container's part is mounted", []string{
			"proc/self/cgroup", "0::/docker/x/y\n",
			"proc/self/mountinfo", "30 23 0:26 /docker/x /sys/fs/cgroup\\040here ro - cgroup2 cgroup2 rw\n",
			"sys/fs/cgroup here/y/memory.max", "max\n", "sys/fs/cgroup here/memory.max", "1048576\n",
		}, mib, "/sys/fs/cgroup here/memory.max"},
		{"version 2, a similar name", []string{
			"proc/self/cgroup", "0::/docker/xy\n",
			"proc/self/mountinfo", "30 23 0:26 /docker/x /cg ro - cgroup2 cgroup2 rw\n", "cg/memory.max", "1048576\n",
			"cg/y/memory.max", "1\n",
		}, mib, "/cg/memory.max"},
		{"version 1", []string{
			"proc/self/cgroup", "4:memory:/a/b\n1:cpu:/\n", "proc/self/mountinfo", legacy, "proc/meminfo", meminfo,
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", none, "sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4194304\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes", none,
		}, 4 * mib, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"},
		{"version 1, several controllers", []string{
			"proc/self/cgroup", "4:cpuset,memory:/a\n", "proc/self/mountinfo", "1 0 0:1 / /m rw - cgroup x rw,cpuset,memory\n",
			"m/a/memory.limit_in_bytes", "4194304\n",
		}, 4 * mib, "/m/a/memory.limit_in_bytes"},
		{"version 1, a hidden ancestor", []string{
			"proc/self/cgroup", "4:memory:/\n", "proc/self/mountinfo", legacy,
			"sys/fs/cgroup/memory/memory.limit_in_bytes", none,
			"sys/fs/cgroup/memory/memory.stat", "cache 1\nhierarchical_memory_limit 8388608\n",
		}, 8 * mib, "/sys/fs/cgroup/memory/memory.stat"},
		{"version 1, no limit", []string{
			"proc/self/cgroup", "4:memory:/\n", "proc/self/mountinfo", legacy,
			"sys/fs/cgroup/memory/memory.limit_in_bytes", none,
			"sys/fs/cgroup/memory/memory.stat", "hierarchical_memory_limit " + none,
		}, 0, "set Options.Limit"},
		{"hybrid", []string{
			"proc/self/cgroup", "4:memory:/a\n0::/u\n", "proc/self/mountinfo", hybrid, "proc/meminfo", meminfo,
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4194304\n", "sys/fs/cgroup/unified/u/cgroup.procs", "",
		}, 4 * mib, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"},
		{"more than the machine has", []string{
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.max", "1099511627776000\n",
			"proc/meminfo", meminfo,
		}, 16 * gib, "/proc/meminfo"},
		{"two mounts", []string{
			"proc/self/cgroup", "0::/a/b\n",
			"proc/self/mountinfo", "30 23 0:26 / /wide ro - cgroup2 cgroup2 rw\n30 23 0:26 /a/b /narrow ro - cgroup2 cgroup2 rw\n",
			"narrow/memory.max", "max\n", "wide/a/memory.max", "1048576\n",
		}, mib, "/wide/a/memory.max"},

		{"garbage in memory.max", []string{
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.max", "lots\n",
		}, 0, `/sys/fs/cgroup/memory.max: "lots" is neither a number of bytes nor max`},
		{"nothing in memory.max", []string{
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.max", "",
		}, 0, `/sys/fs/cgroup/memory.max: "" is neither`},
		{"a negative limit", []string{
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", unified, "sys/fs/cgroup/memory.high", "-5\n",
		}, 0, `/sys/fs/cgroup/memory.high: "-5" is neither`},
		{"garbage in memory.stat", []string{
			"proc/self/cgroup", "1:memory:/\n", "proc/self/mountinfo", legacy, "sys/fs/cgroup/memory/memory.stat", "rss x\n",
		}, 0, `memory.stat: the line "rss x\n" is not a key and a number`},
		{"garbage in meminfo", []string{"proc/meminfo", "MemTotal: much\n"}, 0, `/proc/meminfo: "MemTotal: much" is not`},
		{"garbage in cgroup", []string{"proc/self/cgroup", "x\n", "proc/self/mountinfo", unified}, 0, `/proc/self/cgroup: the line "x"`},
		{"a relative path in cgroup", []string{"proc/self/cgroup", "0::a\n", "proc/self/mountinfo", unified}, 0, `the line "0::a"`},
		{"garbage in mountinfo", []string{"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", "cgroup2\n"}, 0, `mountinfo: the line "cgroup2"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := newSystem(tree(c.files...))
			var n uint64
			var file string
			if err == nil {
				n, file, err = s.limit()
			}
			if err != nil {
				if c.limit != 0 || !strings.Contains(err.Error(), c.file) || !strings.HasPrefix(err.Error(), "galloc/memlimit: ") {
					t.Errorf("the error is %v, want %d of %s", err, c.limit, c.file)
				}
				return
			}
			if n != c.limit || file != c.file {
				t.Errorf("the limit is %d of %s, want %d of %s", n, file, c.limit, c.file)
			}
		})
	}
}

func TestUsedAndStalled(t *testing.T) {
	s, err := newSystem(tree(
		"proc/self/cgroup", "0::/a\n", "proc/self/mountinfo", unified,
		"sys/fs/cgroup/a/memory.max", "1048576\n",
		"sys/fs/cgroup/a/memory.stat", "anon 1000\nfile 50000\nshmem 100\nkernel_stack 10\npagetables 1\n",
		"proc/self/status", "Name:\tx\nRssAnon:\t       1 kB\nRssFile:\t  9 kB\nRssShmem:\t       0 kB\n",
		"proc/pressure/memory", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
	))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.used(); n != 1024 || err != nil {
		t.Errorf("the process alone uses %d, %v", n, err)
	}
	if _, _, err := s.limit(); err != nil {
		t.Fatal(err)
	}
	if n, err := s.used(); n != 1111 || err != nil {
		t.Errorf("the group uses %d, %v", n, err)
	}
	if us, ok, err := s.stalled(); us != 7 || !ok || err != nil {
		t.Error(us, ok, err)
	}
	root := s.root.(fstest.MapFS)
	root["sys/fs/cgroup/a/memory.pressure"] = &fstest.MapFile{Data: []byte("some avg10=1.00 avg60=0 avg300=0 total=9\nfull total=1\n")}
	if us, ok, err := s.stalled(); us != 9 || !ok || err != nil {
		t.Error(us, ok, err)
	}
	for _, bad := range []string{"", "full total=1\n", "some avg10=1\n", "some total=x\n"} {
		root["sys/fs/cgroup/a/memory.pressure"].Data = []byte(bad)
		if us, ok, err := s.stalled(); ok || err == nil {
			t.Errorf("%q: %d", bad, us)
		}
	}
	root["sys/fs/cgroup/a/memory.stat"].Data = []byte("anon 18446744073709551615\nshmem 1\n")
	if n, err := s.used(); err == nil {
		t.Errorf("a sum that overflows is %d", n)
	}
	root["proc/self/status"].Data = []byte("RssAnon: 18446744073709551615 kB\n")
	if n, err := s.used(); err == nil {
		t.Errorf("a size that overflows is %d", n)
	}
}

// A file that the process may not read is as none; another failure is reported.
func TestUnreadableFiles(t *testing.T) {
	for _, c := range []struct {
		err error
		ok  bool
	}{{fs.ErrPermission, true}, {errors.ErrUnsupported, true}, {errors.New("the disk is on fire"), false}} {
		_, err := newSystem(failing{c.err})
		if (err == nil) != c.ok {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

type failing struct{ err error }

func (f failing) Open(string) (fs.File, error) { return nil, fmt.Errorf("open: %w", f.err) }

// FuzzSystem gives the readers any text: they return a limit above 0 or an error.
func FuzzSystem(f *testing.F) {
	f.Add("0::/a\n", unified, "max\n", "anon 1\n", meminfo, "some total=1\n")
	f.Add("4:memory:/a\n", hybrid, "4096\n", "hierarchical_memory_limit 1\n", "MemTotal: 1 kB", "")
	f.Add("4:memory:/../a\n0::/\n", "1 2 3 /x\\040y /z rw - cgroup2 a b", none, "x", "", "full")
	f.Fuzz(func(t *testing.T, member, mounts, limit, stat, info, pressure string) {
		root := tree("proc/self/cgroup", member, "proc/self/mountinfo", mounts, "proc/meminfo", info)
		for _, dir := range []string{"sys/fs/cgroup/", "sys/fs/cgroup/a/", "sys/fs/cgroup/memory/a/", "z/"} {
			root[dir+"memory.max"] = &fstest.MapFile{Data: []byte(limit)}
			root[dir+"memory.limit_in_bytes"] = root[dir+"memory.max"]
			root[dir+"memory.stat"] = &fstest.MapFile{Data: []byte(stat)}
			root[dir+"memory.pressure"] = &fstest.MapFile{Data: []byte(pressure)}
		}
		s, err := newSystem(root)
		if err != nil {
			return
		}
		for _, g := range s.groups {
			if !fs.ValidPath(g.dir) {
				t.Errorf("the group %q is no path", g.dir)
			}
		}
		n, file, err := s.limit()
		if err == nil && (n == 0 || n >= unlimited || file == "") {
			t.Errorf("the limit is %d of %q", n, file)
		}
		if n, err := s.used(); err != nil && n != 0 {
			t.Errorf("%d bytes are used, and %v", n, err)
		}
		if _, ok, err := s.stalled(); ok && err != nil {
			t.Error(err)
		}
	})
}
