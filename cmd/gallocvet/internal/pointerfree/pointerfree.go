// Package pointerfree has the rule pointerfree, about Go pointers in values off the Go heap.
package pointerfree

import (
	"fmt"
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule pointerfree.
var Analyzer = &analysis.Analyzer{
	Name:      "pointerfree",
	Doc:       "report values with Go pointers in memory that the garbage collector does not scan",
	Requires:  []*analysis.Analyzer{flow.Analyzer},
	FactTypes: []analysis.Fact{new(Needs), new(Elements)},
	Run:       run,
}

// Needs is the fact of a function that puts values off the Go heap.
type Needs struct{ All []Need }

// A Need is a type that must have no Go pointers.
type Need struct {
	Param int    // the type parameter, or -1 if the type has pointers in any case
	Path  string // from the type that is allocated to the parameter, or to the pointer
	Kind  string // of the pointer
	Type  string // that has it, if Param is -1
	Alloc int    // the parameter that is the allocator, or -1 if it holds no pointers
}

// AFact makes Needs a fact.
func (*Needs) AFact() {}

// Elements is the fact of a generic type that keeps values of its type parameters off the Go heap.
type Elements struct{ All []Need }

// AFact makes Elements a fact.
func (*Elements) AFact() {}

type checker struct {
	pass  *analysis.Pass
	p     *flow.Package
	r     *report.Reporter
	funcs map[*types.Func][]Need
	named map[*types.TypeName][]Need
	last  bool // facts are complete: report
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil || pass.Pkg.Path() == api.Root {
		return nil, err
	}
	c := &checker{pass, p, report.New(pass, p.Table), map[*types.Func][]Need{}, map[*types.TypeName][]Need{}, false}
	const rounds = 3
	for i := range rounds {
		c.last = i == rounds-1
		c.mentions()
		for _, f := range p.Funcs {
			c.function(f)
		}
	}
	for f, all := range c.funcs {
		pass.ExportObjectFact(f, &Needs{all})
	}
	for t, all := range c.named {
		pass.ExportObjectFact(t, &Elements{all})
	}
	return nil, nil
}

// mentions checks the instances of generic types and functions that are written in the source.
func (c *checker) mentions() {
	for _, file := range c.pass.Files {
		if report.InTest(c.pass, file.FileStart) {
			continue
		}
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				f, _ := c.pass.TypesInfo.Defs[d.Name].(*types.Func)
				c.inside(d, func(n Need) { add(c.funcs, f, n) })
			case *ast.GenDecl:
				for _, s := range d.Specs {
					t, ok := s.(*ast.TypeSpec)
					if !ok {
						c.inside(s, func(Need) {})
						continue
					}
					name, _ := c.pass.TypesInfo.Defs[t.Name].(*types.TypeName)
					c.inside(s, func(n Need) { add(c.named, name, n) })
				}
			}
		}
	}
}

func add[K comparable](m map[K][]Need, k K, n Need) {
	if !slices.Contains(m[k], n) {
		m[k] = append(m[k], n)
	}
}

// inside checks the instances in a declaration. It calls note for each type parameter of the
// declaration that must have no pointers.
func (c *checker) inside(d ast.Node, note func(Need)) {
	ast.Inspect(d, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		instance, ok := c.pass.TypesInfo.Instances[id]
		if !ok {
			return true
		}
		for _, n := range c.elements(c.pass.TypesInfo.Uses[id], instance.TypeArgs.Len()) {
			if n.Param < 0 || n.Param >= instance.TypeArgs.Len() {
				continue
			}
			t := instance.TypeArgs.At(n.Param)
			for _, p := range pointers(t, start(n.Path, t)) {
				if p.kind != "" {
					if c.last {
						c.report(id, c.pass.TypesInfo.Uses[id].Pkg().Name()+"."+id.Name, t, p)
					}
					return true
				}
				note(Need{Param: p.param, Path: p.path, Alloc: -1})
			}
		}
		return true
	})
}

