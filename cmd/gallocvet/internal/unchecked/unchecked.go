// Package unchecked has the rule unchecked.
package unchecked

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule unchecked.
var Analyzer = &analysis.Analyzer{
	Name:     "unchecked",
	Doc:      "report errors of Try functions, and nil from Alloc, that are not looked at",
	Requires: []*analysis.Analyzer{flow.Analyzer},
	Run:      run,
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil {
		return nil, err
	}
	r := report.New(pass, p.Table)
	for _, f := range p.Funcs {
		if report.InTest(pass, f.Pos()) {
			continue
		}
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if c, ok := in.(ssa.CallInstruction); ok {
					check(p, r, c)
				}
			}
		}
	}
	return nil, nil
}

func check(p *flow.Package, r *report.Reporter, c ssa.CallInstruction) {
	e, ok := p.Effect(c.Common())
	f := flow.Callee(c.Common())
	if !ok || f == nil || f.Pkg() == nil {
		return
	}
	results := f.Signature().Results()
	last := results.Len() - 1
	switch {
	case last < 0:
	case e.Try || e.Makes && ofGalloc(f):
		if !e.Try && !resultUsed(c, 0) && last > 0 {
			return // the call is expected to fail: nothing uses the memory
		}
		if isError(results.At(last).Type()) && !resultUsed(c, last) {
			r.Report(analysis.Diagnostic{
				Pos:            c.Pos(),
				Message:        "the error of " + flow.Short(c.Common()) + " is not looked at",
				SuggestedFixes: errorFix(p, c, f),
			})
		}
	}
	if e.NilFails && last == 0 && c.Value() != nil {
		if at := unguarded(p, c.Value()); at.IsValid() {
			r.Report(analysis.Diagnostic{
				Pos:            c.Pos(),
				Message:        flow.Short(c.Common()) + " returns nil if memory is exhausted, which is not looked at",
				SuggestedFixes: nilFix(p, c),
			})
		}
	}
}

func ofGalloc(f *types.Func) bool {
	s := f.Pkg().Path()
	return s == api.Root || strings.HasPrefix(s, api.Root+"/")
}

func isError(t types.Type) bool {
	return types.Identical(t, types.Universe.Lookup("error").Type())
}

// resultUsed reports whether a result of a call is used.
func resultUsed(c ssa.CallInstruction, i int) bool {
	v := c.Value()
	if v == nil { // go or defer
		return false
	}
	if _, tuple := v.Type().(*types.Tuple); !tuple {
		return used(v)
	}
	for _, in := range *v.Referrers() {
		if x, ok := in.(*ssa.Extract); !ok || x.Index == i && used(x) {
			return true
		}
	}
	return false
}

func used(v ssa.Value) bool {
	for _, in := range *v.Referrers() {
		if _, ok := in.(*ssa.DebugRef); !ok {
			return true
		}
	}
	return false
}

// unguarded returns the place where the memory at v is read or written, if v is nowhere compared
// with nil, returned, stored or handed to a function that could do that.
func unguarded(p *flow.Package, v ssa.Value) token.Pos {
	var at token.Pos
	seen := map[ssa.Value]bool{}
	var visit func(ssa.Value) bool // false: guarded, or out of sight
	visit = func(v ssa.Value) bool {
		if seen[v] || v.Referrers() == nil {
			return true
		}
		seen[v] = true
		for _, in := range *v.Referrers() {
			switch x := in.(type) {
			case *ssa.BinOp, *ssa.Return, *ssa.MakeInterface, *ssa.MakeClosure, *ssa.Phi, *ssa.Send, *ssa.MapUpdate:
				return false
			case *ssa.Store:
				if x.Val == v {
					return false
				}
				at = v.Pos()
			case *ssa.UnOp, *ssa.IndexAddr:
				at = v.Pos()
			case *ssa.FieldAddr:
				at = v.Pos()
			case *ssa.Convert:
				if !visit(x) {
					return false
				}
			case *ssa.ChangeType:
				if !visit(x) {
					return false
				}
			case ssa.CallInstruction:
				if b, ok := x.Common().Value.(*ssa.Builtin); ok {
					if b.Name() == "Slice" || b.Name() == "Add" {
						at = v.Pos()
					}
					continue
				}
				// To free nil does not look at it.
				if e, ok := p.Effect(x.Common()); !ok || e.Makes || e.Ends < 0 {
					return false
				}
			}
		}
		return true
	}
	if !visit(v) || !at.IsValid() && !dereferenced(v, seen) {
		return token.NoPos
	}
	if !at.IsValid() {
		at = v.Pos()
	}
	return at
}

// dereferenced reports whether any of the values is read or written through.
func dereferenced(_ ssa.Value, all map[ssa.Value]bool) bool {
	for v := range all {
		for _, in := range *v.Referrers() {
			switch x := in.(type) {
			case *ssa.Store:
				if x.Addr == v {
					return true
				}
			case *ssa.UnOp:
				if x.Op == token.MUL {
					return true
				}
			}
		}
	}
	return false
}
