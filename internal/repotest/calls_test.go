package repotest

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fileOrder has the order of the files of a package, bottom up. A file refers to functions and
// methods of the files before it, and to its own.
var fileOrder = map[string][]string{
	"internal/percpu": {
		"known.go", "unknown.go", "race.go", "norace.go", "findp_amd64.go", "findp_arm64.go", "findp_other.go", "percpu.go",
		"table.go",
	},
	"internal/vm": {
		"inject.go", "vm_unix.go", "vm_linux.go", "vm_bsd.go", "vm_windows.go", "vm_goheap.go",
		"guard_unix.go", "guard_linux.go", "guard_bsd.go", "space_unix.go", "space_linux.go", "space_bsd.go", "space_other.go",
		"vm.go", "guard.go", "space.go", "mappings.go",
	},
	"internal/pages": {
		"ref.go", "mutex.go", "bitmap.go", "array.go", "check_off.go", "check_on.go", "class.go", "tag.go", "span.go", "tree.go", "extent.go",
		"extentmap_small.go", "extentmap_large.go", "extentmap.go", "spare.go", "runs.go", "huge.go", "hollow.go",
		"allocator.go", "purge.go", "room.go", "regions.go", "stats.go", "check.go",
	},
	"internal/engine": {
		"timer.go", "gate.go", "misuse.go", "proc.go", "stash.go", "cache.go", "access.go", "capacity.go", "limit.go", "central.go", "caches.go",
		"drain.go", "hollow.go", "stats.go", "check.go", "reclaim.go", "soft.go", "decay.go", "large.go", "medium.go", "transfer.go", "slow.go", "heap.go", "compact.go", "fast.go", "fast_amd64.go", "regions.go",
	},
}

func TestFilesCallDown(t *testing.T) {
	needGo(t)
	for dir, order := range fileOrder {
		for _, up := range callsUp(t, dir, order) {
			t.Errorf("%s: %s: move it, or pass it in", dir, up)
		}
		reversed := slices.Clone(order)
		slices.Reverse(reversed)
		if len(callsUp(t, dir, reversed)) < 10 {
			t.Errorf("%s: the test does not see the calls between files", dir)
		}
	}
}

// callsUp returns the references from the files of a package to functions of files after them.
func callsUp(t *testing.T, dir string, order []string) (up []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: no Go files: %v", dir, err)
	}
	for _, f := range all {
		if name := filepath.Base(f); !strings.HasSuffix(name, "_test.go") && !slices.Contains(order, name) {
			up = append(up, name+" has no place in fileOrder")
		}
	}
	files := token.NewFileSet()
	uses := check(t, files, dir)
	for id, object := range uses {
		f, ok := object.(*types.Func)
		if !ok || f.Pkg() == nil || f.Pkg().Path() != module+"/"+dir {
			continue
		}
		from, to := filepath.Base(files.Position(id.Pos()).Filename), filepath.Base(files.Position(f.Pos()).Filename)
		if slices.Index(order, from) < slices.Index(order, to) {
			up = append(up, fmt.Sprintf("%s refers to %s of %s", files.Position(id.Pos()), f.Name(), to))
		}
	}
	slices.Sort(up)
	return up
}

// check type-checks the package in a folder, and returns the object of each identifier.
func check(t *testing.T, files *token.FileSet, dir string) map[*ast.Ident]types.Object {
	t.Helper()
	list := func(args ...string) []string {
		cmd := exec.Command("go", append([]string{"list"}, args...)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
		}
		return strings.Fields(string(out))
	}
	exports := map[string]string{}
	for _, line := range list("-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}}={{.Export}}{{end}}", "./"+dir) {
		path, file, _ := strings.Cut(line, "=")
		exports[path] = file
	}
	var parsed []*ast.File
	for _, name := range list("-f", `{{join .GoFiles " "}}`, "./"+dir) {
		f, err := parser.ParseFile(files, filepath.Join(root, dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, f)
	}
	config := types.Config{Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	if _, err := config.Check(module+"/"+dir, files, parsed, &info); err != nil {
		t.Fatal(err)
	}
	return info.Uses
}
