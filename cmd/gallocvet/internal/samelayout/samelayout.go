// Package samelayout has the rule samelayout: memory is freed with the layout that it was allocated
// with.
//
// Layouts are evaluated to sums of symbols, and a difference is reported only if it is one whatever
// the symbols are. A block is followed by its value, not along paths: the value and all that its
// layout is made of dominate the call that frees the block, so a symbol means the same in both.
package samelayout

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule samelayout.
var Analyzer = &analysis.Analyzer{
	Name:      "samelayout",
	Doc:       "report memory that is freed with another layout than it was allocated with",
	Requires:  []*analysis.Analyzer{flow.Analyzer},
	FactTypes: []analysis.Fact{new(Effects), new(Value)},
	Run:       run,
}

// Effects is the fact of a function that allocates, frees or returns a Layout. Its symbols are
// parameters only.
type Effects struct {
	Made    Shape // the layout of the memory that the first result leads to
	Returns Shape // the first result, if it is a Layout
	Ends    []End
}

// An End says that the memory of an argument must have a layout.
type End struct {
	Arg   int
	Shape Shape
}

// AFact makes Effects a fact.
func (*Effects) AFact() {}

// Value is the fact of a package variable that is a Layout and is set once.
type Value struct{ Shape Shape }

// AFact makes Value a fact.
func (*Value) AFact() {}

type checker struct {
	pass    *analysis.Pass
	p       *flow.Package
	r       *report.Reporter
	ids     map[ssa.Value]int
	own     map[*ssa.Function]*Effects
	globals map[*ssa.Global]Shape
	places  map[types.Object][]block // of fields and package variables; nil: something unknown
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil || pass.Pkg.Path() == api.Root {
		return nil, err
	}
	c := &checker{
		pass: pass, p: p, r: report.New(pass, p.Table), ids: map[ssa.Value]int{},
		own: map[*ssa.Function]*Effects{}, globals: map[*ssa.Global]Shape{},
	}
	c.findGlobals()
	c.summarize()
	c.places = c.findPlaces()
	for _, f := range p.Funcs {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if call, ok := in.(ssa.CallInstruction); ok {
					c.check(call)
				}
			}
		}
	}
	return nil, nil
}

func (c *checker) check(in ssa.CallInstruction) {
	call := in.Common()
	for _, e := range c.ends(call) {
		v := flow.Args(call)[e.arg]
		all, inside := c.blocks(v, 0)
		if inside && !resized(v) {
			c.r.Reportf(in.Pos(), "%s of an address inside of the memory that %s allocated", flow.Short(call), c.maker(all))
			continue
		}
		if len(all) == 0 || resized(v) {
			continue
		}
		how := ""
		for i, b := range all {
			d := differ(b.shape, e.shape)
			if shapes, ok := c.pairs(v, call, e.arg); ok && i < len(shapes) && len(all) == len(shapes) {
				d = differ(b.shape, shapes[i])
			}
			if d == "" {
				how = ""
				break
			}
			how = d
		}
		if how == "" {
			continue
		}
		d := analysis.Diagnostic{
			Pos:     in.Pos(),
			Message: fmt.Sprintf("%s with another layout than %s: %s", flow.Short(call), c.maker(all), how),
		}
		if b := all[0]; b.by != nil {
			d.Related = []analysis.RelatedInformation{{Pos: b.by.Pos(), Message: "the memory is allocated here"}}
			if len(all) == 1 {
				d.SuggestedFixes = c.fix(in, b.by, e.arg)
			}
		}
		c.r.Report(d)
	}
}

// maker describes what made the blocks.
func (c *checker) maker(all []block) string {
	if len(all) == 0 {
		return "another call"
	}
	if b := all[0]; b.by == nil {
		return b.place
	}
	return flow.Short(&all[0].by.Call) + " at " + c.p.Where(all[0].by)
}

// pairs returns the layouts that belong to the edges of v, if both are chosen by the same branch.
func (c *checker) pairs(v ssa.Value, call *ssa.CallCommon, arg int) (all []Shape, ok bool) {
	args := flow.Args(call)
	p, ok := v.(*ssa.Phi)
	if !ok || arg+1 >= len(args) {
		return nil, false
	}
	l, ok := args[arg+1].(*ssa.Phi)
	if !ok || l.Block() != p.Block() {
		return nil, false
	}
	for i, e := range p.Edges {
		if k, isConst := e.(*ssa.Const); isConst && k.IsNil() {
			continue
		}
		all = append(all, c.layout(l.Edges[i]))
	}
	return all, true
}

