// Package flow follows memory through the functions of a package, in SSA form.
//
// Analyzer builds the form, for packages that call a function of the table of package api only, and
// summarizes each function in a fact: what it ends, makes and borrows. Walk follows values along
// the paths of one function.
package flow

import (
	"go/ast"
	"go/types"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer has a *Package as its result.
var Analyzer = &analysis.Analyzer{
	Name:       "gallocflow",
	Doc:        "summarize what functions do with memory, for the other analyzers of gallocvet",
	Run:        run,
	ResultType: reflect.TypeFor[*Package](),
	FactTypes:  []analysis.Fact{new(Summary)},
}

// A Summary is the fact of a function.
type Summary struct {
	Call api.Call
	// Registers are the places, each as file:line, where a call registers a global allocator.
	Registers []string
}

// AFact makes Summary a fact.
func (*Summary) AFact() {}

// Matters reports whether the function does more with memory than to borrow it.
func (s *Summary) Matters() bool {
	return s.Call.Matters() || s.Call.Shows != api.None || len(s.Registers) > 0
}

// A Package is the SSA form of a package.
type Package struct {
	Pass   *analysis.Pass
	Table  *api.Table
	Galloc bool            // the package imports galloc, itself or through what it imports
	SSA    *ssa.Package    // nil if no rule can find anything in the package
	Funcs  []*ssa.Function // those in the source, closures included

	own map[*ssa.Function]*Summary // the summaries so far
	err error                      // the configuration is wrong
}

// Of returns the result of Analyzer for the package of a rule.
func Of(pass *analysis.Pass) (*Package, error) {
	p := pass.ResultOf[Analyzer].(*Package)
	return p, p.err
}

func run(pass *analysis.Pass) (any, error) {
	dir := "."
	for _, f := range pass.Files {
		// In a file that cgo has written, the package clause is followed by the name of the source.
		name := pass.Fset.Position(f.Name.Pos()).Filename
		dir = filepath.Dir(name)
		if filepath.Base(name) != "_cgo_gotypes.go" {
			break
		}
	}
	table, err := api.Of(dir)
	if err != nil {
		return &Package{err: err}, nil // an error here would not be printed
	}
	p := &Package{Pass: pass, Table: table, own: map[*ssa.Function]*Summary{}}
	p.Galloc = api.Uses(pass.Pkg)
	if !p.relevant() {
		return p, nil
	}
	p.build()
	p.summarize()
	return p, nil
}

// relevant reports whether the package can use galloc, or mentions a function that makes or ends
// memory. In the program's own module a function that borrows memory is enough.
func (p *Package) relevant() bool {
	if p.Galloc {
		return true
	}
	seen := map[*types.Func]bool{}
	for _, o := range p.Pass.TypesInfo.Uses {
		f, ok := o.(*types.Func)
		if !ok || seen[f.Origin()] {
			continue
		}
		f = f.Origin()
		seen[f] = true
		if c, ok := p.Table.Find(f); ok && c.Matters() || IsRegister(f) {
			return true
		}
		if s := new(Summary); p.Pass.ImportObjectFact(f, s) && (!p.dependency() || s.Matters()) {
			return true
		}
	}
	return false
}

// dependency reports whether the package does not use galloc, and is of the standard library or of
// a module that the program requires.
func (p *Package) dependency() bool {
	m := p.Pass.Module
	return !p.Galloc && (m == nil || m.Version != "")
}

// IsRegister reports whether f is galloc.RegisterGlobal.
func IsRegister(f *types.Func) bool { return api.Name(f) == api.Root+".RegisterGlobal" }

func (p *Package) build() {
	prog := ssa.NewProgram(p.Pass.Fset, 0)
	prog.SetNoReturn(func(f *types.Func) bool { return noReturn[api.Name(f)] })
	for _, i := range p.Pass.Pkg.Imports() {
		prog.CreatePackage(i, nil, nil, true)
	}
	files, info := p.sources()
	if !p.Galloc {
		info = withoutData(info)
	}
	if p.dependency() {
		files = p.pruned(files, info)
	}
	p.SSA = prog.CreatePackage(p.Pass.Pkg, files, info, false)
	p.SSA.Build()

	var add func(*ssa.Function)
	add = func(f *ssa.Function) {
		if f == nil || f.Blocks == nil {
			return
		}
		for _, a := range f.AnonFuncs {
			add(a)
		}
		p.Funcs = append(p.Funcs, f)
	}
	if init := p.SSA.Func("init"); init != nil { // the closures that package variables have
		for _, a := range init.AnonFuncs {
			add(a)
		}
	}
	for _, file := range files {
		for _, d := range file.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				if f, ok := info.Defs[d.Name].(*types.Func); ok {
					add(prog.FuncValue(f))
				}
			}
		}
	}
}

// noReturn are the functions that do not return.
var noReturn = map[string]bool{
	"os.Exit": true, "log.Fatal": true, "log.Fatalf": true, "log.Fatalln": true, "log.Panic": true,
	"log.Panicf": true, "log.Panicln": true, "log.Logger.Fatal": true, "log.Logger.Fatalf": true,
	"log.Logger.Fatalln": true, "runtime.Goexit": true, "testing.common.Fatal": true,
	"testing.common.Fatalf": true, "testing.common.FailNow": true, "testing.common.Skip": true,
	"testing.common.Skipf": true, "testing.common.SkipNow": true, "testing.TB.Fatal": true,
	"testing.TB.Fatalf": true, "testing.TB.FailNow": true, api.Root + ".HandleAllocError": true,
}

// NoReturn reports whether a function does not return.
func NoReturn(f *types.Func) bool { return noReturn[api.Name(f)] }

// Callee returns the function or interface method that is called, or nil.
func Callee(c *ssa.CallCommon) *types.Func {
	if c.IsInvoke() {
		return c.Method
	}
	f := c.StaticCallee()
	if f == nil {
		return nil
	}
	if o := f.Origin(); o != nil {
		f = o
	}
	o, _ := f.Object().(*types.Func)
	return o
}

// Args returns the arguments of a call, the receiver first.
func Args(c *ssa.CallCommon) []ssa.Value {
	if c.IsInvoke() {
		return append([]ssa.Value{c.Value}, c.Args...)
	}
	return c.Args
}

// Effect returns what a call does. It reports false if that is unknown.
func (p *Package) Effect(c *ssa.CallCommon) (api.Call, bool) {
	f := Callee(c)
	if f == nil {
		return api.Call{}, false
	}
	if call, ok := p.Table.Find(f); ok {
		return call, true
	}
	if s := p.summary(c.StaticCallee(), f); s != nil {
		return s.Call, true
	}
	return api.Call{}, false
}

func (p *Package) summary(fn *ssa.Function, f *types.Func) *Summary {
	if fn != nil {
		if o := fn.Origin(); o != nil {
			fn = o
		}
		if s := p.own[fn]; s != nil {
			return s
		}
	}
	s := new(Summary)
	if f.Pkg() != p.Pass.Pkg && p.Pass.ImportObjectFact(f.Origin(), s) {
		return s
	}
	return nil
}

// Where returns a place as file:line, with the name of the file only.
func (p *Package) Where(in ssa.Instruction) string {
	at := p.Pass.Fset.Position(in.Pos())
	return filepath.Base(at.Filename) + ":" + itoa(at.Line)
}

// Short returns the name of the called function as a reader knows it: "galloc.Free", "Put".
func Short(c *ssa.CallCommon) string {
	f := Callee(c)
	if f == nil {
		return "the call"
	}
	name := api.Name(f)
	return name[strings.LastIndexByte(name, '/')+1:]
}
