package flow

import (
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/ssa"
)

const rounds = 3 // functions that call each other in a longer chain, downwards, are known less well

// summarize finds the summary of every function, from the summaries of its callees. After the first
// round it looks again at functions only of which a callee has changed since.
func (p *Package) summarize() {
	callees := map[*ssa.Function][]*ssa.Function{}
	for _, f := range p.Funcs {
		callees[f] = p.callees(f)
	}
	looked, changed := map[*ssa.Function]int{}, map[*ssa.Function]int{} // when
	now := 0
	for range rounds {
		before := now
		for _, f := range p.Funcs {
			stale := looked[f] == 0
			for _, g := range callees[f] {
				stale = stale || changed[g] > 0 && changed[g] >= looked[f] // equal if g is f
			}
			if !stale {
				continue
			}
			now++
			looked[f] = now
			s := p.summaryOf(f)
			if old := p.own[f]; s != nil && (old == nil || !same(old, s)) {
				p.own[f], changed[f] = s, now
			}
		}
		if now == before {
			break
		}
	}
	for f, s := range p.own {
		if o, ok := f.Object().(*types.Func); ok && f.Parent() == nil {
			p.Pass.ExportObjectFact(o, s)
		}
	}
}

// callees returns the functions of the package that a function calls.
func (p *Package) callees(f *ssa.Function) (all []*ssa.Function) {
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			call, ok := in.(ssa.CallInstruction)
			if !ok {
				continue
			}
			if g := call.Common().StaticCallee(); g != nil {
				if o := g.Origin(); o != nil {
					g = o
				}
				if g.Pkg == p.SSA {
					all = append(all, g)
				}
			}
		}
	}
	return all
}

func same(a, b *Summary) bool {
	x, y := a.Call, b.Call
	return x.Ends == y.Ends && x.Frees == y.Frees && x.Closes == y.Closes && x.Shows == y.Shows && x.Makes == y.Makes &&
		len(x.Borrows) == len(y.Borrows) && strings.Join(a.Registers, " ") == strings.Join(b.Registers, " ")
}

func (p *Package) summaryOf(f *ssa.Function) *Summary {
	c := api.Call{Owner: api.None, Ends: api.None, Frees: api.None, Closes: api.None, Shows: api.None, Mark: api.None, Borrows: []int{}}
	useful := false
	w := &Walk{P: p, Fn: f}
	for i, param := range f.Params {
		if !refers(param.Type()) {
			continue
		}
		ends, frees, borrows := w.fateOf(param)
		switch {
		case ends && c.Ends == api.None:
			c.Ends, useful = i, true
		case frees && c.Frees == api.None:
			c.Frees, useful = i, true
		case borrows:
			c.Borrows, useful = append(c.Borrows, i), true
		}
		if c.Closes == api.None && w.closes(param) {
			c.Closes, useful = i, true
		}
		if c.Shows == api.None && p.shows(f, param) {
			c.Shows, useful = i, true
		}
	}
	if w.makes(&c) {
		useful = true
	}
	s := &Summary{Call: c}
	for _, in := range p.Sites(f) {
		s.Registers = append(s.Registers, p.Registered(in)...)
		useful = true
	}
	if !useful {
		return nil
	}
	return s
}

// fateOf reports whether a function ends the memory of a parameter on every path, frees it as a
// collection is freed, or only borrows it.
func (w *Walk) fateOf(param *ssa.Parameter) (ends, frees, borrows bool) {
	ends, frees, borrows = true, true, true
	any := false
	w.Visit = func(in ssa.Instruction, s *State) bool {
		if !ends && !frees && !borrows {
			w.budget = 0 // nothing is left to find
			return false
		}
		if c, ok := in.(ssa.CallInstruction); ok {
			if e, ok := w.P.Effect(c.Common()); ok && !e.UnlessFails {
				args := Args(c.Common())
				if e.Ends >= 0 && e.Ends < len(args) && s.Has(args[e.Ends]) {
					any, frees, borrows = true, false, false
					return false
				}
				if e.Frees >= 0 && e.Frees < len(args) && s.Has(args[e.Frees]) {
					any, ends, borrows = true, false, false
					return false
				}
			}
		}
		if w.Fate(in, s) != Kept {
			ends, frees, borrows = false, false, false
			return false
		}
		if _, ok := in.(*ssa.Return); ok {
			ends, frees = false, false
		}
		return true
	}
	w.FromEntry(NewState(param))
	if w.budget < 0 {
		return false, false, false
	}
	return ends && any, frees && any, borrows
}

