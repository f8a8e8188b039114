package repotest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/internal/percpu"
)

const module = "github.com/galloc-go/galloc"

// root is the folder of the repository.
const root = "../.."

// needGo skips a test that runs the go command where there is none: on platforms without processes,
// or where the test binary was copied to another machine.
func needGo(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here: ", err)
	}
	needSource(t)
}

// needSource skips a test that reads the repository where it is not. It is the same repository with
// the race detector, on 32 bits and on WebAssembly.
func needSource(t *testing.T) {
	t.Helper()
	if percpu.Race || testing.Short() && slices.Contains([]string{"386", "wasm"}, runtime.GOARCH) {
		t.Skip("this is tested in the first form of .ci/test-all")
	}
	if _, err := os.Stat(root + "/go.mod"); err != nil {
		t.Skip("the repository is not here: ", err)
	}
}

// A file is a Go file of the repository.
type file struct {
	path   string // from root
	module string // folder of its module from root: "" is the root module
	text   []byte
	set    *token.FileSet
	syntax *ast.File
}

// dir returns the folder of f from root: "" is the root.
func (f *file) dir() string {
	if d := path.Dir(f.path); d != "." {
		return d
	}
	return ""
}

func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// imports returns the paths of the packages that f imports, with "_ unsafe" for a blank import of
// unsafe.
func (f *file) imports() (all []string) {
	for _, i := range f.syntax.Imports {
		p := strings.Trim(i.Path.Value, `"`)
		if i.Name != nil && i.Name.Name == "_" {
			if p == "unsafe" {
				p = "_ unsafe" // for linkname only
			}
		}
		all = append(all, p)
	}
	return all
}

// goFiles returns the Go files of the repository, for all platforms, but without testdata and files
// that no build includes.
func goFiles(t *testing.T) (all []*file) {
	t.Helper()
	needSource(t)
	tree := os.DirFS(root)
	modules := map[string]string{".": ""} // of each folder
	set := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name := d.Name(); p != "." && (name == "testdata" || strings.HasPrefix(name, ".")) {
				return fs.SkipDir
			}
			if p != "." {
				modules[p] = modules[path.Dir(p)]
				if _, err := fs.Stat(tree, p+"/go.mod"); err == nil {
					modules[p] = p
				}
			}
			return nil
		case path.Ext(p) != ".go":
			return nil
		}
		text, err := fs.ReadFile(tree, p)
		if err != nil || bytes.Contains(text, []byte("\n//go:build ignore\n")) || bytes.HasPrefix(text, []byte("//go:build ignore\n")) {
			return err
		}
		syntax, err := parser.ParseFile(set, p, text, parser.ParseComments|parser.SkipObjectResolution)
		all = append(all, &file{p, modules[path.Dir(p)], text, set, syntax})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files", len(all))
	}
	return all
}
