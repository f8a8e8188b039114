package flow

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/ssa"
)

// step changes the state as the instruction does.
func (w *Walk) step(in ssa.Instruction, s *State) {
	if st, ok := in.(*ssa.Store); ok {
		w.store(st, s)
		return
	}
	v, ok := in.(ssa.Value)
	if !ok {
		return
	}
	if w.leads(v, s) {
		s.Values[v] = true
	} else if _, ok := v.(*ssa.Alloc); !ok {
		delete(s.Values, v)
	}
}

func (w *Walk) store(st *ssa.Store, s *State) {
	if a := varargs(st.Addr); a != nil {
		if s.Has(st.Val) {
			s.Values[a] = true
		}
		return
	}
	k := w.Key(st.Addr)
	w.forget(k, s)
	switch {
	case s.failure != nil && st.Val == s.failure:
		s.failureAt = k
	case s.failureAt == k:
		s.failureAt = ""
	}
	for c := range s.Cells {
		if c == k || strings.Contains(c, "*"+k) {
			delete(s.Cells, c)
		}
	}
	if s.Has(st.Val) {
		s.Cells[k] = true
	}
}

// varargs returns the array of variadic arguments that addr is an element of, or nil.
func varargs(addr ssa.Value) *ssa.Alloc {
	if i, ok := addr.(*ssa.IndexAddr); ok {
		if a, ok := i.X.(*ssa.Alloc); ok && a.Comment == "varargs" {
			return a
		}
	}
	return nil
}

// leads reports whether the value that is computed now leads to the memory.
func (w *Walk) leads(v ssa.Value, s *State) bool {
	if u, ok := v.(*ssa.UnOp); ok && u.Op == token.MUL {
		return s.Cells[w.Key(u.X)] || s.Has(u.X) && ownedSlice(u)
	}
	x := w.P.origin(v)
	return x != nil && s.Has(x)
}

// ownedSlice reports whether u loads the slice of a pooled *[]byte, or the like, or of a
// bytebufferpool.ByteBuffer.
func ownedSlice(u *ssa.UnOp) bool {
	if _, ok := u.Type().Underlying().(*types.Slice); !ok {
		return false
	}
	switch x := u.X.(type) {
	case *ssa.FieldAddr:
		return strings.HasSuffix(x.X.Type().String(), "bytebufferpool.ByteBuffer")
	case *ssa.TypeAssert, *ssa.Extract, *ssa.Phi, *ssa.Parameter, *ssa.UnOp:
		return true
	}
	return false
}

// origin returns the operand whose memory v leads to as well, or nil.
func (p *Package) origin(v ssa.Value) ssa.Value {
	switch x := v.(type) {
	case *ssa.FieldAddr:
		return x.X
	case *ssa.IndexAddr:
		return x.X
	case *ssa.Slice:
		return x.X
	case *ssa.ChangeType:
		return x.X
	case *ssa.ChangeInterface:
		return x.X
	case *ssa.MakeInterface:
		return x.X
	case *ssa.TypeAssert:
		return x.X
	case *ssa.SliceToArrayPointer:
		return x.X
	case *ssa.Convert:
		if refers(x.Type()) && refers(x.X.Type()) && !copies(x) {
			return x.X
		}
	case *ssa.Extract:
		if refers(x.Type()) && (IsView(x.Type()) || !p.showing(x.Tuple)) {
			return x.Tuple
		}
	case *ssa.Call:
		return p.passed(&x.Call)
	}
	return nil
}

// passed returns the argument of a call that its result leads to, or nil.
func (p *Package) passed(c *ssa.CallCommon) ssa.Value {
	if b, ok := c.Value.(*ssa.Builtin); ok {
		switch b.Name() {
		case "append", "Add", "Slice", "SliceData", "String", "StringData":
			return c.Args[0]
		}
		return nil
	}
	f := Callee(c)
	if f == nil {
		return nil
	}
	if api.Name(f) == api.Root+".Must" {
		return c.Args[0]
	}
	if e, ok := p.Effect(c); ok && e.Shows != api.None && e.Shows < len(Args(c)) {
		return Args(c)[e.Shows]
	}
	return nil
}

// showing reports whether v is the result of a call that shows views.
func (p *Package) showing(v ssa.Value) bool {
	c, ok := v.(*ssa.Call)
	if !ok {
		return false
	}
	e, ok := p.Effect(&c.Call)
	return ok && e.Shows != api.None
}

// IsView reports whether values of a type can be views: strings, slices and pointers. The others
// that are results of the same call are copies.
func IsView(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Info()&types.IsString != 0
	case *types.Pointer, *types.Slice:
		return true
	}
	return false
}

// refers reports whether a value of type t can lead to memory.
func refers(t types.Type) bool {
	switch t := t.Underlying().(type) {
	case *types.Basic:
		return t.Kind() == types.UnsafePointer || t.Info()&types.IsString != 0
	case *types.Pointer, *types.Slice, *types.Tuple:
		return true
	case *types.Interface:
		return !types.Identical(t, types.Universe.Lookup("error").Type().Underlying())
	case *types.Struct: // a collections.String, or a Box
		return true
	}
	return false
}

// copies reports whether a conversion copies the bytes.
func copies(c *ssa.Convert) bool {
	_, from := c.X.Type().Underlying().(*types.Slice)
	_, to := c.Type().Underlying().(*types.Slice)
	return from != to
}

