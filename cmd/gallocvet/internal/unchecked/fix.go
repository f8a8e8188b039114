package unchecked

import (
	"go/ast"
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// errorFix returns the fix of a call whose error is not looked at: the method without Try, which
// ends the program if memory runs out, or galloc.Must.
func errorFix(p *flow.Package, c ssa.CallInstruction, f *types.Func) []analysis.SuggestedFix {
	stmt, call := statement(p, c.Pos())
	if call == nil {
		return nil
	}
	var lhs []ast.Expr
	assign, ok := stmt.(*ast.AssignStmt)
	if ok && len(assign.Rhs) == 1 && ast.Unparen(assign.Rhs[0]) == call {
		lhs = assign.Lhs
	} else if s, ok := stmt.(*ast.ExprStmt); !ok || ast.Unparen(s.X) != call {
		return nil
	}
	if name, ok := strings.CutPrefix(f.Name(), "Try"); ok {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !hasTwin(f, name) {
			return nil
		}
		fix := analysis.SuggestedFix{
			Message:   "call " + name + ", which ends the program if memory runs out",
			TextEdits: []analysis.TextEdit{{Pos: sel.Sel.Pos(), End: sel.Sel.End(), NewText: []byte(name)}},
		}
		switch len(lhs) {
		case 0:
			return []analysis.SuggestedFix{fix}
		case 1: // _ = v.TryPush(x)
			if assign.Tok != token.ASSIGN {
				return nil
			}
			fix.TextEdits = append([]analysis.TextEdit{{Pos: assign.Pos(), End: call.Pos()}}, fix.TextEdits...)
		default: // put, _ := m.TryPutIfAbsent(k, v)
			fix.TextEdits = append([]analysis.TextEdit{{Pos: lhs[len(lhs)-2].End(), End: lhs[len(lhs)-1].End()}}, fix.TextEdits...)
			if allBlank(lhs[:len(lhs)-1]) {
				return nil
			}
		}
		return []analysis.SuggestedFix{fix}
	}
	name := imported(p, call.Pos())
	if name == "" || len(lhs) != 2 || f.Signature().Results().Len() != 2 {
		return nil
	}
	return []analysis.SuggestedFix{{
		Message: "call Must, which panics if memory runs out",
		TextEdits: []analysis.TextEdit{
			{Pos: lhs[0].End(), End: lhs[1].End()},
			{Pos: call.Pos(), End: call.Pos(), NewText: []byte(name + ".Must(")},
			{Pos: call.End(), End: call.End(), NewText: []byte(")")},
		},
	}}
}

func allBlank(all []ast.Expr) bool {
	for _, e := range all {
		if id, ok := e.(*ast.Ident); !ok || id.Name != "_" {
			return false
		}
	}
	return true
}

// hasTwin reports whether the type that has method f has a method of that name, with the same
// results but the error.
func hasTwin(f *types.Func, name string) bool {
	recv := f.Signature().Recv()
	if recv == nil {
		return false
	}
	o, _, _ := types.LookupFieldOrMethod(recv.Type(), true, f.Pkg(), name)
	twin, ok := o.(*types.Func)
	return ok && twin.Signature().Results().Len() == f.Signature().Results().Len()-1
}

// nilFix returns the fix of a call that may return nil: a test after the statement.
func nilFix(p *flow.Package, c ssa.CallInstruction) []analysis.SuggestedFix {
	stmt, call := statement(p, c.Pos())
	assign, ok := stmt.(*ast.AssignStmt)
	if !ok || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 || ast.Unparen(assign.Rhs[0]) != call || len(call.Args) != 1 {
		return nil
	}
	v, ok := assign.Lhs[0].(*ast.Ident)
	l, ok2 := call.Args[0].(*ast.Ident)
	name := imported(p, call.Pos())
	if !ok || !ok2 || name == "" || v.Name == "_" {
		return nil
	}
	return []analysis.SuggestedFix{{
		Message: "end the program if memory runs out",
		TextEdits: []analysis.TextEdit{{
			Pos: stmt.End(), End: stmt.End(),
			NewText: []byte("\nif " + v.Name + " == nil {\n\t" + name + ".HandleAllocError(" + l.Name + ")\n}"),
		}},
	}}
}

// statement returns the innermost statement that a call at a place is in, and the call.
func statement(p *flow.Package, pos token.Pos) (stmt ast.Stmt, call *ast.CallExpr) {
	f := report.File(p.Pass, pos)
	if f == nil {
		return nil, nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if n == nil || call != nil || pos < n.Pos() || pos >= n.End() {
			return false
		}
		switch n := n.(type) {
		case ast.Stmt:
			stmt = n
		case *ast.CallExpr:
			if n.Lparen == pos {
				call = n
			}
		}
		return true
	})
	return stmt, call
}

// imported returns the name of package galloc in the file of a place, or "".
func imported(p *flow.Package, pos token.Pos) string {
	f := report.File(p.Pass, pos)
	for _, spec := range f.Imports {
		if name := p.Pass.TypesInfo.PkgNameOf(spec); name != nil && name.Imported().Path() == api.Root && name.Name() != "_" && name.Name() != "." {
			return name.Name()
		}
	}
	return ""
}
