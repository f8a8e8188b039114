// Package registration has the rules oneglobal and fromlibrary, about the calls that register the
// global allocator and the variables that select it.
package registration

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// OneGlobal is the rule oneglobal.
var OneGlobal = &analysis.Analyzer{
	Name:      "oneglobal",
	Doc:       "report a program that registers or selects more than one global allocator",
	Requires:  []*analysis.Analyzer{flow.Analyzer},
	FactTypes: []analysis.Fact{new(Registered)},
	Run:       oneGlobal,
}

// FromLibrary is the rule fromlibrary.
var FromLibrary = &analysis.Analyzer{
	Name:     "fromlibrary",
	Doc:      "report registrations of a global allocator outside package main and the packages below global",
	Requires: []*analysis.Analyzer{flow.Analyzer},
	Run:      fromLibrary,
}

// Registered is the fact of a package that registers or selects a global allocator when it is
// initialized, itself or by an import.
type Registered struct {
	Places []string // each as file:line, sorted
}

// AFact makes Registered a fact.
func (*Registered) AFact() {}

// A place is one registration, as the package at hand sees it.
type place struct {
	pos  token.Pos // in the package: the call, the variable, or the import
	text string    // file:line of the registration itself
}

func oneGlobal(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil {
		return nil, err
	}
	var all []place
	add := func(pos token.Pos, text string) {
		if !slices.ContainsFunc(all, func(x place) bool { return x.text == text }) {
			all = append(all, place{pos, text})
		}
	}
	for _, f := range pass.Files {
		for _, spec := range f.Imports {
			name := pass.TypesInfo.PkgNameOf(spec)
			if name == nil {
				continue
			}
			var r Registered
			if pass.ImportPackageFact(name.Imported(), &r) {
				for _, text := range r.Places {
					add(spec.Pos(), text)
				}
			}
		}
	}
	imported := len(all)
	for _, v := range selections(pass) {
		add(v.Pos(), where(pass, v.Pos()))
	}
	r := report.New(pass, p.Table)
	for _, f := range p.Funcs {
		calls := p.Sites(f)
		for i, c := range calls {
			// Of two calls on different branches only one is made.
			if j := slices.IndexFunc(calls[:i], func(b *ssa.Call) bool { return follows(b, c) }); j >= 0 {
				two(r, p, calls[j], c)
			}
		}
		if starts(f) && len(calls) > 0 {
			add(calls[0].Pos(), p.Registered(calls[0])[0])
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	fact := &Registered{}
	for _, x := range all {
		fact.Places = append(fact.Places, x.text)
	}
	slices.Sort(fact.Places)
	pass.ExportPackageFact(fact)

	// A library may be half of a program that is wrong, but it is not the place to mend it, unless
	// it alone has two.
	if len(all) < 2 || pass.Pkg.Name() != "main" && !tests(pass) && len(all)-imported == 0 {
		return nil, nil
	}
	first := all[0]
	for _, x := range all[1:] {
		r.Report(analysis.Diagnostic{
			Pos:     x.pos,
			Message: fmt.Sprintf("a second global allocator, at %s: the program has another at %s", short(x.text), short(first.text)),
			Related: []analysis.RelatedInformation{{Pos: first.pos, Message: "the first global allocator"}},
		})
	}
	return nil, nil
}

// two reports two registrations that one function makes, one after the other.
func two(r *report.Reporter, p *flow.Package, a, b *ssa.Call) {
	r.Report(analysis.Diagnostic{
		Pos: b.Pos(),
		Message: fmt.Sprintf("a second global allocator, at %s: the program has another at %s",
			short(p.Registered(b)[0]), short(p.Registered(a)[0])),
		Related: []analysis.RelatedInformation{{Pos: a.Pos(), Message: "the first global allocator"}},
	})
}

// starts reports whether f runs by itself: an init function, or main.
func starts(f *ssa.Function) bool {
	if f.Parent() != nil || f.Signature.Recv() != nil {
		return false
	}
	name := f.Name()
	return name == "init" || strings.HasPrefix(name, "init#") || name == "TestMain" || name == "main" && f.Pkg.Pkg.Name() == "main"
}

// follows reports whether call b may be made after call a.
func follows(a, b *ssa.Call) bool {
	if a.Block() == b.Block() {
		return slices.Index(a.Block().Instrs, ssa.Instruction(a)) < slices.Index(b.Block().Instrs, ssa.Instruction(b))
	}
	seen := map[*ssa.BasicBlock]bool{}
	var reach func(*ssa.BasicBlock) bool
	reach = func(x *ssa.BasicBlock) bool {
		for _, next := range x.Succs {
			if next == b.Block() {
				return true
			}
			if !seen[next] {
				seen[next] = true
				if reach(next) {
					return true
				}
			}
		}
		return false
	}
	return reach(a.Block())
}

// selections returns the variables of the package that select a global allocator.
func selections(pass *analysis.Pass) (all []*types.Var) {
	for _, name := range pass.Pkg.Scope().Names() {
		v, ok := pass.Pkg.Scope().Lookup(name).(*types.Var)
		if !ok || !api.IsNamed(v.Type(), "Selection") {
			continue
		}
		if _, pointer := v.Type().(*types.Pointer); !pointer && linked(pass) {
			all = append(all, v)
		}
	}
	return all
}

// linked reports whether the package links a Selection into the program.
func linked(pass *analysis.Pass) bool {
	for _, f := range pass.Files {
		for _, g := range f.Comments {
			for _, c := range g.List {
				if strings.HasPrefix(c.Text, "//go:linkname ") && strings.HasSuffix(c.Text, ".multiple_global_allocators") {
					return true
				}
			}
		}
	}
	return false
}

func tests(pass *analysis.Pass) bool {
	return slices.ContainsFunc(pass.Files, func(f *ast.File) bool { return report.InTest(pass, f.FileStart) })
}

func where(pass *analysis.Pass, pos token.Pos) string {
	at := pass.Fset.Position(pos)
	return at.Filename + ":" + strconv.Itoa(at.Line)
}

// short returns a place with the last directory of its path only.
func short(place string) string {
	place = filepath.ToSlash(place)
	if i := strings.LastIndexByte(place, '/'); i > 0 {
		if j := strings.LastIndexByte(place[:i], '/'); j >= 0 {
			return place[j+1:]
		}
	}
	return place
}

func fromLibrary(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil {
		return nil, err
	}
	name := pass.Pkg.Name()
	if name == "main" || api.IsGlobalPackage(pass.Pkg) {
		return nil, nil
	}
	r := report.New(pass, p.Table)
	for id, o := range pass.TypesInfo.Uses { // called, or as a value
		if f, ok := o.(*types.Func); ok && flow.IsRegister(f) && !report.InTest(pass, id.Pos()) {
			r.Reportf(id.Pos(), "package %s registers a global allocator, which only package main should: "+
				"programs that import it cannot choose another", name)
		}
	}
	for _, v := range selections(pass) {
		if !report.InTest(pass, v.Pos()) {
			r.Reportf(v.Pos(), "package %s selects the global allocator, which only package main and the packages "+
				"below global should", name)
		}
	}
	return nil, nil
}
