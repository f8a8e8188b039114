package copied

import (
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// owners knows the types whose values must not be copied after their first use.
type owners struct {
	pass  *analysis.Pass
	known map[types.Type]*types.Named // the owner in values of the type, or nil
	state map[*types.TypeName]bool    // allocators of this package with methods that change them
}

func newOwners(pass *analysis.Pass, p *flow.Package) *owners {
	o := &owners{pass, map[types.Type]*types.Named{}, map[*types.TypeName]bool{}}
	for _, f := range p.Funcs {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if x, ok := in.(*ssa.FieldAddr); ok && changed(x) {
					o.note(x)
				}
			}
		}
	}
	for t := range o.state {
		pass.ExportObjectFact(t, new(State))
	}
	return o
}

// note notes that a field of an allocator is changed, by one of its methods.
func (o *owners) note(x *ssa.FieldAddr) {
	t := types.Unalias(types.Unalias(x.X.Type()).Underlying().(*types.Pointer).Elem())
	n, ok := t.(*types.Named)
	if !ok || n.Obj().Pkg() != o.pass.Pkg || !api.IsAllocator(n) {
		return
	}
	f := x.Parent()
	for f.Parent() != nil {
		f = f.Parent()
	}
	if r := f.Signature.Recv(); r != nil && types.Identical(types.Unalias(r.Type()), types.NewPointer(n)) {
		o.state[n.Origin().Obj()] = true
	}
}

// changed reports whether what is at an address may be changed.
func changed(addr ssa.Value) bool {
	for _, in := range *addr.Referrers() {
		switch x := in.(type) {
		case *ssa.Store:
			if x.Addr == addr {
				return true
			}
		case ssa.CallInstruction:
			return true
		case *ssa.FieldAddr:
			if changed(x) {
				return true
			}
		case *ssa.IndexAddr:
			if changed(x) {
				return true
			}
		}
	}
	return false
}

// holds returns the first owner in values of type t, or nil.
func (o *owners) holds(t types.Type) *types.Named {
	if n, ok := o.known[t]; ok {
		return n
	}
	o.known[t] = nil // ends a recursion
	n := o.find(t)
	o.known[t] = n
	return n
}

func (o *owners) find(t types.Type) *types.Named {
	if n, ok := types.Unalias(t).(*types.Named); ok && (api.IsCollection(n) || o.stateful(n) || marked(n)) {
		return n
	}
	if _, param := types.Unalias(t).(*types.TypeParam); param {
		return nil
	}
	switch u := t.Underlying().(type) {
	case *types.Array:
		if u.Len() > 0 {
			return o.holds(u.Elem())
		}
	case *types.Struct:
		for f := range u.Fields() {
			if n := o.holds(f.Type()); n != nil {
				return n
			}
		}
	}
	return nil
}

// stateful reports whether a type is an allocator with methods that change its fields.
func (o *owners) stateful(n *types.Named) bool {
	name := n.Origin().Obj()
	return o.state[name] || name.Pkg() != nil && name.Pkg() != o.pass.Pkg && o.pass.ImportObjectFact(name, new(State))
}

// marked reports whether a type has the mark of galloc's allocators that go vet knows too.
func marked(n *types.Named) bool {
	s, ok := n.Underlying().(*types.Struct)
	return ok && s.NumFields() > 0 && api.IsNoCopy(s.Field(0).Type())
}