// closes reports whether a function, in its first block or through a call that it always makes,
// ends the views of a parameter.
func (w *Walk) closes(param *ssa.Parameter) bool {
	k := w.Key(param)
	for _, in := range w.Fn.Blocks[0].Instrs {
		if c, ok := in.(*ssa.Call); ok {
			if e, ok := w.P.Effect(&c.Call); ok && e.Closes >= 0 && e.Mark < 0 && w.Key(Args(&c.Call)[e.Closes]) == k {
				return true
			}
		}
	}
	return false
}

// shows reports whether a result of a function is a view of a parameter.
func (p *Package) shows(f *ssa.Function, param *ssa.Parameter) bool {
	if f.Signature.Results().Len() != 1 {
		return false
	}
	found := false
	for _, b := range f.Blocks {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		if !ok {
			continue
		}
		v, shown := r.Results[0], false
		for x := v; x != nil; x = p.origin(x) {
			if c, ok := x.(*ssa.Call); ok {
				e, ok := p.Effect(&c.Call)
				shown = shown || ok && e.Shows >= 0
			}
			if x == param && shown {
				found = true
			}
		}
	}
	return found
}

// makes reports whether every result of a function is new memory or nil, and completes the call.
func (w *Walk) makes(c *api.Call) bool {
	p, f := w.P, w.Fn
	if f.Signature.Results().Len() == 0 || !refers(f.Signature.Results().At(0).Type()) {
		return false
	}
	found := false
	for _, b := range f.Blocks {
		r, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Return)
		if !ok {
			continue
		}
		v := r.Results[0]
		if k, ok := v.(*ssa.Const); ok && (k.IsNil() || k.Value == nil) {
			continue
		}
		call := p.Maker(v)
		if call == nil {
			return false
		}
		e, _ := p.Effect(&call.Call)
		owner := api.None
		leaks := e.Leaks
		if e.Owner >= 0 {
			a := Args(&call.Call)[e.Owner]
			for i, param := range f.Params {
				if w.Key(a) == w.Key(param) {
					owner = i
				}
			}
			leaks = leaks && (owner >= 0 || p.Global(a))
		}
		c.Makes, c.Leaks, c.Owner, c.UnlessFails, found = true, leaks, owner, true, true
		c.NilFails = e.NilFails
	}
	return found
}

// Maker returns the call that made the memory v, or nil.
func (p *Package) Maker(v ssa.Value) *ssa.Call {
	for v != nil {
		if c, ok := v.(*ssa.Call); ok {
			if e, ok := p.Effect(&c.Call); ok && e.Makes {
				return c
			}
		}
		switch v.(type) {
		case *ssa.FieldAddr, *ssa.IndexAddr:
			return nil
		}
		v = p.origin(v)
	}
	return nil
}

// Global reports whether an allocator is one that never frees all its blocks at once.
func (p *Package) Global(a ssa.Value) bool {
	switch x := a.(type) {
	case *ssa.Const:
		return x.IsNil()
	case *ssa.MakeInterface:
		return api.IsNamed(x.X.Type(), "GlobalAllocator") || api.IsNamed(x.X.Type(), "SystemAllocator") || p.Global(x.X)
	case *ssa.Call:
		f := Callee(&x.Call)
		return f != nil && api.Name(f) == api.Root+"/heap.Default"
	}
	return api.IsNamed(a.Type(), "GlobalAllocator") || api.IsNamed(a.Type(), "SystemAllocator")
}

// Sites returns the calls in a function that register a global allocator, themselves or through
// what they call.
func (p *Package) Sites(f *ssa.Function) (all []*ssa.Call) {
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			if c, ok := in.(*ssa.Call); ok && len(p.Registered(c)) > 0 {
				all = append(all, c)
			}
		}
	}
	return all
}

// Registered returns the places where a call registers.
func (p *Package) Registered(c *ssa.Call) []string {
	f := Callee(&c.Call)
	if f == nil {
		return nil
	}
	if IsRegister(f) {
		at := p.Pass.Fset.Position(c.Pos())
		return []string{at.Filename + ":" + itoa(at.Line)}
	}
	if s := p.summary(c.Call.StaticCallee(), f); s != nil {
		return s.Registers
	}
	return nil
}

// IsMade reports whether v is memory that the function has made.
func (p *Package) IsMade(v ssa.Value) bool { return p.Maker(v) != nil }
