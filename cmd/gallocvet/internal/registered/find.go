package registered

import (
	"go/token"
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// A registration is a type that a package registers, or selects.
type registration struct {
	pos    token.Pos
	t      types.Type // or nil
	global string     // how the allocator is made of galloc.Global, or ""
}

func (r registration) name() string {
	t := r.t
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

// registrations returns what the package registers.
func (c *bodies) registrations() (all []registration) {
	for _, f := range c.functions() {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				switch x := in.(type) {
				case *ssa.Call:
					if g := flow.Callee(&x.Call); g != nil && flow.IsRegister(g) && len(x.Call.Args) == 1 {
						all = append(all, c.resolve(x.Pos(), x.Call.Args[0], 0)...)
					}
				case *ssa.Store: // New of a Selection
					a, ok := x.Addr.(*ssa.FieldAddr)
					if !ok || !api.IsNamed(a.X.Type(), "Selection") || a.Field != 1 {
						continue
					}
					for _, v := range results(x.Val) {
						pos := x.Pos()
						if v.Pos().IsValid() {
							pos = v.Pos()
						}
						all = append(all, c.resolve(pos, v, 0)...)
					}
				}
			}
		}
	}
	return all
}

// results returns the first results of a function value.
func results(v ssa.Value) (all []ssa.Value) {
	switch x := v.(type) {
	case *ssa.ChangeType:
		return results(x.X)
	case *ssa.MakeClosure:
		return results(x.Fn)
	case *ssa.Function:
		for _, b := range x.Blocks {
			if r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return); ok && len(r.Results) > 0 {
				all = append(all, r.Results[0])
			}
		}
	}
	return all
}

// resolve returns the types that an allocator is, or is made of.
func (c *bodies) resolve(pos token.Pos, v ssa.Value, depth int) (all []registration) {
	if depth > 6 {
		return nil
	}
	switch x := v.(type) {
	case *ssa.MakeInterface:
		return c.resolveValue(pos, x.X, depth)
	case *ssa.ChangeInterface:
		return c.resolve(pos, x.X, depth+1)
	case *ssa.Phi:
		for _, e := range x.Edges {
			all = append(all, c.resolve(pos, e, depth+1)...)
		}
	case *ssa.Extract:
		return c.resolve(pos, x.Tuple, depth+1)
	case *ssa.Call:
		return c.resolveCall(pos, x, depth)
	case *ssa.UnOp:
		if x.Op != token.MUL {
			return nil
		}
		for _, st := range c.stores(x.X) {
			all = append(all, c.resolve(pos, st.Val, depth+1)...)
		}
	}
	return all
}

// resolveValue is resolve of a value in an interface.
func (c *bodies) resolveValue(pos token.Pos, v ssa.Value, depth int) (all []registration) {
	t := types.Unalias(v.Type())
	if api.IsNamed(t, "GlobalAllocator") {
		return []registration{{pos: pos, global: "galloc.Global itself"}}
	}
	n := t
	if p, ok := t.(*types.Pointer); ok {
		n = types.Unalias(p.Elem())
	}
	if named, ok := n.(*types.Named); ok {
		if named.Obj().Pkg() != nil && api.Own(named.Obj().Pkg()) {
			call, _ := v.(*ssa.Call)
			if e, ok := v.(*ssa.Extract); ok {
				call, _ = e.Tuple.(*ssa.Call)
			}
			if u, ok := v.(*ssa.UnOp); ok { // a variable
				for _, st := range c.stores(u.X) {
					all = append(all, c.resolveValue(pos, st.Val, depth+1)...)
				}
			}
			if call != nil {
				all = append(all, c.resolveCall(pos, call, depth+1)...)
			}
			return all
		}
		r := registration{pos: pos, t: t}
		r.global = c.madeOfGlobal(v, 0)
		return []registration{r}
	}
	return nil
}

// resolveCall is resolve of the result of a call.
func (c *bodies) resolveCall(pos token.Pos, call *ssa.Call, depth int) (all []registration) {
	f := flow.Callee(&call.Call)
	if f == nil || depth > 6 {
		return nil
	}
	if f.Pkg() != nil && api.Own(f.Pkg()) {
		for i, a := range call.Call.Args {
			if i < f.Signature().Params().Len() && isNil(a) && api.IsNamed(f.Signature().Params().At(i).Type(), "Allocator") {
				all = append(all, registration{pos: pos, global: "nil is galloc.Global for " + flow.Short(&call.Call)})
			}
			all = append(all, c.resolve(pos, a, depth+1)...)
		}
		return all
	}
	if g := call.Call.StaticCallee(); g != nil && g.Blocks != nil {
		for _, v := range results(g) {
			all = append(all, c.resolve(pos, v, depth+1)...)
		}
	}
	if how := c.argumentGlobal(call); how != "" {
		all = append(all, registration{pos: pos, global: how})
	}
	return all
}