// start returns the path that leads to a type argument.
func start(path string, t types.Type) string {
	if _, param := types.Unalias(t).(*types.TypeParam); path != "" || param {
		return path
	}
	return short(t)
}

// elements returns the type parameters of a generic type or constructor that are elements off the
// Go heap.
func (c *checker) elements(o types.Object, n int) (all []Need) {
	if o == nil || o.Pkg() == nil {
		return nil
	}
	every := func() (all []Need) {
		for i := range n {
			all = append(all, Need{Param: i, Alloc: -1})
		}
		return all
	}
	switch o := o.(type) {
	case *types.TypeName:
		if api.IsOwn(o.Pkg(), "collections") && o.Exported() && o.Name() != "Handle" || api.IsOwn(o.Pkg(), "pool") && o.Name() == "Of" {
			return every()
		}
		var e Elements
		if o.Pkg() == c.pass.Pkg {
			return c.named[o]
		} else if c.pass.ImportObjectFact(o, &e) {
			return e.All
		}
	case *types.Func:
		if api.IsOwn(o.Pkg(), "collections") || api.IsOwn(o.Pkg(), "pool") {
			for _, verb := range []string{"New", "Make", "Collect"} {
				if strings.HasPrefix(o.Name(), verb) {
					return every()
				}
			}
		}
	}
	return nil
}

func (c *checker) report(at ast.Node, name string, t types.Type, p pointer) {
	c.r.Report(analysis.Diagnostic{Pos: at.Pos(), Message: message(name, t, p)})
}

func message(name string, t types.Type, p pointer) string {
	return fmt.Sprintf("%s keeps %s off the Go heap, where the garbage collector does not see the pointers in it: %s",
		name, short(t), p)
}

// String says where the pointer is.
func (p pointer) String() string {
	if p.path == "" || p.path == p.kind {
		return "it is a Go pointer"
	}
	if strings.ContainsAny(p.kind[:1], "aeiou") {
		return p.path + " is an " + p.kind
	}
	return p.path + " is a " + p.kind
}

// function checks the calls in a function.
func (c *checker) function(f *ssa.Function) {
	if report.InTest(c.pass, f.Pos()) || expectsFailure(f) {
		return
	}
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			if call, ok := in.(ssa.CallInstruction); ok {
				c.call(call)
			}
		}
	}
}

// expectsFailure reports whether a function looks at galloc.ErrPointers.
func expectsFailure(f *ssa.Function) bool {
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			if u, ok := in.(*ssa.UnOp); ok {
				if g, ok := u.X.(*ssa.Global); ok && g.Name() == "ErrPointers" && g.Pkg.Pkg.Path() == api.Root {
					return true
				}
			}
		}
	}
	return false
}

func (c *checker) call(in ssa.CallInstruction) {
	call := in.Common()
	f := flow.Callee(call)
	if f == nil {
		return
	}
	args := flow.Args(call)
	for _, n := range c.needs(call, f) {
		t := typeArg(call, n.Param)
		alloc, param := unseen, -1
		if n.Alloc >= 0 {
			if n.Alloc >= len(args) {
				continue
			}
			alloc, param = scanned(args[n.Alloc])
		}
		if alloc == seen {
			continue
		}
		var all []pointer
		switch {
		case n.Param < 0:
			all = []pointer{{n.Path, n.Kind, -1}}
		case t != nil:
			all = pointers(t, start(n.Path, t))
		}
		for _, p := range all {
			switch {
			case p.kind != "" && alloc == unseen:
				if t == nil { // the function says it all
					t = call.Value.Type()
				}
				if c.last {
					c.r.Reportf(in.Pos(), "%s", c.text(call, n, t, p))
				}
			case outer(in.Parent()) == nil:
			case (p.kind == "" || alloc == ofParam) && !conditional(in, p):
				name := n.Type
				if t != nil {
					name = short(t)
				}
				add(c.funcs, outer(in.Parent()), Need{p.param, p.path, p.kind, name, param})
			}
		}
	}
}

