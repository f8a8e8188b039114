package samelayout

import (
	"go/token"
	"go/types"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// effects returns the Effects of a function that is not one of galloc's, or nil.
func (c *checker) effects(f *types.Func, fn *ssa.Function) *Effects {
	if _, ok := c.p.Table.Find(f); ok {
		return nil
	}
	if fn != nil {
		if o := fn.Origin(); o != nil {
			fn = o
		}
		if e := c.own[fn]; e != nil {
			return e
		}
	}
	e := new(Effects)
	if f.Pkg() != nil && f.Pkg() != c.pass.Pkg && c.pass.ImportObjectFact(f.Origin(), e) {
		return e
	}
	return nil
}

// summarize finds the Effects of all functions, and exports them.
func (c *checker) summarize() {
	for range 3 {
		changed := false
		for _, f := range c.p.Funcs {
			e := c.effectsOf(f)
			old := c.own[f]
			if e == nil || old != nil && len(e.Ends) == len(old.Ends) && e.Made.known() == old.Made.known() && e.Returns.known() == old.Returns.known() {
				continue
			}
			c.own[f] = e
			changed = true
		}
		if !changed {
			break
		}
	}
	for f, e := range c.own {
		if o, ok := f.Object().(*types.Func); ok && f.Parent() == nil {
			c.pass.ExportObjectFact(o, e)
		}
	}
}

func (c *checker) effectsOf(f *ssa.Function) *Effects {
	e := new(Effects)
	if f.Signature.Results().Len() > 0 {
		if api.IsNamed(f.Signature.Results().At(0).Type(), "Layout") {
			e.Returns = result(f, func(v ssa.Value) []Shape { return []Shape{c.layout(v)} })
		} else {
			e.Made = result(f, func(v ssa.Value) (all []Shape) {
				blocks, inside := c.blocks(v, 0)
				for _, b := range blocks {
					if !inside && !resized(v) && b.by != nil {
						all = append(all, b.shape)
					}
				}
				return all
			})
		}
	}
	if f.Parent() == nil {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if call, ok := in.(ssa.CallInstruction); ok {
					for _, x := range c.ends(call.Common()) {
						if i := param(f, flow.Args(call.Common())[x.arg]); i >= 0 && x.shape.known() && !x.shape.local() {
							e.Ends = append(e.Ends, End{i, x.shape})
						}
					}
				}
			}
		}
	}
	if !e.Made.known() && !e.Returns.known() && e.Ends == nil {
		return nil
	}
	return e
}

// result returns the Shape that all results of a function have, except nil.
func result(f *ssa.Function, of func(ssa.Value) []Shape) Shape {
	var all []Shape
	for _, b := range f.Blocks {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		if !ok {
			continue
		}
		if k, ok := r.Results[0].(*ssa.Const); ok && (k.IsNil() || k.Value == nil && len(r.Results) > 1) {
			continue
		}
		s := of(r.Results[0])
		if len(s) == 0 {
			return Shape{}
		}
		all = append(all, s...)
	}
	for _, s := range all {
		if s.local() || !s.equal(all[0]) {
			return Shape{}
		}
	}
	if len(all) == 0 {
		return Shape{}
	}
	return all[0]
}

// param returns the index of the parameter that v is, or -1.
func param(f *ssa.Function, v ssa.Value) int {
	for range maxDepth {
		switch x := v.(type) {
		case *ssa.Convert:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.Parameter:
			return slices.Index(f.Params, x)
		default:
			return -1
		}
	}
	return -1
}

// functions are all functions of the package, and the one that sets its variables.
func (c *checker) functions() []*ssa.Function {
	all := c.p.Funcs
	if init := c.p.SSA.Func("init"); init != nil {
		all = append(slices.Clip(all), init)
	}
	return all
}

