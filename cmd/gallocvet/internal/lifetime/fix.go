package lifetime

import (
	"go/ast"
	"go/token"
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// deferFree returns the fix of memory that is freed nowhere and does not escape: a deferred call
// after the statement that makes it, or after the test of its error. variable means that the memory
// belongs to a collection, declared at pos.
func (c *checker) deferFree(in ssa.Instruction, variable bool, pos token.Pos) []analysis.SuggestedFix {
	file := report.File(c.p.Pass, pos)
	if file == nil {
		return nil
	}
	list, i := enclosing(file, pos)
	if i < 0 {
		return nil
	}
	at, text := list[i].End(), ""
	if variable {
		d, ok := list[i].(*ast.DeclStmt)
		if !ok {
			return nil
		}
		g, ok := d.Decl.(*ast.GenDecl)
		if !ok || len(g.Specs) != 1 {
			return nil
		}
		s, ok := g.Specs[0].(*ast.ValueSpec)
		if !ok || len(s.Names) != 1 {
			return nil
		}
		text = s.Names[0].Name + ".Free()"
	} else {
		call, ok := in.(*ssa.Call)
		if !ok {
			return nil
		}
		if text = c.freeing(call, list[i]); text == "" {
			return nil
		}
		if a := list[i].(*ast.AssignStmt); len(a.Lhs) == 2 { // its error is tested next
			if i+1 >= len(list) || !tests(list[i+1], a.Lhs[1]) {
				return nil
			}
			at = list[i+1].End()
		}
	}
	return []analysis.SuggestedFix{{
		Message:   "free the memory at the return",
		TextEdits: []analysis.TextEdit{{Pos: at, End: at, NewText: []byte("\ndefer " + text)}},
	}}
}

// freeing returns the call that frees what a statement makes, or "".
func (c *checker) freeing(call *ssa.Call, stmt ast.Stmt) string {
	f := flow.Callee(&call.Call)
	a, ok := stmt.(*ast.AssignStmt)
	if f == nil || !ok || a.Tok != token.DEFINE || len(a.Rhs) != 1 {
		return ""
	}
	v, ok := a.Lhs[0].(*ast.Ident)
	if !ok || v.Name == "_" {
		return ""
	}
	made, ok := ast.Unparen(a.Rhs[0]).(*ast.CallExpr)
	if !ok {
		return ""
	}
	if made.Lparen != call.Pos() { // galloc.Must(galloc.New[T](a))
		if len(made.Args) != 1 || len(a.Lhs) != 1 {
			return ""
		}
		if made, ok = ast.Unparen(made.Args[0]).(*ast.CallExpr); !ok || made.Lparen != call.Pos() {
			return ""
		}
	}
	if len(made.Args) == 0 {
		return ""
	}
	name := packageName(made)
	switch api.Name(f) {
	case api.Root + ".New", api.Root + ".NewUninit":
		return name + ".Free(" + types.ExprString(made.Args[0]) + ", " + v.Name + ")"
	case api.Root + ".MakeSlice", api.Root + ".MakeSliceCap":
		return name + ".FreeSlice(" + types.ExprString(made.Args[0]) + ", " + v.Name + ")"
	}
	if f.Pkg() != nil && api.IsOwn(f.Pkg(), "collections") && f.Signature().Recv() == nil {
		if _, pointer := f.Signature().Results().At(0).Type().(*types.Pointer); pointer {
			return v.Name + ".Free()"
		}
	}
	return ""
}

// packageName returns the name before the dot of the called function, as in galloc.New[T](nil).
func packageName(call *ast.CallExpr) string {
	f := call.Fun
	switch x := f.(type) {
	case *ast.IndexExpr:
		f = x.X
	case *ast.IndexListExpr:
		f = x.X
	}
	if s, ok := f.(*ast.SelectorExpr); ok {
		return types.ExprString(s.X)
	}
	return ""
}

// tests reports whether a statement returns if an error is not nil.
func tests(stmt ast.Stmt, err ast.Expr) bool {
	s, ok := stmt.(*ast.IfStmt)
	if !ok || s.Init != nil || s.Else != nil || len(s.Body.List) == 0 {
		return false
	}
	cond, ok := s.Cond.(*ast.BinaryExpr)
	if !ok || cond.Op != token.NEQ || types.ExprString(cond.X) != types.ExprString(err) {
		return false
	}
	_, ok = s.Body.List[len(s.Body.List)-1].(*ast.ReturnStmt)
	return ok
}

// enclosing returns the list of statements of a function's body that pos is in, and the index. It
// returns -1 if pos is in a loop, or in a statement of another form.
func enclosing(file *ast.File, pos token.Pos) (list []ast.Stmt, index int) {
	index = -1
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil || pos < n.Pos() || pos >= n.End() {
			return false
		}
		var all []ast.Stmt
		switch n := n.(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			list, index = nil, -1
			return false
		case *ast.FuncLit:
			list, index = nil, -1
		case *ast.BlockStmt:
			all = n.List
		case *ast.CaseClause, *ast.CommClause:
			list, index = nil, -1
			return false
		}
		for i, s := range all {
			if s.Pos() <= pos && pos < s.End() {
				list, index = all, i
			}
		}
		return true
	})
	return list, index
}

// cloneFix returns the fix of a returned []byte that a deferred call ends: bytes.Clone.
func (c *checker) cloneFix(ret *ssa.Return, s *flow.State) []analysis.SuggestedFix {
	file := report.File(c.p.Pass, ret.Pos())
	if file == nil {
		return nil
	}
	name := ""
	for _, spec := range file.Imports {
		if p := c.p.Pass.TypesInfo.PkgNameOf(spec); p != nil && p.Imported().Path() == "bytes" && p.Name() != "_" && p.Name() != "." {
			name = p.Name()
		}
	}
	if name == "" {
		return nil
	}
	var fixes []analysis.SuggestedFix
	ast.Inspect(file, func(n ast.Node) bool {
		r, ok := n.(*ast.ReturnStmt)
		if !ok || r.Return != ret.Pos() || len(r.Results) != len(ret.Results) {
			return true
		}
		for i, v := range ret.Results {
			if !s.Has(v) {
				continue
			}
			b, ok := v.Type().Underlying().(*types.Slice)
			if !ok || !types.Identical(b.Elem(), types.Typ[types.Byte]) {
				fixes = nil
				return false
			}
			e := r.Results[i]
			fixes = []analysis.SuggestedFix{{
				Message: "return a copy",
				TextEdits: []analysis.TextEdit{
					{Pos: e.Pos(), End: e.Pos(), NewText: []byte(name + ".Clone(")},
					{Pos: e.End(), End: e.End(), NewText: []byte(")")},
				},
			}}
		}
		return true
	})
	return fixes
}
