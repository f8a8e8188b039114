package flow

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"golang.org/x/tools/go/ssa"
)

// A Fate is what an instruction means for memory that the function owns.
type Fate int

// The fates.
const (
	Kept    Fate = iota // still the function's
	Ended               // ended, or about to be, by a deferred call
	Escaped             // something else may end it
)

// Fate returns what an instruction does with the memory.
func (w *Walk) Fate(in ssa.Instruction, s *State) Fate {
	switch x := in.(type) {
	case *ssa.Store:
		if !s.Has(x.Val) || varargs(x.Addr) != nil {
			return Kept
		}
		if a, ok := x.Addr.(*ssa.Alloc); ok && local(a) {
			return Kept
		}
		if s.Has(x.Addr) {
			return Kept
		}
		return Escaped
	case *ssa.MapUpdate:
		if s.Has(x.Key) || s.Has(x.Value) {
			return Escaped
		}
	case *ssa.Send:
		if s.Has(x.X) {
			return Escaped
		}
	case *ssa.Select:
		for _, st := range x.States {
			if s.Has(st.Send) {
				return Escaped
			}
		}
	case *ssa.Convert: // an address kept as a number
		if s.Has(x.X) && !refers(x.Type()) {
			return Escaped
		}
	case *ssa.Phi, *ssa.FieldAddr:
	case *ssa.MakeClosure:
		for _, b := range x.Bindings {
			if s.Has(b) || s.Cells[w.Key(b)] {
				return Escaped
			}
		}
	case *ssa.UnOp: // what is copied out of a value may be another's
		_, field := x.X.(*ssa.FieldAddr)
		if x.Op == token.MUL && s.Has(x.X) && (api.IsCollection(x.Type()) || field && refers(x.Type())) {
			return Escaped
		}
	case *ssa.Return:
		for _, r := range x.Results {
			if s.Has(r) {
				return Escaped
			}
		}
	case *ssa.Go:
		return w.handedTo(x.Common(), s, true)
	case ssa.CallInstruction:
		return w.handedTo(x.Common(), s, false)
	}
	return Kept
}

func (w *Walk) handedTo(c *ssa.CallCommon, s *State, later bool) Fate {
	if b, ok := c.Value.(*ssa.Builtin); ok {
		if b.Name() == "append" {
			for _, a := range c.Args[1:] {
				// The elements are copied, which lead elsewhere if they are references.
				if s.Has(a) && fromVarargs(a) {
					return Escaped
				}
			}
		}
		return Kept
	}
	e, known := w.P.Effect(c)
	for i, a := range Args(c) {
		switch {
		case !s.Has(a):
		case known && (e.Ends == i || e.Frees == i):
			return Ended
		case later:
			return Escaped
		case known && e.Borrows == nil, known && contains(e.Borrows, i), borrows(c):
		default:
			return Escaped
		}
	}
	if s.Has(c.Value) {
		return Escaped
	}
	return Kept
}

func fromVarargs(v ssa.Value) bool {
	if x, ok := v.(*ssa.Slice); ok {
		a, ok := x.X.(*ssa.Alloc)
		return ok && a.Comment == "varargs"
	}
	return false
}

func contains(all []int, i int) bool {
	for _, x := range all {
		if x == i {
			return true
		}
	}
	return false
}

// local reports whether a variable is used by loads and stores only.
func local(a *ssa.Alloc) bool {
	for _, in := range *a.Referrers() {
		switch x := in.(type) {
		case *ssa.Store:
			if x.Addr != a {
				return false
			}
		case *ssa.UnOp, *ssa.DebugRef:
		case ssa.CallInstruction, *ssa.FieldAddr:
			// The methods of a Box or a String that is a variable.
			if !api.IsCollection(a.Type().Underlying().(*types.Pointer).Elem()) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// borrows reports whether a function of the standard library is known not to keep its arguments.
func borrows(c *ssa.CallCommon) bool {
	f := Callee(c)
	if f == nil || f.Pkg() == nil {
		return false
	}
	switch f.Pkg().Path() {
	case "fmt":
		return strings.HasPrefix(f.Name(), "Print") || strings.HasPrefix(f.Name(), "Fprint")
	case "sort", "encoding/binary", "crypto/rand", "math/rand", "math/rand/v2", "unicode/utf8", "hash/crc32":
		return true
	case "slices":
		return strings.HasPrefix(f.Name(), "Sort") || f.Name() == "Reverse"
	case "io":
		return f.Name() == "Read" || f.Name() == "Write" || f.Name() == "ReadFull"
	case "os":
		return f.Name() == "Read" || f.Name() == "Write"
	}
	return false
}
