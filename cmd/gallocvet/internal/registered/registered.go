// Package registered has the rules allocbody and nocycle, about the methods of the types that a
// program registers as its global allocator.
//
// Bodies, an analyzer without reports, finds for each function what these methods must not do, and
// exports it as a fact. The rules look at the registrations of a package, and follow the calls that
// the methods of the registered type make.
package registered

import (
	"fmt"
	"go/token"
	"go/types"
	"reflect"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// AllocBody is the rule allocbody.
var AllocBody = &analysis.Analyzer{
	Name:     "allocbody",
	Doc:      "report panics, and what may allocate on the Go heap, in the methods of a registered allocator",
	Requires: []*analysis.Analyzer{flow.Analyzer, Bodies},
	Run: func(pass *analysis.Pass) (any, error) {
		return nil, run(pass, func(b *body) []fault { return b.faults }, false)
	},
}

// NoCycle is the rule nocycle.
var NoCycle = &analysis.Analyzer{
	Name:     "nocycle",
	Doc:      "report a registered allocator that uses the global allocator",
	Requires: []*analysis.Analyzer{flow.Analyzer, Bodies},
	Run: func(pass *analysis.Pass) (any, error) {
		return nil, run(pass, func(b *body) []fault { return b.global }, true)
	},
}

// Bodies finds what functions do. Its result is a *bodies.
var Bodies = &analysis.Analyzer{
	Name:       "gallocbodies",
	Doc:        "find what functions do that an allocator must not, for the other analyzers of gallocvet",
	Requires:   []*analysis.Analyzer{flow.Analyzer},
	Run:        runBodies,
	ResultType: reflect.TypeFor[*bodies](),
	FactTypes:  []analysis.Fact{new(Body)},
}

// A Body is the fact of a function, with at most one Fault of a kind.
type Body struct {
	Faults []Fault // for allocbody
	Global []Fault // for nocycle
}

// A Fault is something that an allocator must not do.
type Fault struct {
	Text  string // what it does: "appends to a slice"
	Place string // file:line
}

// AFact makes Body a fact.
func (*Body) AFact() {}

// A fault is a Fault of the package at hand.
type fault struct {
	pos token.Pos
	Fault
}

// run reports the faults in what a registered allocator calls.
func run(pass *analysis.Pass, of func(*body) []fault, cycle bool) error {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil {
		return err
	}
	all := pass.ResultOf[Bodies].(*bodies)
	r := report.New(pass, p.Table)
	for _, reg := range all.registrations() {
		if cycle && reg.global != "" {
			r.Reportf(reg.pos, "the registered allocator is made of galloc.Global, which would call it again: %s", reg.global)
		}
		if reg.t == nil {
			continue
		}
		for _, m := range methods(reg.t) {
			name := fmt.Sprintf("%s of the registered allocator %s", m.Name(), reg.name())
			if cycle && usesGlobalType(m) {
				r.Reportf(reg.pos, "%s is galloc.Global's, which would call it again", name)
				continue
			}
			if m.Pkg() == nil || api.Own(m.Pkg()) {
				continue
			}
			if m.Pkg() != pass.Pkg {
				var b Body
				if pass.ImportObjectFact(m.Origin(), &b) {
					for _, f := range pick(&b, cycle) {
						r.Reportf(reg.pos, "%s %s, at %s%s", name, f.Text, f.Place, reason(cycle))
					}
				}
				continue
			}
			for _, f := range reachable(all, p.SSA.Prog.FuncValue(m.Origin()), of) {
				r.Reportf(f.pos, "%s %s%s", name, f.Text, reason(cycle))
			}
		}
	}
	return nil
}

func pick(b *Body, cycle bool) []Fault {
	if cycle {
		return b.Global
	}
	return b.Faults
}

func reason(cycle bool) string {
	if cycle {
		return ": the global allocator would call it again"
	}
	return ": it must neither panic nor allocate on the Go heap"
}

// usesGlobalType reports whether a method is promoted from an embedded galloc.Global.
func usesGlobalType(m *types.Func) bool {
	r := m.Signature().Recv()
	return r != nil && api.IsNamed(r.Type(), "GlobalAllocator")
}

// reachable returns the faults of a function and of the functions of the package that it calls.
func reachable(all *bodies, f *ssa.Function, of func(*body) []fault) (found []fault) {
	seen := map[*ssa.Function]bool{}
	var visit func(*ssa.Function)
	visit = func(f *ssa.Function) {
		if f == nil || seen[f] {
			return
		}
		seen[f] = true
		b := all.of(f)
		if b == nil {
			return
		}
		found = append(found, of(b)...)
		for _, g := range b.calls {
			visit(g)
		}
	}
	visit(f)
	return found
}

// methods returns the methods of a type that the global allocator calls.
func methods(t types.Type) (all []*types.Func) {
	names := []string{"Alloc", "Dealloc", "AllocZeroed", "Realloc"}
	if f := method(t, "Alloc"); f == nil || f.Signature().Params().Len() != 1 {
		names = []string{"Allocate", "Deallocate", "AllocateZeroed", "Grow", "GrowZeroed", "Shrink"}
	}
	for _, name := range names {
		if f := method(t, name); f != nil {
			all = append(all, f)
		}
	}
	return all
}

func method(t types.Type, name string) *types.Func {
	o, _, _ := types.LookupFieldOrMethod(t, true, nil, name)
	f, _ := o.(*types.Func)
	return f
}
