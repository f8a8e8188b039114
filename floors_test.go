package galloc_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors is the order of the packages, from the ground up. A package imports only packages of
// lower floors: none of its own, none above. ARCHITECTURE.md says what each floor is for.
var floors = [][]string{
	{"internal/vm", "internal/rss", "internal/stopwatch"},
	{"internal/libc", "internal/libc/direct", "internal/engine", "internal/debug"},
	{"internal/shard"},
	{""}, // the module's root
	{"internal/class"},
	{"trace", "traces", "heap", "jemalloc", "mimalloc", "buddy", "tlsf", "freelist", "bump", "pool", "fixed"},
	{"alloctest", "internal/workload", "wrap", "collections"},
	{"global/heap", "global/jemalloc", "global/mimalloc", "global/system", "capi", "global/debug", "global/stats"},
	{
		"cmd/galloc", "capi/libgalloc", "docs/rust", "docs/rust/myallocator", "docs/rust/system", "docs/rust/jemalloc", "docs/rust/five",
		"docs/rust/counting", "docs/rust/functions", "docs/rust/allocerror", "docs/rust/hook",
		"examples/cache", "examples/index",
	},
}

// only says which packages may import what, besides the tests.
var only = map[string][]string{
	"syscall":                  {"internal/vm", "internal/libc", "jemalloc", "cmd/galloc"},
	"golang.org/x/sys/unix":    {"internal/vm", "internal/libc"},
	"golang.org/x/sys/windows": {"internal/vm", "internal/libc"},
	"net/http":                 {},
	"unsafe":                   {"internal/vm", "internal/libc", "internal/libc/direct", "internal/engine", "", "heap", "jemalloc", "mimalloc", "trace", "alloctest", "internal/workload", "buddy", "tlsf", "freelist", "global/heap", "global/system", "global/jemalloc", "global/mimalloc", "bump", "pool", "fixed", "capi", "wrap", "internal/shard", "internal/class", "internal/debug", "global/debug", "global/stats", "collections", "docs/rust/myallocator", "docs/rust/five", "docs/rust/counting", "docs/rust/functions", "docs/rust/allocerror"},
	"C":                        {"internal/libc", "internal/libc/direct", "jemalloc", "mimalloc", "capi", "docs/rust/jemalloc", "docs/rust/five"},
}

const module = "github.com/galloc-go/galloc"

func TestArrowsGoDown(t *testing.T) {
	needGo(t)
	floor := map[string]int{}
	for i, packages := range floors {
		for _, p := range packages {
			floor[p] = i
			if _, err := os.Stat("./" + p); err != nil {
				t.Errorf("package %q is in the list only: %v", p, err)
			}
		}
	}
	// The platforms differ in what they import, and the bindings need tags.
	var lines []string
	for _, env := range [][]string{nil, {"GOFLAGS=-tags=galloc_jemalloc,galloc_mimalloc"}, {"CGO_ENABLED=0"}, {"CGO_ENABLED=0", "GOOS=windows"}, {"CGO_ENABLED=0", "GOOS=js", "GOARCH=wasm"}} {
		cmd := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...")
		cmd.Env = append(append(os.Environ(), "GOFLAGS="), env...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSpace(string(out)), "\n")...)
	}
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		fields := strings.Fields(line)
		p := inModule(fields[0])
		f, known := floor[p]
		if !known {
			t.Errorf("package %q stands on no floor: put it in the list", p)
			continue
		}
		for _, i := range fields[1:] {
			if allowed, ok := only[i]; ok && !slices.Contains(allowed, p) {
				t.Errorf("%q imports %s, which is for %q", p, i, allowed)
			}
			if i != module && !strings.HasPrefix(i, module+"/") {
				if strings.Contains(strings.Split(i, "/")[0], ".") && !strings.HasPrefix(i, "golang.org/x/sys/") {
					t.Errorf("%q imports %s: the root module needs golang.org/x/sys and nothing else", p, i)
				}
			} else if floor[inModule(i)] >= f {
				t.Errorf("%q on floor %d imports %q on floor %d: arrows go down", p, f, inModule(i), floor[inModule(i)])
			}
		}
	}
}

// inModule returns the path of a package within the module.
func inModule(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
}