func (c *checker) text(call *ssa.CallCommon, n Need, t types.Type, p pointer) string {
	if n.Param < 0 {
		return fmt.Sprintf("%s needs an allocator whose memory the garbage collector scans, for %s: %s", flow.Short(call), n.Type, p)
	}
	return message(flow.Short(call), t, p)
}

// outer returns the declared function that f is, or is a closure of.
func outer(f *ssa.Function) *types.Func {
	for f.Parent() != nil {
		if len(f.TypeArgs()) > 0 {
			return nil
		}
		f = f.Parent()
	}
	o, _ := f.Object().(*types.Func)
	return o
}

// conditional reports whether a call is made only if something has been found out about a type.
func conditional(in ssa.CallInstruction, p pointer) bool {
	for b := in.Block(); b.Idom() != nil; b = b.Idom() {
		d := b.Idom()
		i, ok := d.Instrs[len(d.Instrs)-1].(*ssa.If)
		if !ok || len(b.Preds) != 1 {
			continue
		}
		cond := i.Cond
		if u, ok := cond.(*ssa.UnOp); ok {
			cond = u.X
		}
		switch x := cond.(type) {
		case *ssa.Call:
			return true
		case *ssa.Extract:
			if _, ok := x.Tuple.(*ssa.TypeAssert); ok {
				return true
			}
		case *ssa.BinOp:
			for _, v := range []ssa.Value{x.X, x.Y} {
				if k, ok := v.(*ssa.Call); ok && k.Call.StaticCallee() != nil && k.Call.StaticCallee().Pkg != nil && k.Call.StaticCallee().Pkg.Pkg.Path() == "reflect" {
					return true
				}
				if k, ok := v.(*ssa.Call); ok && k.Call.IsInvoke() {
					return true
				}
			}
		}
	}
	return false
}

func typeArg(call *ssa.CallCommon, i int) types.Type {
	if f := call.StaticCallee(); f != nil && i >= 0 && i < len(f.TypeArgs()) {
		return f.TypeArgs()[i]
	}
	return nil
}

// needs returns what a function needs of its type arguments.
func (c *checker) needs(call *ssa.CallCommon, f *types.Func) []Need {
	switch strings.TrimPrefix(api.Name(f), api.Root+".") {
	case "New", "MakeSlice", "MakeSliceCap", "GrowSlice", "AppendSlice", "NewBox":
		return []Need{{Param: 0}}
	case "NewUninit":
		return []Need{{Param: 0, Alloc: -1}}
	case "Box.Set":
		if a, ok := call.Args[0].(*ssa.Alloc); ok && empty(a) {
			return []Need{{Param: 0, Alloc: -1}}
		}
		return nil
	case "AllocateTyped":
		t, ok := call.Args[1].(*ssa.Call)
		if !ok || t.Call.StaticCallee() == nil || t.Call.StaticCallee().Name() != "TypeFor" && !strings.HasPrefix(t.Call.StaticCallee().Name(), "TypeFor[") {
			return nil
		}
		if p := pointers(typeArg(&t.Call, 0), short(typeArg(&t.Call, 0))); len(p) > 0 {
			return []Need{{Param: -1, Path: p[0].path, Kind: p[0].kind, Type: short(typeArg(&t.Call, 0))}}
		}
		return nil
	}
	f = f.Origin()
	var n Needs
	if f.Pkg() != nil && api.Own(f.Pkg()) {
		return nil // see elements
	}
	if f.Pkg() == c.pass.Pkg {
		return c.funcs[f]
	} else if f.Pkg() != nil && c.pass.ImportObjectFact(f, &n) {
		return n.All
	}
	return nil
}

// empty reports whether nothing is stored in a variable as a whole, and its address stays here.
func empty(a *ssa.Alloc) bool {
	for _, in := range *a.Referrers() {
		switch x := in.(type) {
		case *ssa.Store:
			return false
		case ssa.CallInstruction:
			if f := flow.Callee(x.Common()); f == nil || f.Pkg() == nil || f.Pkg().Path() != api.Root {
				return false
			}
		case *ssa.UnOp, *ssa.DebugRef:
		default:
			return false
		}
	}
	return true
}