func isNil(v ssa.Value) bool {
	k, ok := v.(*ssa.Const)
	return ok && k.IsNil()
}

// isGlobal reports whether a value is galloc.Global in an interface.
func isGlobal(v ssa.Value) bool {
	for {
		switch x := v.(type) {
		case *ssa.MakeInterface:
			return api.IsNamed(x.X.Type(), "GlobalAllocator")
		case *ssa.ChangeInterface:
			v = x.X
		default:
			return false
		}
	}
}

// argumentGlobal describes an argument of a call that is galloc.Global.
func (c *bodies) argumentGlobal(call *ssa.Call) string {
	for _, a := range call.Call.Args {
		if isGlobal(a) {
			return "an argument of " + flow.Short(&call.Call) + " at " + c.p.Where(call)
		}
	}
	return ""
}

// madeOfGlobal describes how a struct is made of galloc.Global, or returns "".
func (c *bodies) madeOfGlobal(v ssa.Value, depth int) string {
	if depth > 4 {
		return ""
	}
	switch x := v.(type) {
	case *ssa.Call:
		if how := c.argumentGlobal(x); how != "" {
			return how
		}
		if g := x.Call.StaticCallee(); g != nil {
			for _, r := range results(g) {
				if how := c.madeOfGlobal(r, depth+1); how != "" {
					return how
				}
			}
		}
	case *ssa.Extract:
		return c.madeOfGlobal(x.Tuple, depth+1)
	case *ssa.MakeInterface:
		return c.madeOfGlobal(x.X, depth+1)
	case *ssa.UnOp:
		if x.Op != token.MUL {
			return ""
		}
		if how := c.madeOfGlobal(x.X, depth+1); how != "" {
			return how
		}
		for _, st := range c.stores(x.X) {
			if how := c.madeOfGlobal(st.Val, depth+1); how != "" {
				return how
			}
		}
	case *ssa.Alloc:
		return c.fieldsGlobal(x, *x.Referrers())
	case *ssa.Global:
		return c.fieldsGlobal(x, c.refs[x])
	}
	return ""
}

// fieldsGlobal looks at the fields of a struct that is a variable.
func (c *bodies) fieldsGlobal(v ssa.Value, referrers []ssa.Instruction) string {
	for _, in := range referrers {
		f, ok := in.(*ssa.FieldAddr)
		if !ok || f.X != v {
			continue
		}
		for _, in := range *f.Referrers() {
			st, ok := in.(*ssa.Store)
			if !ok || st.Addr != f {
				continue
			}
			if isGlobal(st.Val) {
				return "a field is galloc.Global at " + c.p.Where(st)
			}
			// The methods of a field that is not an interface are seen where they are called.
			if how := c.onGlobal(st.Val); how != "" && types.IsInterface(st.Val.Type()) {
				return "a field is " + how + " at " + c.p.Where(st)
			}
		}
	}
	return ""
}

// onGlobal describes a source or wrapper of galloc that takes its memory from galloc.Global.
func (c *bodies) onGlobal(v ssa.Value) string {
	for range 10 {
		switch x := v.(type) {
		case *ssa.MakeInterface:
			v = x.X
			continue
		case *ssa.ChangeInterface:
			v = x.X
			continue
		case *ssa.Extract:
			v = x.Tuple
			continue
		case *ssa.Call:
			f := flow.Callee(&x.Call)
			if f == nil || f.Pkg() == nil {
				return ""
			}
			if api.Name(f) == api.Root+".Must" {
				v = x.Call.Args[0]
				continue
			}
			if !api.Own(f.Pkg()) {
				return ""
			}
			for i, a := range x.Call.Args {
				if i >= f.Signature().Params().Len() || !api.IsNamed(f.Signature().Params().At(i).Type(), "Allocator") {
					continue
				}
				if isNil(a) || isGlobal(a) {
					return "made by " + flow.Short(&x.Call) + " on galloc.Global"
				}
				if how := c.onGlobal(a); how != "" {
					return how
				}
			}
		}
		return ""
	}
	return ""
}
