package lifetime

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Leak is the rule leak.
var Leak = &analysis.Analyzer{
	Name:     "leak",
	Doc:      "report memory that neither escapes nor is freed on some path",
	Requires: []*analysis.Analyzer{flow.Analyzer},
	Run:      runLeak,
}

func runLeak(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil {
		return nil, err
	}
	r := report.New(pass, p.Table)
	for _, f := range p.Funcs {
		if report.InTest(pass, f.Pos()) || f.Parent() == nil && f.Name() == "main" && f.Pkg.Pkg.Name() == "main" {
			continue // the process ends soon after
		}
		c := &checker{p, r, f}
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if call, ok := in.(*ssa.Call); ok {
					c.made(call)
				}
			}
		}
	}
	return nil, nil
}

// made follows the memory that a call makes, if it makes any.
func (c *checker) made(call *ssa.Call) {
	e, ok := c.p.Effect(&call.Call)
	if !ok {
		return
	}
	args := flow.Args(&call.Call)
	if e.Makes && e.Leaks {
		if f := flow.Callee(&call.Call); len(args) > 1 && isZero(args[1]) && f.Pkg() != nil && api.Own(f.Pkg()) {
			return // a slice without memory
		}
		certain := e.Owner < 0 || e.Owner < len(args) && c.p.Global(args[e.Owner])
		c.follow(call, flow.NewState(call), call, call.Pos(), flow.Short(&call.Call), certain)
		return
	}
	// A collection that is a variable, when it may take memory.
	if e.Closes == 0 && e.Frees < 0 && e.Ends < 0 && len(args) > 0 {
		if a, ok := args[0].(*ssa.Alloc); ok && api.IsCollection(a.Type().Underlying().(*types.Pointer).Elem()) && zero(a) && !c.deferredFree(a, call) {
			c.follow(call, flow.NewState(a), nil, a.Pos(), a.Comment, true)
		}
	}
}

// phi reports whether a variable that survives the iteration may lead to the memory.
func phi(s *flow.State) bool {
	for v := range s.Values {
		if _, ok := v.(*ssa.Phi); ok {
			return true
		}
	}
	return false
}

func isZero(v ssa.Value) bool {
	k, ok := v.(*ssa.Const)
	return ok && k.Value != nil && k.Value.Kind() == constant.Int && constant.Sign(k.Value) == 0
}

// deferredFree reports whether a deferred call before the instruction in frees the collection a.
func (c *checker) deferredFree(a *ssa.Alloc, in ssa.Instruction) bool {
	for _, x := range *a.Referrers() {
		if d, ok := x.(*ssa.Defer); ok && d.Block().Dominates(in.Block()) {
			if e, ok := c.p.Effect(&d.Call); ok && e.Frees >= 0 && e.Frees < len(flow.Args(&d.Call)) && flow.Args(&d.Call)[e.Frees] == a {
				return true
			}
		}
	}
	return false
}

// zero reports whether nothing is stored in a variable as a whole, and no closure has it.
func zero(a *ssa.Alloc) bool {
	for _, in := range *a.Referrers() {
		switch x := in.(type) {
		case *ssa.Store, *ssa.MakeClosure, *ssa.Return:
			return false
		case *ssa.UnOp:
			if x.Op == token.MUL {
				return false
			}
		}
	}
	return true
}

// follow reports the memory if a path to a return neither ends it nor lets it escape. If it is not
// certain that the owner keeps it, as an arena does not, the function must end it on another path.
func (c *checker) follow(in ssa.Instruction, s *flow.State, made ssa.Value, pos token.Pos, name string, certain bool) {
	w := &flow.Walk{P: c.p, Fn: c.fn, Made: made}
	var leak ssa.Instruction
	ended, escaped := false, false
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		switch w.Fate(at, s) {
		case flow.Ended:
			ended = true
			return false
		case flow.Escaped:
			escaped = true
			return false
		}
		if at == in {
			if made != nil && len(s.Cells) == 0 && leak == nil && !phi(s) {
				leak = in
			}
			return false
		}
		switch at.(type) {
		case *ssa.Return:
			if leak == nil {
				leak = at
			}
			return false
		case *ssa.Panic:
			return false
		}
		return true
	}
	w.From(in, s)
	if leak == nil || !certain && !ended {
		return
	}
	where := "by the return at " + c.p.Where(leak)
	if leak == in {
		where = "before the next iteration"
	} else if !leak.Pos().IsValid() {
		where = "by the end of the function"
	}
	d := analysis.Diagnostic{
		Pos:     pos,
		Message: fmt.Sprintf("the memory of %s is not freed %s", name, where),
	}
	if !ended && !escaped {
		d.SuggestedFixes = c.deferFree(in, made == nil, pos)
	}
	c.r.Report(d)
}
