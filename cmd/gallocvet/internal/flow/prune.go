package flow

import (
	"go/ast"
	"go/types"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
)

// pruned returns the files of a dependency without the bodies of functions whose summaries cannot
// matter. The others mention a function that makes or ends memory, or one of the package that does,
// or are mentioned by one of these.
func (p *Package) pruned(files []*ast.File, info *types.Info) []*ast.File {
	mentions := map[*types.Func][]*types.Func{} // in the bodies of functions
	var keep []*types.Func
	for _, file := range files {
		for _, d := range file.Decls {
			d, ok := d.(*ast.FuncDecl)
			if !ok || d.Body == nil {
				continue
			}
			f, ok := info.Defs[d.Name].(*types.Func)
			if !ok {
				continue
			}
			found := false
			ast.Inspect(d.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					if g, ok := info.Uses[id].(*types.Func); ok {
						g = g.Origin()
						if g.Pkg() == p.Pass.Pkg {
							mentions[f] = append(mentions[f], g)
						}
						found = found || p.matters(g)
					}
				}
				return true
			})
			if found {
				keep = append(keep, f)
			}
		}
	}
	callers := map[*types.Func][]*types.Func{}
	for f, all := range mentions {
		for _, g := range all {
			callers[g] = append(callers[g], f)
		}
	}
	kept := closure(closure(keep, callers), mentions)
	has := map[*types.Func]bool{}
	for _, f := range kept {
		has[f] = true
	}
	var all []*ast.File
	for _, file := range files {
		c := *file
		c.Decls = nil
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if f, ok := info.Defs[fn.Name].(*types.Func); ok && !has[f] {
					short := *fn
					short.Body = nil
					d = &short
				}
			}
			c.Decls = append(c.Decls, d)
		}
		all = append(all, &c)
	}
	return all
}

// withoutData returns info without the initial values of package variables, which may be large
// tables, except those with functions in them.
func withoutData(info *types.Info) *types.Info {
	c := *info
	c.InitOrder = slices.DeleteFunc(slices.Clone(info.InitOrder), func(i *types.Initializer) bool {
		found := false
		ast.Inspect(i.Rhs, func(n ast.Node) bool {
			_, is := n.(*ast.FuncLit)
			found = found || is
			return !found
		})
		return !found
	})
	return &c
}

// closure returns the functions and all that next leads to.
func closure(from []*types.Func, next map[*types.Func][]*types.Func) []*types.Func {
	seen := map[*types.Func]bool{}
	for _, f := range from {
		seen[f] = true
	}
	all := append([]*types.Func(nil), from...)
	for i := 0; i < len(all); i++ {
		for _, g := range next[all[i]] {
			if !seen[g] {
				seen[g] = true
				all = append(all, g)
			}
		}
	}
	return all
}

// matters reports whether a function does more with memory than to borrow it, as far as is known
// before the package is summarized.
func (p *Package) matters(f *types.Func) bool {
	c, ok := p.Table.Find(f)
	if ok && (c.Matters() || c.Shows != api.None) || IsRegister(f) {
		return true
	}
	s := new(Summary)
	return f.Pkg() != p.Pass.Pkg && p.Pass.ImportObjectFact(f, s) && s.Matters()
}
