package flow

import (
	"go/ast"
	"go/token"
	"go/types"
	"reflect"
	"strings"
)

// sources returns the files of the package and their types. Where cgo has put a call of C into a
// function literal, to check its arguments,
//
//	func() { _cgo0 := p; _cgoCheckPointer(_cgo0, nil); _Cfunc_free(_cgo0) }()
//
// the files are copies in which the call stands alone, so that it is followed like any other. The
// originals are shared with other analyzers.
func (p *Package) sources() ([]*ast.File, *types.Info) {
	if p.Pass.Pkg.Scope().Lookup("_cgoCheckPointer") == nil {
		return p.Pass.Files, p.Pass.TypesInfo
	}
	c := copier{}
	var files []*ast.File
	for _, f := range p.Pass.Files {
		files = append(files, c.copy(reflect.ValueOf(f)).Interface().(*ast.File))
	}
	from := p.Pass.TypesInfo
	info := &types.Info{
		Types:        keys(c, from.Types),
		Instances:    keys(c, from.Instances),
		Defs:         keys(c, from.Defs),
		Uses:         keys(c, from.Uses),
		Implicits:    keys(c, from.Implicits),
		Selections:   keys(c, from.Selections),
		Scopes:       keys(c, from.Scopes),
		FileVersions: keys(c, from.FileVersions),
		InitOrder:    nil,
	}
	for _, i := range from.InitOrder {
		info.InitOrder = append(info.InitOrder, &types.Initializer{Lhs: i.Lhs, Rhs: of(c, i.Rhs)})
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				unwrap(call)
			}
			return true
		})
	}
	return files, info
}

// A copier copies syntax trees. It maps each node to its copy.
type copier map[any]reflect.Value

func (c copier) copy(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		if t := v.Type().String(); t == "*ast.Object" || t == "*ast.Scope" {
			return v // deprecated, and not used
		}
		if w, ok := c[v.Interface()]; ok {
			return w
		}
		w := reflect.New(v.Elem().Type())
		c[v.Interface()] = w
		w.Elem().Set(c.copy(v.Elem()))
		return w
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		return c.copy(v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		w := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			w.Index(i).Set(c.copy(v.Index(i)))
		}
		return w
	case reflect.Struct:
		w := reflect.New(v.Type()).Elem()
		w.Set(v)
		for i := range v.NumField() {
			if w.Field(i).CanSet() {
				w.Field(i).Set(c.copy(v.Field(i)))
			}
		}
		return w
	}
	return v
}

// of returns the copy of a node, or the node if it has none.
func of[N ast.Node](c copier, n N) N {
	if w, ok := c[any(n)]; ok {
		return w.Interface().(N)
	}
	return n
}

// keys returns the map with copies as its keys.
func keys[N interface {
	ast.Node
	comparable
}, V any](c copier, m map[N]V) map[N]V {
	if m == nil {
		return nil
	}
	to := make(map[N]V, len(m))
	for n, v := range m {
		to[of(c, n)] = v
	}
	return to
}

// unwrap replaces the call of a function literal that cgo has made by the call in it.
func unwrap(call *ast.CallExpr) {
	f, ok := ast.Unparen(call.Fun).(*ast.FuncLit)
	if !ok || len(call.Args) != 0 {
		return
	}
	values := map[string]ast.Expr{}
	var inner *ast.CallExpr
	for i, s := range f.Body.List {
		last := i == len(f.Body.List)-1
		switch s := s.(type) {
		case *ast.AssignStmt:
			id, ok := s.Lhs[0].(*ast.Ident)
			if !ok || s.Tok != token.DEFINE || len(s.Lhs) != 1 || !strings.HasPrefix(id.Name, "_cgo") {
				return
			}
			values[id.Name] = s.Rhs[0]
		case *ast.DeclStmt: // var _cgo0 T = x
			g, ok := s.Decl.(*ast.GenDecl)
			if !ok || len(g.Specs) != 1 {
				return
			}
			v, ok := g.Specs[0].(*ast.ValueSpec)
			if !ok || len(v.Names) != 1 || len(v.Values) != 1 || !strings.HasPrefix(v.Names[0].Name, "_cgo") {
				return
			}
			values[v.Names[0].Name] = v.Values[0]
		case *ast.ExprStmt:
			if c, ok := s.X.(*ast.CallExpr); ok && last {
				inner = c
			}
		case *ast.ReturnStmt:
			if len(s.Results) == 1 && last {
				inner, _ = ast.Unparen(s.Results[0]).(*ast.CallExpr)
			}
		default:
			return
		}
	}
	if inner == nil || len(values) == 0 {
		return
	}
	args := make([]ast.Expr, len(inner.Args))
	for i, a := range inner.Args {
		args[i] = a
		if id, ok := a.(*ast.Ident); ok && values[id.Name] != nil {
			args[i] = values[id.Name]
			delete(values, id.Name)
		}
	}
	if len(values) > 0 {
		return // used otherwise
	}
	*call = *inner
	call.Args = args
}
