package repotest

import (
	"go/ast"
	"path"
	"strconv"
	"strings"
	"testing"
)

// isPublic reports whether programs can import the package in a folder.
func isPublic(f *file) bool {
	d := f.dir() + "/"
	return f.module == "" && !f.isTest() && f.syntax.Name.Name != "main" && !strings.Contains("/"+d, "/internal/") &&
		!strings.HasPrefix(d, "docs/") && !strings.HasPrefix(d, "examples/")
}

// The documentation of a public package shows no type, function or path of an internal package.
func TestDocumentationShowsNothingInternal(t *testing.T) {
	checked := 0
	for _, f := range goFiles(t) {
		if !isPublic(f) {
			continue
		}
		checked++
		internal := map[string]string{} // import paths by the name in the file
		for _, i := range f.syntax.Imports {
			p, _ := strconv.Unquote(i.Path.Value)
			if strings.Contains(p, "/internal/") {
				name := path.Base(p)
				if i.Name != nil {
					name = i.Name.Name
				}
				internal[name] = p
			}
		}
		report := func(n ast.Node, what string) {
			t.Errorf("%s: the documentation shows %s", f.set.Position(n.Pos()), what)
		}
		if strings.Contains(f.syntax.Doc.Text(), "internal/") {
			report(f.syntax.Doc, "an internal path")
		}
		ast.FileExports(f.syntax)
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if fn.Body = nil; fn.Recv != nil && !ast.IsExported(receiver(fn)) {
					continue
				}
			}
			ast.Inspect(d, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && internal[x.Name] != "" {
						report(n, internal[x.Name]+"."+n.Sel.Name)
					}
				case *ast.CommentGroup:
					if strings.Contains(n.Text(), "internal/") {
						report(n, "an internal path")
					}
				case *ast.FuncLit:
					return false // a value is shown, but not its body
				}
				return true
			})
		}
	}
	if checked < 50 {
		t.Errorf("only %d files are of public packages", checked)
	}
}

// receiver returns the name of the type that a method belongs to.
func receiver(fn *ast.FuncDecl) (name string) {
	ast.Inspect(fn.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}
		return true
	})
	return name
}
