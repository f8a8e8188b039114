package repotest

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// only lists the folders whose packages may import a package, apart from tests. It is the only such
// list. "x/" means x and all folders below.
var only = map[string][]string{
	"syscall":                  {"internal/vm", "internal/libc", "jemalloc", "cmd/", "bench/"},
	"golang.org/x/sys/unix":    {"internal/vm", "internal/libc", "bench/"},
	"golang.org/x/sys/windows": {"internal/vm", "internal/libc"},
	"net/http":                 {"cmd/", "heapprof/handler", "heapview", "procmem/handler"},
	"C":                        {"internal/libc", "internal/libc/direct", "jemalloc", "mimalloc", "capi", "docs/rust/", "bench/"},
	"unsafe": {
		"", "adapters/", "alloctest", "bench/", "buddy", "bufpool", "bump", "cache", "capi", "collections", "docs/rust/", "fixed",
		"freelist", "heap", "heapprof",
		"internal/", "jemalloc", "memcheck", "mimalloc", "pool", "tlsf", "trace", "wrap",
	},
	"_ unsafe": {"", "global/", "internal/", "jemalloc", "mimalloc"}, // for linkname
}

// onlyInTests lists the folders whose tests may import what few packages may. Tests may import
// unsafe and C.
var onlyInTests = map[string][]string{
	"syscall":                  {"capi", "heap", "internal/vm", "internal/libc", "jemalloc", "procmem"},
	"golang.org/x/sys/unix":    {"internal/vm", "internal/libc"},
	"golang.org/x/sys/windows": {"internal/vm", "internal/libc"},
	"net/http":                 {"adapters/prometheus", "cache", "heapview/browsertest"},
}

// in reports whether a list, as only has them, contains a folder.
func in(list []string, dir string) bool {
	return slices.ContainsFunc(list, func(l string) bool {
		return l == dir || strings.HasSuffix(l, "/") && strings.HasPrefix(dir+"/", l)
	})
}

// floors reads the floors in ARCHITECTURE.md: the indented lines that begin with a number. It
// returns the floor of each folder. "x/..." is all folders below x that are not listed.
func floors(t *testing.T) map[string]int {
	t.Helper()
	text, err := os.ReadFile(root + "/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Floors\n")
	section, _, _ = strings.Cut(section, "\n## ")
	floor := map[string]int{}
	last := -1
	for line := range strings.Lines(section) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "    ") || len(fields) == 0 {
			continue
		}
		if n, err := strconv.Atoi(fields[0]); err == nil {
			if last >= 0 && n != last-1 {
				t.Errorf("ARCHITECTURE.md: floor %d stands below floor %d", n, last)
			}
			last = n
			fields = fields[1:]
		}
		for _, p := range fields {
			if strings.HasPrefix(p, "(") {
				break // a remark
			}
			if p == "galloc" {
				p = ""
			}
			if _, twice := floor[p]; twice {
				t.Errorf("ARCHITECTURE.md: %q stands on two floors", p)
			}
			floor[p] = last
			if _, err := os.Stat(path.Join(root, strings.TrimSuffix(p, "..."))); err != nil {
				t.Errorf("ARCHITECTURE.md: %q has a floor, but no folder: %v", p, err)
			}
		}
	}
	if last != 0 || len(floor) < 20 {
		t.Fatalf("ARCHITECTURE.md: the lowest floor is %d, of %d packages", last, len(floor))
	}
	return floor
}

// floorOf returns the floor of a folder.
func floorOf(floor map[string]int, dir string) (int, bool) {
	if f, ok := floor[dir]; ok {
		return f, true
	}
	for d := path.Dir(dir); d != "."; d = path.Dir(d) {
		if f, ok := floor[d+"/..."]; ok {
			return f, true
		}
	}
	return 0, false
}

func TestArrowsGoDown(t *testing.T) {
	files := goFiles(t)
	floor := floors(t)
	seen := map[string]bool{}
	for _, f := range files {
		dir := f.dir()
		if f.module == "" && !seen[dir] && !f.isTest() {
			seen[dir] = true
			if _, ok := floorOf(floor, dir); !ok && dir != "internal/repotest" {
				t.Errorf("package %q has no floor: list it in ARCHITECTURE.md", dir)
			}
		}
		for _, i := range f.imports() {
			list, limited := only[i]
			if f.isTest() {
				if tests, ok := onlyInTests[i]; ok {
					list = slices.Concat(list, tests)
				} else {
					limited = false
				}
			}
			if limited && !in(list, dir) {
				t.Errorf("%s imports %q, which is for %q", f.path, i, list)
			}
			i = strings.TrimPrefix(i, "_ ")
			if f.module != "" || f.isTest() {
				continue
			}
			if rest, ok := strings.CutPrefix(i, module); ok && (rest == "" || rest[0] == '/') {
				a, _ := floorOf(floor, dir)
				b, _ := floorOf(floor, strings.TrimPrefix(rest, "/"))
				if b >= a {
					t.Errorf("%s on floor %d imports %q on floor %d: arrows go down", f.path, a, i, b)
				}
			} else if strings.Contains(strings.Split(i, "/")[0], ".") && !strings.HasPrefix(i, "golang.org/x/sys/") {
				t.Errorf("%s imports %q: the root module requires golang.org/x/sys and nothing else", f.path, i)
			}
		}
	}
}
