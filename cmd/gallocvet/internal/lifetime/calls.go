package lifetime

import (
	"go/token"
	"go/types"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// kept reports whether the first result of a call is used, other than in a comparison.
func kept(call ssa.Value) bool {
	for _, in := range *call.Referrers() {
		switch x := in.(type) {
		case *ssa.Extract:
			if x.Index == 0 && kept(x) {
				return true
			}
		case *ssa.BinOp, *ssa.DebugRef:
		default:
			return true
		}
	}
	return false
}

// failing returns a function that reports whether an instruction may follow a failure of the call,
// of which only the success is tested. It returns nil if nothing tests it.
func failing(call ssa.Value) func(ssa.Instruction) bool {
	var entries []*ssa.BasicBlock // after a failure
	test := func(v ssa.Value, isNil bool) {
		for _, in := range *v.Referrers() {
			b, ok := in.(*ssa.BinOp)
			if !ok || b.Op != token.EQL && b.Op != token.NEQ {
				continue
			}
			for _, x := range *b.Referrers() {
				if f, ok := x.(*ssa.If); ok {
					side := 1
					if (b.Op == token.EQL) == isNil {
						side = 0
					}
					entries = append(entries, f.Block().Succs[side])
				}
			}
		}
	}
	if t, ok := call.Type().(*types.Tuple); ok {
		for _, in := range *call.Referrers() {
			if x, ok := in.(*ssa.Extract); ok && x.Index == t.Len()-1 {
				test(x, false) // the error
			}
		}
	} else {
		test(call, true)
	}
	if entries == nil {
		return nil
	}
	after := map[*ssa.BasicBlock]bool{}
	for len(entries) > 0 {
		b := entries[len(entries)-1]
		entries = entries[:len(entries)-1]
		if !after[b] {
			after[b] = true
			entries = append(entries, b.Succs...)
		}
	}
	return func(in ssa.Instruction) bool { return after[in.Block()] }
}

// afterClosure follows the memory that a call of a closure ends, if it is in a variable that is set
// once.
func (c *checker) afterClosure(in *ssa.Call) {
	m, ok := in.Call.Value.(*ssa.MakeClosure)
	if !ok {
		return
	}
	w := &flow.Walk{P: c.p, Fn: c.fn}
	s, name := c.closure(w, m)
	if s == nil || !c.setOnce(w, m, s) {
		return
	}
	s.Ended = in
	w.Visit = func(at ssa.Instruction, s *flow.State) bool {
		if at == in {
			return false
		}
		switch again, ok := at.(ssa.CallInstruction); {
		case ok && (again.Common().Value == m || c.endsSame(again, s)):
			c.report(at, in, "%s ends memory again that %s ended at %s", flow.Short(again.Common()), name, c.p.Where(in))
			return false
		case w.Use(at, s):
			c.report(at, in, "memory is used after %s ended it at %s", name, c.p.Where(in))
			return false
		}
		return true
	}
	w.From(in, s)
}

// setOnce reports whether the variable of a closure, which the state has, is set only once.
func (c *checker) setOnce(w *flow.Walk, m *ssa.MakeClosure, s *flow.State) bool {
	for _, b := range m.Bindings {
		if a, ok := b.(*ssa.Alloc); ok && s.Cells[w.Key(b)] {
			return flow.OnlyStore(a) != nil
		}
	}
	return false
}

// afterLoop follows the views of a collection that the body of a range loop has stored in variables
// of the function. In the body they are valid, whatever it removes.
func (c *checker) afterLoop(in *ssa.Call) {
	over, ok := in.Call.Value.(*ssa.Call)
	if !ok || len(in.Call.Args) != 1 {
		return
	}
	m, ok := in.Call.Args[0].(*ssa.MakeClosure)
	e, known := c.p.Effect(&over.Call)
	if !ok || !known || !e.Yields {
		return
	}
	body := m.Fn.(*ssa.Function)
	inner, w := &flow.Walk{P: c.p, Fn: body}, &flow.Walk{P: c.p, Fn: c.fn}
	views, s := flow.NewState(), flow.NewState()
	for _, p := range body.Params {
		if flow.IsView(p.Type()) {
			for v := range inner.Aliases(p).Values {
				views.Values[v] = true
			}
		}
	}
	for i, free := range body.FreeVars {
		for _, x := range *free.Referrers() {
			if st, ok := x.(*ssa.Store); ok && st.Addr == free && views.Has(st.Val) {
				s.Cells[w.Key(m.Bindings[i])] = true
			}
		}
	}
	if len(s.Cells) > 0 {
		c.view(w, in, &over.Call, flow.Args(&over.Call)[0], s)
	}
}
