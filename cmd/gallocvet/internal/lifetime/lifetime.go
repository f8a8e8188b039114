// Package lifetime has the rules lifetime and leak.
package lifetime

import (
	"fmt"
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule lifetime.
var Analyzer = &analysis.Analyzer{
	Name:     "lifetime",
	Doc:      "report uses of memory after its end, double frees, and views used after what ends them",
	Requires: []*analysis.Analyzer{flow.Analyzer},
	Run:      run,
}

type checker struct {
	p  *flow.Package
	r  *report.Reporter
	fn *ssa.Function
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil {
		return nil, err
	}
	r := report.New(pass, p.Table)
	for _, f := range p.Funcs {
		c := &checker{p, r, f}
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if call, ok := in.(ssa.CallInstruction); ok {
					c.call(call)
				}
			}
		}
	}
	return nil, nil
}

func (c *checker) call(in ssa.CallInstruction) {
	if g, ok := in.(*ssa.Go); ok {
		c.goroutine(g)
		return
	}
	if d, ok := in.(*ssa.Defer); ok {
		c.deferred(d)
		return
	}
	if x, ok := in.(*ssa.Call); ok {
		c.afterClosure(x)
		c.afterLoop(x)
	}
	e, ok := c.p.Effect(in.Common())
	if !ok {
		return
	}
	args := flow.Args(in.Common())
	if e.Ends >= 0 && e.Ends < len(args) {
		c.afterEnd(in, args[e.Ends], e)
	}
	owner := e.Shows
	if e.Makes && e.Owner >= 0 {
		owner = e.Owner
	}
	if owner >= 0 && owner < len(args) && in.Value() != nil {
		w := &flow.Walk{P: c.p, Fn: c.fn}
		c.view(w, in, in.Common(), args[owner], flow.NewState(in.Value()))
	}
}

// afterEnd follows the memory v from the call that ends it.
func (c *checker) afterEnd(in ssa.CallInstruction, v ssa.Value, e api.Call) {
	w := &flow.Walk{P: c.p, Fn: c.fn}
	expected := func(ssa.Instruction) bool { return false }
	if e.UnlessFails && e.Makes {
		w.Made = in.Value()
		if w.Made != nil && !kept(w.Made) {
			if expected = failing(w.Made); expected == nil {
				return // the caller expects it to fail
			}
		}
	}
	s := w.Aliases(v)
	if w.Made != nil { // what replaces the memory is not the memory
		delete(s.Values, w.Made)
	}
	c.cell(w, in, v, s)
	s.Ended = in
	name := flow.Short(in.Common())
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == in {
			return false // the next iteration, with another block
		}
		if expected(at) {
			return true
		}
		if again, ok := at.(ssa.CallInstruction); ok && c.endsSame(again, s) {
			c.report(at, in, "%s ends memory again that %s ended at %s", flow.Short(again.Common()), name, c.p.Where(in))
			return false
		}
		if w.Use(at, s) {
			c.report(at, in, "memory is used after %s ended it at %s", name, c.p.Where(in))
			return false
		}
		return true
	}
	w.From(in, s)
	c.loop(w, in, v, name)
}

// loop reports a call that ends the same memory in every iteration, because v is made outside.
func (c *checker) loop(w *flow.Walk, in ssa.CallInstruction, v ssa.Value, name string) {
	d, ok := v.(ssa.Instruction)
	if _, param := v.(*ssa.Parameter); !ok && !param || w.Made != nil {
		return
	}
	if ok && (d.Block() == in.Block() || !c.p.IsMade(v)) {
		return
	}
	again := false
	w2 := &flow.Walk{P: c.p, Fn: c.fn}
	w2.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == in {
			again = again || s.Has(v)
			return false
		}
		return true
	}
	s := flow.NewState(v)
	s.Ended = in
	w2.From(in, s)
	if again {
		c.report(in, in, "%s ends the same memory again in the next iteration", name)
	}
}

// cell adds the variable or field that v has just been loaded from.
func (c *checker) cell(w *flow.Walk, in ssa.Instruction, v ssa.Value, s *flow.State) {
	for {
		u, ok := v.(*ssa.UnOp)
		if ok && u.Op == token.MUL {
			if u.Block() != in.Block() {
				return
			}
			after := false
			for _, x := range u.Block().Instrs {
				switch {
				case x == u:
					after = true
				case x == in:
					s.Cells[w.Key(u.X)] = true
					return
				case after:
					if st, ok := x.(*ssa.Store); ok && w.Key(st.Addr) == w.Key(u.X) {
						return
					}
					if call, ok := x.(*ssa.Call); ok && !c.harmless(call) {
						return
					}
				}
			}
			return
		}
		switch x := v.(type) {
		case *ssa.MakeInterface:
			v = x.X
		case *ssa.Convert:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.Slice:
			v = x.X
		default:
			return
		}
	}
}

