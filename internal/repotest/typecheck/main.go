// Typecheck checks the types of packages, their tests, and all that they import, for platforms
// other than this one: make cross. It takes a second for each, where go vet and go build take a
// minute of the processor, because they compile the standard library for it first.
//
//	go run ./internal/repotest/typecheck [-C dir] goos/goarch...
//
// Errors go to the standard error, and the exit status is then 1.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	dir := flag.String("C", ".", "check the packages below `dir`")
	flag.Parse()
	failed := false
	c := checker{set: token.NewFileSet(), parsed: map[string]*ast.File{}}
	for _, platform := range flag.Args() {
		errs := c.check(*dir, platform)
		for _, err := range errs {
			fmt.Fprintf(os.Stderr, "%s: %v\n", platform, err)
		}
		failed = failed || len(errs) > 0
		fmt.Printf("%s: %d packages\n", platform, len(c.packages))
	}
	if failed {
		os.Exit(1)
	}
}

// A listed is what go list says of a package, or of one of its test variants.
type listed struct {
	Dir, ImportPath string
	GoFiles         []string
	ImportMap       map[string]string // from an import in the source to an ImportPath
	Standard        bool
	Module          *struct{ GoVersion string }
	Error           *struct{ Err string }
}

// A checker checks platforms one by one. It parses each file once.
type checker struct {
	set      *token.FileSet
	parsed   map[string]*ast.File
	packages map[string]*types.Package // of the platform, by ImportPath
}

// check returns what is wrong with the packages below dir.
func (c *checker) check(dir, platform string) (errs []error) {
	system, architecture, ok := strings.Cut(platform, "/")
	if !ok {
		return []error{errors.New("the form is goos/goarch")}
	}
	c.packages = map[string]*types.Package{"unsafe": types.Unsafe}
	list := exec.Command("go", "list", "-e", "-deps", "-test", "-json", "./...")
	list.Dir = dir
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return []error{fmt.Errorf("%v: %w", list, err)}
	}
	// A package comes after its imports.
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		switch err := decoder.Decode(&p); {
		case err == io.EOF:
			return errs
		case err != nil:
			return append(errs, err)
		case p.Error != nil:
			errs = append(errs, errors.New(p.Error.Err))
		case p.ImportPath == "unsafe":
		case strings.HasSuffix(p.ImportPath, ".test"): // generated, not yet there
		default:
			errs = append(errs, c.checkPackage(p, architecture)...)
		}
	}
}

// checkPackage returns what is wrong with p. Of the standard library it looks at declarations only.
func (c *checker) checkPackage(p listed, architecture string) (errs []error) {
	var files []*ast.File
	for _, name := range p.GoFiles {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		f := c.parsed[name]
		if f == nil {
			var err error
			if f, err = parser.ParseFile(c.set, name, nil, parser.SkipObjectResolution); err != nil {
				return append(errs, err)
			}
			c.parsed[name] = f
		}
		files = append(files, f)
	}
	config := types.Config{
		Importer:         importer{c.packages, p.ImportMap},
		Sizes:            types.SizesFor("gc", architecture),
		IgnoreFuncBodies: p.Standard,
		Error:            func(err error) { errs = append(errs, err) },
	}
	if p.Module != nil {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	path, _, _ := strings.Cut(p.ImportPath, " ")        // of "path [path.test]"
	checked, _ := config.Check(path, c.set, files, nil) // errs has the error
	c.packages[p.ImportPath] = checked
	return errs
}

// An importer finds the packages that one package imports.
type importer struct {
	packages map[string]*types.Package
	paths    map[string]string // its ImportMap
}

func (i importer) Import(path string) (*types.Package, error) {
	if mapped, ok := i.paths[path]; ok {
		path = mapped
	}
	if p := i.packages[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("package %s was not listed", path)
}