// Key returns a name of the memory at an address, or of the value of an allocator: the way to it
// from a variable, a parameter or a result. Two instructions with the same name lead to the same
// place if no store on the way has changed it.
func (w *Walk) Key(v ssa.Value) string {
	switch x := v.(type) {
	case *ssa.FieldAddr:
		if s, ok := types.Unalias(x.X.Type()).Underlying().(*types.Pointer).Elem().Underlying().(*types.Struct); ok {
			if f := s.Field(x.Field); f.Anonymous() {
				return w.Key(x.X)
			}
		}
		return w.Key(x.X) + "." + itoa(x.Field)
	case *ssa.UnOp:
		if x.Op == token.MUL {
			return "*" + w.Key(x.X)
		}
	case *ssa.MakeInterface:
		return w.Key(x.X)
	case *ssa.ChangeInterface:
		return w.Key(x.X)
	case *ssa.ChangeType:
		return w.Key(x.X)
	case *ssa.Call:
		if f := Callee(&x.Call); f != nil && api.Name(f) == api.Root+".Must" {
			return w.Key(x.Call.Args[0])
		}
	}
	return "#" + itoa(w.id(v)) + "#"
}

// Outlives describes a package variable, or a field of what a parameter leads to, in which the
// memory is; or it returns "".
func (w *Walk) Outlives(s *State) string {
	for key := range s.Cells {
		for v, id := range w.ids {
			root := "#" + itoa(id) + "#"
			switch x := v.(type) {
			case *ssa.Global:
				if strings.TrimLeft(key, "*") == root {
					return "the variable " + x.Name()
				}
			case *ssa.Parameter:
				// The fields of an owner that is closed itself are its own matter.
				if rest, ok := strings.CutPrefix(strings.TrimLeft(key, "*"), root); ok && rest != "" {
					return "a field of " + x.Name()
				}
			}
		}
	}
	return ""
}

// Aliases returns the values that lead to the same memory as v in any case: its origins, and the
// values derived from them.
func (w *Walk) Aliases(v ssa.Value) *State {
	s := NewState()
	from := v
	for {
		x := w.P.origin(from)
		if x == nil {
			break
		}
		if c, ok := x.(*ssa.Call); ok && from != v {
			if _, tuple := c.Type().(*types.Tuple); tuple {
				break
			}
		}
		if _, tuple := x.Type().(*types.Tuple); tuple {
			break
		}
		from = x
	}
	if _, ok := from.(*ssa.Const); ok {
		return s
	}
	if a, ok := from.(*ssa.Alloc); ok && !refers(a.Type().Underlying().(*types.Pointer).Elem()) {
		_ = a // the variable itself, as in Put(&x)
	}
	w.derive(from, s)
	return s
}

func (w *Walk) derive(v ssa.Value, s *State) {
	if s.Values[v] {
		return
	}
	s.Values[v] = true
	if v.Referrers() == nil {
		return
	}
	for _, in := range *v.Referrers() {
		x, ok := in.(ssa.Value)
		if !ok {
			continue
		}
		if w.P.origin(x) == v {
			w.derive(x, s)
			continue
		}
		if phi, ok := x.(*ssa.Phi); ok && onlyFrom(phi, s) {
			w.derive(phi, s)
		}
		if u, ok := x.(*ssa.UnOp); ok && u.Op == token.MUL && u.X == v && ownedSlice(u) && !w.detached(u) {
			w.derive(u, s)
		}
	}
}

// onlyFrom reports whether all edges of phi lead to the memory.
func onlyFrom(phi *ssa.Phi, s *State) bool {
	for _, e := range phi.Edges {
		if e != phi && !s.Values[e] {
			return false
		}
	}
	return true
}

// detached reports whether the function stores another slice where u has loaded one.
func (w *Walk) detached(u *ssa.UnOp) bool {
	k := w.Key(u.X)
	for _, b := range w.Fn.Blocks {
		for _, in := range b.Instrs {
			if st, ok := in.(*ssa.Store); ok && w.Key(st.Addr) == k {
				root := st.Val
				for x := w.P.origin(root); x != nil; x = w.P.origin(root) {
					root = x
				}
				if l, ok := root.(*ssa.UnOp); !ok || w.Key(l.X) != k {
					return true
				}
			}
		}
	}
	return false
}

// Use reports whether an instruction reads, writes or hands on the memory.
func (w *Walk) Use(in ssa.Instruction, s *State) bool {
	switch x := in.(type) {
	case *ssa.UnOp:
		return x.Op == token.MUL && s.Has(x.X) || x.Op == token.ARROW && s.Has(x.X)
	case *ssa.Store:
		if _, cell := x.Addr.(*ssa.Alloc); cell && !s.Has(x.Addr) {
			return false
		}
		return s.Has(x.Addr) || s.Has(x.Val) && varargs(x.Addr) == nil
	case *ssa.Index:
		return s.Has(x.X)
	case *ssa.Lookup:
		return s.Has(x.X)
	case *ssa.Range:
		return s.Has(x.X)
	case *ssa.Convert:
		return s.Has(x.X) && refers(x.X.Type()) && refers(x.Type()) && copies(x)
	case *ssa.MapUpdate:
		return s.Has(x.Key) || s.Has(x.Value)
	case *ssa.Send:
		return s.Has(x.X)
	case *ssa.BinOp: // strings are compared by their bytes
		_, basic := x.X.Type().Underlying().(*types.Basic)
		return basic && x.X.Type().Underlying().(*types.Basic).Info()&types.IsString != 0 && (s.Has(x.X) || s.Has(x.Y))
	case *ssa.Return:
		for _, r := range x.Results {
			if s.Has(r) {
				return true
			}
		}
	case ssa.CallInstruction:
		if b, ok := x.Common().Value.(*ssa.Builtin); ok {
			switch b.Name() {
			case "copy", "append", "clear", "print", "println":
			default:
				return false
			}
		}
		for _, a := range Args(x.Common()) {
			if s.Has(a) {
				return true
			}
		}
	}
	return false
}