// harmless reports whether a call cannot change a variable or field: it is a builtin, or known.
func (c *checker) harmless(call *ssa.Call) bool {
	if _, ok := call.Call.Value.(*ssa.Builtin); ok {
		return true
	}
	_, ok := c.p.Effect(&call.Call)
	return ok
}

// endsSame reports whether a call ends memory that has ended.
func (c *checker) endsSame(call ssa.CallInstruction, s *flow.State) bool {
	e, ok := c.p.Effect(call.Common())
	args := flow.Args(call.Common())
	return ok && e.Ends >= 0 && e.Ends < len(args) && s.Has(args[e.Ends])
}

// view follows views of the owner, or blocks of it, to their end and past it. They are in the state
// after the instruction in, and call has shown them.
func (c *checker) view(w *flow.Walk, in ssa.CallInstruction, call *ssa.CallCommon, owner ssa.Value, s *flow.State) {
	key := keyOf(w, owner)
	name := flow.Short(call)
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == in {
			return false
		}
		if s.Ended != nil && w.Use(at, s) {
			by := s.Ended.(ssa.CallInstruction)
			c.report(at, s.Ended, "the result of %s at %s is used after %s ended it at %s",
				name, c.p.Where(in), flow.Short(by.Common()), c.p.Where(by))
			return false
		}
		if st, ok := at.(*ssa.Store); ok && strings.Contains(key, "*"+w.Key(st.Addr)) {
			return false // another owner
		}
		if g, ok := at.(*ssa.Go); ok && has(w, g, s) {
			s.Shared = g
		} else if waits(at) {
			s.Shared = nil
		}
		call, ok := at.(*ssa.Call)
		if !ok || s.Ended != nil {
			return true
		}
		e, ok := c.p.Effect(&call.Call)
		args := flow.Args(&call.Call)
		switch {
		case !ok:
		case e.Ends >= 0 && e.Ends < len(args) && s.Has(args[e.Ends]):
			return false // the other half of the rule
		case e.Closes >= 0 && e.Closes < len(args) && keyOf(w, args[e.Closes]) == key:
			if e.Mark >= 0 && after(args[e.Mark], in) {
				return true
			}
			s.Ended = call
			if s.Shared != nil {
				c.report(s.Shared, call, "the goroutine may use the result of %s at %s after %s has ended it at %s: nothing waits for it",
					name, c.p.Where(in), flow.Short(&call.Call), c.p.Where(call))
			}
		}
		return true
	}
	w.From(in, s)
}

// keyOf returns the key of an owner. The receiver of a value method, as of a String, is a copy of
// the variable that a pointer method changes.
func keyOf(w *flow.Walk, owner ssa.Value) string {
	if u, ok := owner.(*ssa.UnOp); ok && u.Op == token.MUL {
		if _, ok := u.Type().Underlying().(*types.Struct); ok {
			return w.Key(u.X)
		}
	}
	return w.Key(owner)
}

// after reports whether the mark of an arena is set after the instruction in.
func after(mark ssa.Value, in ssa.Instruction) bool {
	m, ok := mark.(ssa.Instruction)
	if !ok {
		return false
	}
	if m.Block() != in.Block() {
		return in.Block().Dominates(m.Block())
	}
	for _, x := range m.Block().Instrs {
		if x == in {
			return true
		}
		if x == m {
			return false
		}
	}
	return false
}

// deferred follows memory from a deferred call that ends it at the return.
func (c *checker) deferred(d *ssa.Defer) {
	w := &flow.Walk{P: c.p, Fn: c.fn}
	var s *flow.State
	name := flow.Short(d.Common())
	inClosure := false
	if e, ok := c.p.Effect(d.Common()); ok && (e.Ends >= 0 || e.Closes >= 0) {
		args := flow.Args(d.Common())
		if e.Ends >= 0 && e.Ends < len(args) {
			s = w.Aliases(args[e.Ends])
			c.cell(w, d, args[e.Ends], s)
		} else if e.Closes >= 0 && e.Closes < len(args) {
			c.deferredClose(d, args[e.Closes])
			return
		}
	} else if m, ok := d.Call.Value.(*ssa.MakeClosure); ok {
		s, name = c.closure(w, m)
		inClosure = true
	}
	if s == nil {
		return
	}
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == d {
			return false
		}
		if r, ok := at.(*ssa.Return); ok {
			if w.Use(r, s) {
				c.fixed(at, d, c.cloneFix(r, s), "the result leads to memory that the deferred %s at %s ends", name, c.p.Where(d))
			}
			return false
		}
		if call, ok := at.(*ssa.Call); ok && inClosure && call.Call.Value == d.Call.Value {
			if m := d.Call.Value.(*ssa.MakeClosure); c.setOnce(w, m, s) {
				c.report(at, d, "%s ends memory that the deferred %s at %s ends again", flow.Short(&call.Call), name, c.p.Where(d))
			}
			return false
		}
		if call, ok := at.(*ssa.Call); ok && c.endsSame(call, s) {
			if !inClosure {
				c.report(at, d, "%s ends memory that the deferred %s at %s ends again", flow.Short(&call.Call), name, c.p.Where(d))
			}
			return false
		}
		return true
	}
	w.From(d, s)
}

