// Package unit runs analyzers on one package for "go vet", as package unitchecker of x/tools does,
// in less time. It differs in three ways:
//
//   - The types of imports come from the export data of the compiler, as in the vet command itself,
//     not from files that the tool has written.
//   - Facts are kept in a section for each package, which is decoded when a rule asks for one of
//     them, and are named by functions and types.
//   - A dependency whose facts cannot matter is neither parsed nor checked: see skip.go.
//
// It prints JSON only, as "go vet" asks for, and applies no fixes.
package unit

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"sync"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/analysis"
)

// A Config is the file that "go vet" writes for a package.
type Config struct {
	ID            string
	Compiler      string
	Dir           string
	ImportPath    string
	GoVersion     string
	GoFiles       []string
	NonGoFiles    []string
	IgnoredFiles  []string
	ModulePath    string
	ModuleVersion string
	Module        *analysis.Module  // since Go 1.27
	ImportMap     map[string]string // from the path in the source to the package
	PackageFile   map[string]string // the export data of each import
	PackageVetx   map[string]string // the facts of each import
	VetxOnly      bool              // nothing is reported
	VetxOutput    string            // where the facts go
	Stdout        string            // where the reports go, if not to the standard output
}

// module returns the module of the package, or nil for the standard library.
func (c *Config) module() *analysis.Module {
	if c.Module == nil && c.ModulePath != "" {
		return &analysis.Module{Path: c.ModulePath, Version: c.ModuleVersion, GoVersion: c.GoVersion}
	}
	return c.Module
}

// Run analyzes the package that a file describes. It returns an exit status.
func Run(name string, analyzers []*analysis.Analyzer, stdout, stderr io.Writer) int {
	c := new(Config)
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, c)
	}
	if err == nil {
		err = run(c, analyzers, stdout)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

func run(c *Config, analyzers []*analysis.Analyzer, stdout io.Writer) error {
	register(analyzers)
	known, err := readFacts(c)
	if err != nil {
		return err
	}
	if c.VetxOnly && c.skip(known) {
		return known.write(c.VetxOutput)
	}
	u, err := c.load()
	if err != nil {
		return err
	}
	u.facts, known.pkg = known, u.pkg
	known.Galloc = known.Galloc || api.Own(u.pkg)
	var acts []*action
	for _, a := range analyzers {
		if !c.VetxOnly || hasFacts(a) {
			acts = append(acts, u.action(a))
		}
	}
	var wait sync.WaitGroup
	for _, act := range acts {
		wait.Go(func() { u.exec(act) })
	}
	wait.Wait()
	if !c.VetxOnly {
		if err := u.print(acts, stdout); err != nil {
			return err
		}
	}
	return known.write(c.VetxOutput)
}

// A unit is a package that has been checked for types.
type unit struct {
	cfg     *Config
	fset    *token.FileSet
	files   []*ast.File
	pkg     *types.Package
	info    *types.Info
	sizes   types.Sizes
	facts   *facts
	actions map[*analysis.Analyzer]*action
}

func (c *Config) load() (*unit, error) {
	u := &unit{
		cfg: c, fset: token.NewFileSet(), sizes: types.SizesFor("gc", build.Default.GOARCH),
		actions: map[*analysis.Analyzer]*action{},
		info: &types.Info{
			Types:        map[ast.Expr]types.TypeAndValue{},
			Defs:         map[*ast.Ident]types.Object{},
			Uses:         map[*ast.Ident]types.Object{},
			Implicits:    map[ast.Node]types.Object{},
			Instances:    map[*ast.Ident]types.Instance{},
			Scopes:       map[ast.Node]*types.Scope{},
			Selections:   map[*ast.SelectorExpr]*types.Selection{},
			FileVersions: map[*ast.File]string{},
		},
	}
	for _, name := range c.GoFiles {
		f, err := parser.ParseFile(u.fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		u.files = append(u.files, f)
	}
	compiled := importer.ForCompiler(u.fset, c.Compiler, func(path string) (io.ReadCloser, error) {
		name, ok := c.PackageFile[path]
		if !ok {
			return nil, fmt.Errorf("gallocvet: no export data for %q", path)
		}
		return os.Open(name)
	})
	check := &types.Config{
		Sizes: u.sizes, GoVersion: c.GoVersion,
		Importer: importFunc(func(path string) (*types.Package, error) {
			if mapped, ok := c.ImportMap[path]; ok {
				path = mapped
			}
			return compiled.Import(path)
		}),
	}
	var err error
	u.pkg, err = check.Check(c.ImportPath, u.fset, u.files, u.info)
	return u, err
}

type importFunc func(path string) (*types.Package, error)

func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

// An action is one analyzer on the package.
type action struct {
	a           *analysis.Analyzer
	once        sync.Once
	result      any
	err         error
	diagnostics []analysis.Diagnostic
}

// action returns the action of an analyzer, and makes the actions that it requires.
func (u *unit) action(a *analysis.Analyzer) *action {
	act := u.actions[a]
	if act == nil {
		act = &action{a: a}
		u.actions[a] = act
		for _, r := range a.Requires {
			u.action(r)
		}
	}
	return act
}

func (u *unit) exec(act *action) {
	act.once.Do(func() {
		results := map[*analysis.Analyzer]any{}
		for _, r := range act.a.Requires {
			need := u.actions[r]
			u.exec(need)
			if need.err != nil {
				act.err = fmt.Errorf("%s needs %s: %w", act.a.Name, r.Name, need.err)
				return
			}
			results[r] = need.result
		}
		act.result, act.err = act.a.Run(&analysis.Pass{
			Analyzer: act.a, Fset: u.fset, Files: u.files, OtherFiles: u.cfg.NonGoFiles, IgnoredFiles: u.cfg.IgnoredFiles,
			Pkg: u.pkg, TypesInfo: u.info, TypesSizes: u.sizes, ResultOf: results, Module: u.cfg.module(),
			ReadFile:          os.ReadFile,
			Report:            func(d analysis.Diagnostic) { act.diagnostics = append(act.diagnostics, d) },
			ImportObjectFact:  u.facts.importObject,
			ExportObjectFact:  u.facts.exportObject,
			ImportPackageFact: u.facts.importPackage,
			ExportPackageFact: func(f analysis.Fact) { u.facts.export(nil, f) },
			AllObjectFacts:    func() []analysis.ObjectFact { panic(errAll) },
			AllPackageFacts:   func() []analysis.PackageFact { panic(errAll) },
		})
	})
}

var errAll = errors.New("gallocvet/internal/unit: no rule lists all facts")

// hasFacts reports whether an analyzer exports facts, itself or through what it requires.
func hasFacts(a *analysis.Analyzer) bool {
	for _, r := range a.Requires {
		if hasFacts(r) {
			return true
		}
	}
	return len(a.FactTypes) > 0
}
