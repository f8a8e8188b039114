package lifetime

import (
	"go/token"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// goroutine follows the memory that a goroutine is started with, until the function ends it without
// any wait in between.
func (c *checker) goroutine(g *ssa.Go) {
	w := &flow.Walk{P: c.p, Fn: c.fn}
	s := c.captured(w, g)
	if len(s.Values)+len(s.Cells) == 0 {
		return
	}
	var deferred []*ssa.Defer
	for _, b := range c.fn.Blocks {
		for _, in := range b.Instrs {
			if d, ok := in.(*ssa.Defer); ok && (d.Block() != g.Block() && d.Block().Dominates(g.Block()) || before(d, g)) {
				deferred = append(deferred, d)
			}
		}
	}
	report := func(end ssa.CallInstruction) {
		c.report(g, end, "the goroutine may use memory after %s has ended it at %s: nothing waits for it",
			flow.Short(end.Common()), c.p.Where(end))
	}
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == g || waits(at) {
			return false
		}
		switch x := at.(type) {
		case *ssa.Defer:
			if c.isDeferredWait(x) {
				return false
			}
		case *ssa.Call:
			if c.endsAny(x, s) {
				report(x)
				return false
			}
		case *ssa.Return:
			if slices.ContainsFunc(deferred, c.isDeferredWait) {
				return false
			}
			for _, d := range deferred {
				if c.endsAny(d, s) {
					report(d)
					return false
				}
			}
		}
		return true
	}
	w.From(g, s)
}

// captured returns the memory that a goroutine has: its arguments, and the variables of its closure
// that are set once.
func (c *checker) captured(w *flow.Walk, g *ssa.Go) *flow.State {
	s := flow.NewState()
	for _, a := range flow.Args(g.Common()) {
		for v := range w.Aliases(a).Values {
			s.Values[v] = true
		}
	}
	if m, ok := g.Call.Value.(*ssa.MakeClosure); ok {
		for _, b := range m.Bindings {
			n := len(s.Values)
			if c.settled(b, w, s); len(s.Values) > n {
				s.Cells[w.Key(b)] = true
			}
		}
	}
	for v := range s.Values {
		if _, ok := v.(*ssa.Const); ok {
			delete(s.Values, v)
		}
	}
	return s
}

// has reports whether a goroutine is started with the memory.
func has(w *flow.Walk, g *ssa.Go, s *flow.State) bool {
	if slices.ContainsFunc(flow.Args(g.Common()), s.Has) {
		return true
	}
	m, ok := g.Call.Value.(*ssa.MakeClosure)
	return ok && slices.ContainsFunc(m.Bindings, func(b ssa.Value) bool { return s.Has(b) || s.Cells[w.Key(b)] })
}

// endsAny reports whether a call ends memory, or what a collection has.
func (c *checker) endsAny(call ssa.CallInstruction, s *flow.State) bool {
	e, ok := c.p.Effect(call.Common())
	args := flow.Args(call.Common())
	return ok && !e.UnlessFails && (e.Ends >= 0 && e.Ends < len(args) && s.Has(args[e.Ends]) ||
		e.Frees >= 0 && e.Closes >= 0 && e.Frees < len(args) && s.Has(args[e.Frees]))
}

// waits reports whether an instruction may wait for a goroutine. It communicates, or calls a
// function with such a name, or an unknown one.
func waits(in ssa.Instruction) bool {
	switch x := in.(type) {
	case *ssa.UnOp:
		return x.Op == token.ARROW
	case *ssa.Send, *ssa.Select:
		return true
	case *ssa.Next:
		return false
	case *ssa.Call:
		f := flow.Callee(&x.Call)
		if f == nil {
			_, builtin := x.Call.Value.(*ssa.Builtin)
			return !builtin
		}
		if f.Pkg() != nil && api.Own(f.Pkg()) {
			return false
		}
		switch f.Name() {
		case "Wait", "Lock", "RLock", "Sleep", "Done", "Stop", "Close", "Shutdown", "Join":
			return true
		}
	}
	return false
}

// isDeferredWait reports whether a deferred call may wait.
func (c *checker) isDeferredWait(d *ssa.Defer) bool {
	f := flow.Callee(&d.Call)
	if f == nil {
		return true // a closure
	}
	switch f.Name() {
	case "Wait", "Lock", "Stop", "Shutdown", "Join":
		return true
	}
	return false
}

// before reports whether a comes before b in one block.
func before(a, b ssa.Instruction) bool {
	all := a.Block().Instrs
	return a.Block() == b.Block() && slices.Index(all, a) < slices.Index(all, b)
}
