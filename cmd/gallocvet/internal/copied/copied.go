// Package copied has the rule copied, about values that own memory and are copied.
package copied

import (
	"fmt"
	"go/token"
	"go/types"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule copied.
var Analyzer = &analysis.Analyzer{
	Name:      "copied",
	Doc:       "report copies of collections, boxes and allocators after their first use",
	Requires:  []*analysis.Analyzer{flow.Analyzer},
	FactTypes: []analysis.Fact{new(State), new(Copies)},
	Run:       run,
}

// State is the fact of an allocator type with methods that change its fields.
type State struct{}

// AFact makes State a fact.
func (*State) AFact() {}

// Copies is the fact of a generic function that copies a value which it has not made.
type Copies struct {
	Params []int // the type parameters whose values it copies
}

// AFact makes Copies a fact.
func (*Copies) AFact() {}

type checker struct {
	*owners
	p      *flow.Package
	r      *report.Reporter
	copies map[*ssa.Function][]int
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil {
		return nil, err
	}
	c := &checker{newOwners(pass, p), p, report.New(pass, p.Table), map[*ssa.Function][]int{}}
	c.generic()
	for _, f := range p.Funcs {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				c.check(in)
			}
		}
	}
	return nil, nil
}

// check reports an instruction that copies a value which owns memory.
func (c *checker) check(in ssa.Instruction) {
	switch x := in.(type) {
	case *ssa.UnOp:
		if t := c.holds(x.Type()); x.Op == token.MUL && t != nil && copyOf(c, x) {
			c.report(x, t, "")
		}
	case *ssa.Lookup:
		if t := c.holds(x.Type()); t != nil && len(*x.Referrers()) > 0 {
			c.report(x, t, "")
		}
	case *ssa.Extract:
		switch x.Tuple.(type) {
		case *ssa.Lookup, *ssa.Next, *ssa.TypeAssert:
			if t := c.holds(x.Type()); t != nil && len(*x.Referrers()) > 0 {
				c.report(x, t, "")
			}
		}
	case *ssa.TypeAssert:
		if t := c.holds(x.Type()); t != nil && len(*x.Referrers()) > 0 {
			c.report(x, t, "")
		}
	case ssa.CallInstruction:
		c.call(x)
	}
}

// call reports the call of a function that copies what it is handed.
func (c *checker) call(in ssa.CallInstruction) {
	if b, ok := in.Common().Value.(*ssa.Builtin); ok {
		// append([]T(nil), s...) copies the elements of s.
		if b.Name() != "append" || len(in.Common().Args) != 2 {
			return
		}
		k, ok := in.Common().Args[0].(*ssa.Const)
		if s, isSlice := in.Common().Args[1].Type().Underlying().(*types.Slice); ok && isSlice && k.IsNil() && !literal(in.Common().Args[1]) {
			if t := c.holds(s.Elem()); t != nil {
				c.report(in.Value(), t, "append")
			}
		}
		return
	}
	f := in.Common().StaticCallee()
	if f == nil {
		return
	}
	args := f.TypeArgs()
	for _, i := range c.copiesOf(f) {
		if i < len(args) {
			if t := c.holds(args[i]); t != nil {
				c.reportAt(in.Pos(), t, flow.Short(in.Common()))
			}
		}
	}
}

// literal reports whether the slice is made of the arguments of a call.
func literal(v ssa.Value) bool {
	s, ok := v.(*ssa.Slice)
	if !ok {
		return false
	}
	a, ok := s.X.(*ssa.Alloc)
	return ok && a.Comment == "varargs"
}

// copiesOf returns the type parameters of which f copies values.
func (c *checker) copiesOf(f *ssa.Function) []int {
	if o := f.Origin(); o != nil {
		f = o
	}
	if s, ok := c.copies[f]; ok {
		return s
	}
	o, ok := f.Object().(*types.Func)
	if !ok {
		return nil
	}
	if o.Pkg() != nil && o.Pkg().Path() == "slices" && (o.Name() == "Clone" || o.Name() == "Repeat" || o.Name() == "Concat") {
		return []int{1} // of S and E, the elements
	}
	var fact Copies
	if o.Pkg() != c.pass.Pkg && c.pass.ImportObjectFact(o, &fact) {
		return fact.Params
	}
	return nil
}

// generic finds what the generic functions of the package copy, and exports it.
func (c *checker) generic() {
	for range 3 {
		changed := false
		for _, f := range c.p.Funcs {
			if f.TypeParams().Len() == 0 || f.Parent() != nil {
				continue
			}
			var all []int
			for i := range f.TypeParams().Len() {
				if c.copiesParam(f, f.TypeParams().At(i)) {
					all = append(all, i)
				}
			}
			changed = changed || len(all) > len(c.copies[f])
			c.copies[f] = all
		}
		if !changed {
			break
		}
	}
	for f, all := range c.copies {
		if o, ok := f.Object().(*types.Func); ok && len(all) > 0 {
			c.pass.ExportObjectFact(o, &Copies{all})
		}
	}
}

// copiesParam reports whether f copies a value of its type parameter t.
func (c *checker) copiesParam(f *ssa.Function, t *types.TypeParam) bool {
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			switch x := in.(type) {
			case *ssa.UnOp:
				if x.Op == token.MUL && types.Identical(x.Type(), t) && copyOf(c, x) {
					return true
				}
			case *ssa.Call:
				g := x.Call.StaticCallee()
				if g == nil {
					continue
				}
				for _, i := range c.copiesOf(g) {
					if i < len(g.TypeArgs()) && types.Identical(g.TypeArgs()[i], t) {
						return true
					}
				}
			}
		}
	}
	return false
}

func (c *checker) report(v ssa.Value, t *types.Named, by string) {
	c.reportAt(position(v, 0), t, by)
}

func (c *checker) reportAt(pos token.Pos, t *types.Named, by string) {
	if !pos.IsValid() {
		return
	}
	if by != "" {
		by = " by " + by
	}
	c.r.Report(analysis.Diagnostic{
		Pos: pos,
		Message: fmt.Sprintf("a %s is copied%s after its first use: both copies own the same memory",
			types.TypeString(t, func(p *types.Package) string { return p.Name() }), by),
	})
}

// position returns the place of a value, or of what uses it first.
func position(v ssa.Value, depth int) token.Pos {
	if v.Pos().IsValid() {
		return v.Pos()
	}
	for _, in := range *v.Referrers() {
		if in.Pos().IsValid() {
			return in.Pos()
		}
		if x, ok := in.(ssa.Value); ok && depth < 4 {
			if pos := position(x, depth+1); pos.IsValid() {
				return pos
			}
		}
	}
	if in, ok := v.(ssa.Instruction); ok { // the next place in the block
		all := in.Block().Instrs
		for _, next := range all[slices.Index(all, in):] {
			if next.Pos().IsValid() {
				return next.Pos()
			}
		}
	}
	return token.NoPos
}
