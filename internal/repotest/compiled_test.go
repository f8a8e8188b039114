package repotest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests here check how the compiler compiles the fast path in Go. On amd64 assembly replaces a
// part of it; elsewhere all of it is in Go.

// fastPath lists the functions that must be inlined into their callers, and the functions that are
// called. The compiler may inline others into the latter.
var fastPath = map[string]struct{ inlined, called []string }{
	".":               {inlined: []string{"Alloc", "Dealloc"}},
	"bump":            {inlined: []string{"(*Arena).bump"}, called: []string{"(*Arena).Alloc", "(*Arena).Allocate"}},
	"pool":            {inlined: []string{"(*Pool).pop", "(*Pool).index"}, called: []string{"(*Pool).Get", "(*Pool).Put"}},
	"internal/percpu": {inlined: []string{"ID", "Limit", "Pin", "Unpin", "(*RaceLock).Lock", "(*RaceLock).Unlock"}},
	"internal/pages": {
		inlined: []string{"ClassOf", "RefOf", "(*Ref).Pointer", "(*Extent).ClassAt", "(*Allocator).Main"},
	},
	"internal/engine": {
		inlined: []string{
			"enterGlobal", "(*Heap).Enter", "(*Cache).Exit", "(*Cache).Pop", "(*Cache).Push", "(*Cache).magazine", "(*Cache).slot",
		},
		called: []string{"fastAlloc", "fastFree", "(*Heap).Alloc", "(*Heap).Free", "(*Heap).FreeUnsized"},
	},
}

func TestTheFastPathIsInlined(t *testing.T) {
	said := compile(t)
	for dir, f := range fastPath {
		for _, name := range f.inlined {
			can := func(r remark) bool { return r.dir == dir && r.text == "can inline "+name }
			if !slices.ContainsFunc(said, can) {
				t.Errorf("%s in %q cannot be inlined: go build -gcflags=-m=2 says why", name, dir)
			}
		}
	}
}

func TestTheFastPathHasNoBoundsChecks(t *testing.T) {
	said := compile(t)
	for dir, f := range fastPath {
		names := slices.Concat(f.inlined, f.called)
		for _, r := range said {
			if callee, ok := strings.CutPrefix(r.text, "inlining call to "); ok && r.dir == dir && slices.Contains(names, r.function) {
				names = append(names, callee)
			}
		}
		found := 0
		for _, r := range said {
			if r.dir != dir || !strings.HasPrefix(r.text, "Found Is") {
				continue
			}
			found++
			if slices.Contains(names, r.function) {
				t.Errorf("%s: %s has a bounds check, which is on the fast path: let the compiler see that the index is in range", r.place, r.function)
			}
		}
		if dir == "internal/engine" && found == 0 {
			t.Error("there is no bounds check in the slow paths either: the compiler does not say what it is asked for")
		}
	}
}

// A remark is what the compiler has said about a line.
type remark struct {
	dir, place string
	function   string // that the line is in, as the compiler writes it, or ""
	text       string
}

// compile compiles the packages of the fast path, and returns what the compiler says about inlining
// and bounds checks.
func compile(t *testing.T) []remark {
	t.Helper()
	needGo(t)
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the fast path is for amd64 and arm64")
	}
	args := []string{"build", "-gcflags=-m -d=ssa/check_bce"}
	functions := map[string][]function{}
	for _, dir := range slices.Sorted(maps.Keys(fastPath)) {
		args = append(args, "./"+dir)
		functions[dir] = functionsIn(t, dir)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	var said []remark
	for line := range strings.Lines(string(out)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 4) // file:line:column: text
		if len(parts) != 4 {
			continue
		}
		file := filepath.Clean(parts[0])
		number, err := strconv.Atoi(parts[1])
		if err != nil {
			continue
		}
		r := remark{dir: filepath.ToSlash(filepath.Dir(file)), place: fmt.Sprintf("%s:%d", file, number), text: strings.TrimSpace(parts[3])}
		for _, f := range functions[r.dir] {
			if f.file == filepath.Base(file) && f.from <= number && number <= f.to {
				r.function = f.name
			}
		}
		said = append(said, r)
	}
	return said
}

// A function is a declaration with a body, and the lines that it has.
type function struct {
	name, file string
	from, to   int
}

// functionsIn returns the functions of the package in a folder.
func functionsIn(t *testing.T, dir string) (all []function) {
	t.Helper()
	files := token.NewFileSet()
	paths, err := fs.Glob(os.DirFS(filepath.Join(root, dir)), "*.go")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%q: no Go files: %v", dir, err)
	}
	for _, path := range paths {
		parsed, err := parser.ParseFile(files, filepath.Join(root, dir, path), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			name := f.Name.Name
			if f.Recv != nil {
				switch r := f.Recv.List[0].Type.(type) {
				case *ast.StarExpr:
					if of, ok := r.X.(*ast.Ident); ok {
						name = "(*" + of.Name + ")." + name
					}
				case *ast.Ident:
					name = r.Name + "." + name
				}
			}
			all = append(all, function{name, path, files.Position(f.Pos()).Line, files.Position(f.End()).Line})
		}
	}
	return all
}
