// Package suite runs the test suite of a library as it is, and again on galloc. It is the proof of
// an adapter. The library comes from the module cache at a fixed version, and is copied to a
// scratch folder; a few of its files are replaced there, and no file of it is in this repository.
package suite

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Library is a library and what connects it with galloc.
type Library struct {
	Module, Version string
	Adapter, Folder string            // the module of the adapter; its folder if the path differs
	Remove          []string          // patterns of files that are removed
	Overlay         map[string]string // contents of files, by their path in the library
	Edits           []Edit            // made after the files of the overlay are there
	Tags            string
	Short, Long     []string // packages

	// Known has the reasons of tests that fail by no fault of galloc, under "package Test". They
	// hold for the subtests too.
	Known map[string]string
}

// An Edit replaces a piece of text in a file of the library. Old must occur there once, or with All
// at least once. If Func is set, the edit removes the functions of that names instead: tests of
// what the adapter replaces.
type Edit struct {
	File, Old, New string
	All            bool
	Func           []string
}

// known returns the reason why a test fails, or "".
func (l Library) known(name string) string {
	for known, reason := range l.Known {
		if name == known || strings.HasPrefix(name, known+"/") {
			return reason
		}
	}
	return ""
}

// Main runs the suite with the arguments of the command line, and exits with 1 if a test fails with
// galloc that passes without, or that Known does not list.
func (l Library) Main() {
	long := flag.Bool("long", false, "run the whole suite")
	only := flag.String("run", "", "run the tests that match the `pattern`")
	keep := flag.Bool("keep", false, "keep the scratch folder")
	flag.Parse()
	packages := l.Short
	if *long {
		packages = l.Long
	}
	if flag.NArg() > 0 {
		packages = flag.Args()
	}
	failed, err := l.run(packages, *only, *long, *keep)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func (l Library) run(packages []string, only string, long, keep bool) (failed bool, err error) {
	root, err := root()
	if err != nil {
		return false, err
	}
	dir, err := l.scratch()
	if err != nil {
		return false, err
	}
	if keep {
		fmt.Println("the scratch folder is", dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	// With galloc, the module has galloc's version of Go, whose vet may check more.
	args := []string{"test", "-json", "-vet=off", "-tags", l.Tags}
	if !long {
		args = append(args, "-short")
	}
	if only != "" {
		args = append(args, "-run", only)
	}
	args = append(args, packages...)
	fmt.Printf("%s@%s: %s\n", l.Module, l.Version, strings.Join(packages, " "))
	before, err := test(dir, args)
	if err != nil {
		return false, err
	}
	fmt.Println("without galloc:", before)
	if err := l.connect(dir, root); err != nil {
		return false, err
	}
	with, err := test(dir, args)
	if err != nil {
		return false, err
	}
	fmt.Println("with galloc:   ", with)
	for _, name := range with.failures() {
		reason := l.known(name)
		if reason == "" && slices.Contains(before.failed, name) {
			reason = "it fails without galloc too"
		}
		if reason == "" {
			failed, reason = true, "FAILED WITH GALLOC\n"+with.output[name]
		}
		fmt.Printf("    %s: %s\n", name, reason)
	}
	removed := 0
	for _, e := range l.Edits {
		removed += len(e.Func)
	}
	if len(with.passed)+len(with.failed)+len(with.skipped) < len(before.passed)-removed {
		failed = true
		fmt.Println("    fewer tests have run with galloc")
	}
	return failed, nil
}

// root returns the folder of the root module.
func root() (string, error) {
	out, err := command("", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/galloc-go/galloc")
	return strings.TrimSpace(string(out)), err
}

// scratch copies the library to a new folder and returns its path.
func (l Library) scratch() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "galloc-suite-"); err != nil {
		return "", err
	}
	out, err := command(dir, "go", "mod", "download", "-json", l.Module+"@"+l.Version)
	var module struct{ Dir, Error string }
	if e := json.Unmarshal(out, &module); err == nil {
		err = e
	}
	if module.Error != "" {
		err = errors.New(module.Error)
	}
	if err != nil {
		return "", fmt.Errorf("%s@%s: %w", l.Module, l.Version, err)
	}
	// The files in the module cache are read-only, but CopyFS makes writable ones.
	return dir, os.CopyFS(filepath.Join(dir, "library"), os.DirFS(module.Dir))
}

// connect replaces the files of the overlay, makes the edits, and makes the library's module
// require the adapter.
func (l Library) connect(dir, root string) error {
	for _, pattern := range l.Remove {
		names, err := filepath.Glob(filepath.Join(dir, "library", filepath.FromSlash(pattern)))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for name, text := range l.Overlay {
		if err := os.WriteFile(filepath.Join(dir, "library", filepath.FromSlash(name)), []byte(text), 0o600); err != nil {
			return err
		}
	}
	for _, e := range l.Edits {
		if err := e.make(filepath.Join(dir, "library")); err != nil {
			return err
		}
	}
	const galloc = "github.com/galloc-go/galloc"
	args := []string{"mod", "edit", "-require=" + galloc + "@v0.0.0", "-replace=" + galloc + "=" + root}
	if l.Adapter != "" {
		folder := l.Folder
		if folder == "" {
			folder = strings.TrimPrefix(l.Adapter, galloc+"/")
		}
		folder = filepath.Join(root, filepath.FromSlash(folder))
		args = append(args, "-require="+l.Adapter+"@v0.0.0", "-replace="+l.Adapter+"="+folder)
	}
	_, err := command(filepath.Join(dir, "library"), "go", args...)
	return err
}

func (e Edit) make(dir string) error {
	name := filepath.Join(dir, filepath.FromSlash(e.File))
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if e.Func != nil {
		text, err = without(text, e.Func)
		if err != nil {
			return fmt.Errorf("%s: %w", e.File, err)
		}
		return os.WriteFile(name, text, 0o600)
	}
	if n := strings.Count(string(text), e.Old); n == 0 || n > 1 && !e.All {
		return fmt.Errorf("%s has the text to be replaced %d times: %s", e.File, n, e.Old)
	}
	return os.WriteFile(name, []byte(strings.ReplaceAll(string(text), e.Old, e.New)), 0o600)
}

// without returns the Go source text without the functions of some names.
func without(text []byte, names []string) ([]byte, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	removed := 0
	for _, d := range slices.Backward(file.Decls) {
		if f, ok := d.(*ast.FuncDecl); ok && slices.Contains(names, f.Name.Name) {
			text = slices.Delete(text, int(f.Pos()-file.FileStart), int(f.End()-file.FileStart))
			removed++
		}
	}
	if removed != len(names) {
		return nil, fmt.Errorf("%d of the functions are not there: %s", len(names)-removed, names)
	}
	return text, nil
}

// A result lists tests, each as its package and name. A package that cannot be tested counts as a
// test without a name.
type result struct {
	passed, failed, skipped []string
	output                  map[string]string
}

func (r result) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", len(r.passed), len(r.failed), len(r.skipped))
}

// failures returns the tests that failed, and the packages that failed without a test. A test in
// which another one failed is left out.
func (r result) failures() (all []string) {
	for _, name := range r.failed {
		if !slices.ContainsFunc(r.failed, func(other string) bool {
			return strings.HasPrefix(other, name+"/") || strings.HasPrefix(other, name+" ")
		}) {
			all = append(all, name)
		}
	}
	return all
}

// test runs go test -json in the library.
func test(dir string, args []string) (r result, err error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join(dir, "library")
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return r, err
	}
	if r, err = parse(bytes.NewReader(out)); err == nil && len(r.passed)+len(r.failed) == 0 {
		err = fmt.Errorf("no test has run:\n%s", &errs)
	}
	return r, err
}

// parse reads the output of go test -json.
func parse(from io.Reader) (r result, err error) {
	r.output = map[string]string{}
	for d := json.NewDecoder(from); ; {
		var e struct{ Action, Package, Test, ImportPath, FailedBuild, Output string }
		if err := d.Decode(&e); err == io.EOF {
			return r, nil
		} else if err != nil {
			return r, fmt.Errorf("go test -json: %w", err)
		}
		name := strings.TrimSpace(e.Package + " " + e.Test)
		switch e.Action {
		case "output":
			if s := r.output[name] + e.Output; len(s) < 4096 {
				r.output[name] = s
			}
		case "build-output":
			r.output[e.ImportPath] += e.Output
		case "pass":
			if e.Test != "" {
				r.passed = append(r.passed, name)
			}
		case "fail":
			r.failed = append(r.failed, name)
			r.output[name] += r.output[e.FailedBuild]
		case "skip":
			if e.Test != "" {
				r.skipped = append(r.skipped, name)
			}
		}
	}
}

func command(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, &errs)
	}
	return out, err
}