// resized reports whether the size of the block at v may be changed in place.
func resized(v ssa.Value) bool {
	seen := map[ssa.Value]bool{}
	var visit func(ssa.Value) bool
	visit = func(v ssa.Value) bool {
		if seen[v] || v.Referrers() == nil {
			return false
		}
		seen[v] = true
		for _, in := range *v.Referrers() {
			switch x := in.(type) {
			case *ssa.Call:
				if f := flow.Callee(&x.Call); f != nil && f.Name() == "Resize" {
					return true
				}
			case *ssa.Convert, *ssa.IndexAddr, *ssa.Slice:
				if visit(x.(ssa.Value)) {
					return true
				}
			}
		}
		return false
	}
	for range maxDepth {
		if visit(v) {
			return true
		}
		switch x := v.(type) {
		case *ssa.Convert:
			v = x.X
		case *ssa.IndexAddr:
			v = x.X
		case *ssa.Extract:
			return false
		default:
			return false
		}
	}
	return false
}

// fix replaces the layout by the layout of the allocation, if both are written in one function as
// names, or as calls of LayoutOf.
func (c *checker) fix(in ssa.CallInstruction, by *ssa.Call, arg int) []analysis.SuggestedFix {
	to, from := c.layoutExpr(in.Pos(), in.Common(), arg+1), c.layoutExpr(by.Pos(), &by.Call, len(flow.Args(&by.Call))-1)
	if to == nil || from == nil || in.Parent() != by.Parent() {
		return nil
	}
	var text string
	switch x := from.(type) {
	case *ast.Ident:
		v, ok := c.pass.TypesInfo.Uses[x].(*types.Var)
		if !ok || c.pass.Pkg.Scope().Innermost(to.Pos()).Lookup(x.Name) == nil && v.Parent() == nil {
			return nil
		}
		// The same variable must be visible, and unchanged, as SSA shows by the same value.
		if _, found := c.pass.Pkg.Scope().Innermost(to.Pos()).LookupParent(x.Name, to.Pos()); found != v || len(flow.Args(&by.Call)) == 0 || !single(v, c.pass) {
			return nil
		}
		text = x.Name
	case *ast.CallExpr:
		if len(x.Args) != 0 || c.pass.TypesInfo.TypeOf(x) == nil || !api.IsNamed(c.pass.TypesInfo.TypeOf(x), "Layout") {
			return nil
		}
		text = types.ExprString(x)
	default:
		return nil
	}
	return []analysis.SuggestedFix{{
		Message:   "free with the layout of the allocation",
		TextEdits: []analysis.TextEdit{{Pos: to.Pos(), End: to.End(), NewText: []byte(text)}},
	}}
}

// single reports whether a variable is set once, where it is declared.
func single(v *types.Var, pass *analysis.Pass) bool {
	for id, o := range pass.TypesInfo.Uses {
		if o == v && assigned(pass, id) {
			return false
		}
	}
	return true
}

// assigned reports whether an identifier is on the left of an assignment, or its address is taken.
func assigned(pass *analysis.Pass, id *ast.Ident) (found bool) {
	for _, f := range pass.Files {
		if id.Pos() < f.FileStart || id.Pos() > f.FileEnd {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, l := range n.Lhs {
					found = found || l == id
				}
			case *ast.UnaryExpr:
				found = found || n.Op == token.AND && n.X == id
			}
			return !found
		})
	}
	return found
}

// layoutExpr returns the expression of the Layout among the arguments of a call, or nil.
func (c *checker) layoutExpr(lparen token.Pos, call *ssa.CallCommon, arg int) (e ast.Expr) {
	if call.IsInvoke() || call.Signature().Recv() != nil {
		arg-- // the receiver
	}
	for _, f := range c.pass.Files {
		if lparen < f.FileStart || lparen > f.FileEnd {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n, ok := n.(*ast.CallExpr); ok && (n.Lparen == lparen || n.Pos() == lparen) && arg >= 0 && arg < len(n.Args) &&
				api.IsNamed(c.pass.TypesInfo.TypeOf(n.Args[arg]), "Layout") {
				e = n.Args[arg]
			}
			return e == nil
		})
	}
	return e
}