// closure returns the variables whose memory a deferred closure always ends.
func (c *checker) closure(w *flow.Walk, m *ssa.MakeClosure) (*flow.State, string) {
	f, ok := m.Fn.(*ssa.Function)
	if !ok || len(f.Blocks) == 0 {
		return nil, ""
	}
	for _, in := range f.Blocks[0].Instrs {
		call, ok := in.(*ssa.Call)
		if !ok {
			continue
		}
		e, ok := c.p.Effect(&call.Call)
		args := flow.Args(&call.Call)
		if !ok || e.Ends < 0 || e.Ends >= len(args) {
			continue
		}
		v := args[e.Ends]
		if i, ok := v.(*ssa.MakeInterface); ok {
			v = i.X
		}
		if u, ok := v.(*ssa.UnOp); ok && u.Op == token.MUL {
			for i, free := range f.FreeVars {
				if u.X == free && i < len(m.Bindings) {
					if overwrites(f.Blocks[0], call, free) {
						return nil, "" // the results may lead to what it has replaced
					}
					s := flow.NewState()
					s.Cells[w.Key(m.Bindings[i])] = true
					// Values loaded or stored before stay aliases if the variable is set once.
					c.settled(m.Bindings[i], w, s)
					return s, flow.Short(&call.Call)
				}
			}
		}
	}
	return nil, ""
}

// overwrites reports whether a field of the variable's memory is set before a call.
func overwrites(b *ssa.BasicBlock, call *ssa.Call, variable ssa.Value) bool {
	for _, in := range b.Instrs {
		if in == call {
			return false
		}
		st, ok := in.(*ssa.Store)
		if !ok {
			continue
		}
		at := st.Addr
		for {
			f, ok := at.(*ssa.FieldAddr)
			if !ok {
				break
			}
			at = f.X
		}
		if u, ok := at.(*ssa.UnOp); ok && u.X == variable {
			return true
		}
	}
	return false
}

// settled adds the values that lead to the memory of a variable that is set only once.
func (c *checker) settled(variable ssa.Value, w *flow.Walk, s *flow.State) {
	a, ok := variable.(*ssa.Alloc)
	if !ok {
		return
	}
	var only *ssa.Store
	for _, in := range *a.Referrers() {
		if st, ok := in.(*ssa.Store); ok && st.Addr == a {
			if only != nil {
				return
			}
			only = st
		}
	}
	if only == nil {
		return
	}
	for v := range w.Aliases(only.Val).Values {
		s.Values[v] = true
	}
}

// deferredClose reports results that lead to views or blocks of an owner that is closed at the
// return.
func (c *checker) deferredClose(d *ssa.Defer, owner ssa.Value) {
	w := &flow.Walk{P: c.p, Fn: c.fn}
	key := w.Key(owner)
	for _, b := range c.fn.Blocks {
		for _, in := range b.Instrs {
			call, ok := in.(*ssa.Call)
			if !ok {
				continue
			}
			e, ok := c.p.Effect(&call.Call)
			args := flow.Args(&call.Call)
			i := e.Shows
			if e.Makes && e.Owner >= 0 {
				i = e.Owner
			}
			if !ok || i < 0 || i >= len(args) || w.Key(args[i]) != key {
				continue
			}
			if !d.Block().Dominates(b) && !b.Dominates(d.Block()) {
				continue
			}
			w.Visit = func(at ssa.Instruction, s *flow.State) bool {
				if r, ok := at.(*ssa.Return); ok && w.Use(r, s) {
					c.report(at, d, "the result leads to memory of %s, which the deferred %s at %s ends",
						flow.Short(&call.Call), flow.Short(d.Common()), c.p.Where(d))
				}
				if r, ok := at.(*ssa.Return); ok && e.Makes {
					if place := w.Outlives(s); place != "" {
						c.report(r, d, "%s keeps memory of %s, which the deferred %s at %s ends",
							place, flow.Short(&call.Call), flow.Short(d.Common()), c.p.Where(d))
					}
				}
				return at != in
			}
			w.From(in, flow.NewState(call))
		}
	}
}

func (c *checker) report(at, end ssa.Instruction, format string, args ...any) {
	c.fixed(at, end, nil, format, args...)
}

// fixed is report with suggested fixes.
func (c *checker) fixed(at, end ssa.Instruction, fixes []analysis.SuggestedFix, format string, args ...any) {
	pos := at.Pos()
	if pos == token.NoPos {
		pos = end.Pos()
	}
	if b, ok := at.(*ssa.UnOp); ok && !pos.IsValid() {
		pos = b.X.Pos()
	}
	c.r.Report(analysis.Diagnostic{
		Pos:     pos,
		Message: fmt.Sprintf(format, args...),
		Related: []analysis.RelatedInformation{{Pos: end.Pos(), Message: "the memory ends here"}},

		SuggestedFixes: fixes,
	})
}