// findGlobals evaluates the package variables that are Layouts and are set once.
func (c *checker) findGlobals() {
	stores := map[*ssa.Global][]*ssa.Store{}
	for _, f := range c.functions() {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if st, ok := in.(*ssa.Store); ok {
					if g, ok := st.Addr.(*ssa.Global); ok {
						stores[g] = append(stores[g], st)
					}
					continue
				}
				for _, v := range in.Operands(nil) { // &g
					if g, ok := (*v).(*ssa.Global); ok {
						if _, load := in.(*ssa.UnOp); !load {
							stores[g] = append(stores[g], nil, nil)
						}
					}
				}
			}
		}
	}
	for g, all := range stores {
		if len(all) != 1 || all[0] == nil || !api.IsNamed(all[0].Val.Type(), "Layout") {
			continue
		}
		if s := c.layout(all[0].Val); s.known() && !s.local() {
			c.globals[g] = s
			c.pass.ExportObjectFact(g.Object(), &Value{s})
		}
	}
}

// global returns the value of a package variable.
func (c *checker) global(g *ssa.Global) Shape {
	if s, ok := c.globals[g]; ok {
		return s
	}
	var v Value
	if o := g.Object(); o != nil && o.Pkg() != c.pass.Pkg && c.pass.ImportObjectFact(o, &v) {
		return v.Shape
	}
	return Shape{}
}

// place returns the field or the package variable that an address is of, if only this package can
// set it, or nil.
func (c *checker) place(addr ssa.Value) types.Object {
	switch x := addr.(type) {
	case *ssa.FieldAddr:
		s, ok := types.Unalias(x.X.Type()).Underlying().(*types.Pointer).Elem().Underlying().(*types.Struct)
		if !ok {
			return nil
		}
		if f := s.Field(x.Field); f.Pkg() == c.pass.Pkg && (!f.Exported() || f.Pkg().Name() == "main") {
			return f.Origin()
		}
	case *ssa.Global:
		if o := x.Object(); o != nil && o.Pkg() == c.pass.Pkg && (!o.Exported() || o.Pkg().Name() == "main") {
			return o
		}
	}
	return nil
}

// findPlaces finds the blocks that are stored in fields and package variables.
func (c *checker) findPlaces() map[types.Object][]block {
	found := map[types.Object][]block{}
	unknown := map[types.Object]bool{}
	for _, f := range c.functions() {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				switch x := in.(type) {
				case *ssa.Store:
					o := c.place(x.Addr)
					if o == nil {
						continue
					}
					if k, ok := x.Val.(*ssa.Const); ok && k.IsNil() {
						continue
					}
					if u, ok := x.Val.(*ssa.UnOp); ok && u.Op == token.MUL && c.place(u.X) == o {
						continue // from the same field of another value
					}
					all, inside := c.blocks(x.Val, 0)
					if len(all) == 0 || inside || resized(x.Val) {
						unknown[o] = true
					}
					for _, b := range all {
						if b.shape.local() || hasParams(b.shape) {
							unknown[o] = true
						}
						b.place = "the memory of " + o.Name()
						if b.by != nil {
							b.place = flow.Short(&b.by.Call) + " at " + c.p.Where(b.by)
							b.by = nil
						}
						found[o] = append(found[o], b)
					}
				case *ssa.FieldAddr:
					if o := c.place(x); o != nil && addressed(x) {
						unknown[o] = true
					}
				}
			}
		}
	}
	for o := range unknown {
		delete(found, o)
	}
	return found
}

func hasParams(s Shape) bool {
	_, size := s.Size.isConst()
	_, align := s.Align.isConst()
	return !size || !align
}

// addressed reports whether the address of a field is used other than to load or store it.
func addressed(x *ssa.FieldAddr) bool {
	for _, in := range *x.Referrers() {
		switch y := in.(type) {
		case *ssa.UnOp, *ssa.DebugRef:
		case *ssa.Store:
			if y.Addr != x {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// kept returns the blocks that are stored at an address.
func (c *checker) kept(addr ssa.Value) []block {
	if o := c.place(addr); o != nil {
		return c.places[o]
	}
	return nil
}
