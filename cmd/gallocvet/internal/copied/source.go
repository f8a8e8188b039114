package copied

import (
	"go/token"
	"go/types"
	"slices"

	"golang.org/x/tools/go/ssa"
)

// copyOf reports whether a load copies a value that has been used, and that stays in use.
func copyOf(c *checker, u *ssa.UnOp) bool {
	if !consumed(c, u) || moved(u) {
		return false
	}
	switch x := root(u.X).(type) {
	case *ssa.Alloc:
		return c.usedAround(x, u)
	case *ssa.Call: // *f(), whose result nothing else can use
		return len(*x.Referrers()) > 1
	}
	return true
}

// consumed reports whether the loaded value goes anywhere as a whole.
func consumed(c *checker, u *ssa.UnOp) bool {
	for _, in := range *u.Referrers() {
		switch x := in.(type) {
		case *ssa.DebugRef, *ssa.BinOp:
		case *ssa.Field:
			if c.holds(x.Type()) != nil {
				return true
			}
		case *ssa.Return:
			// A named result that is returned by a bare return is not copied in the source.
			if a, ok := u.X.(*ssa.Alloc); !ok || !slices.Contains(results(u.Parent()), a.Pos()) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// results returns the positions of the named results of a function.
func results(f *ssa.Function) (all []token.Pos) {
	for v := range f.Signature.Results().Variables() {
		if v.Name() != "" && v.Name() != "_" {
			all = append(all, v.Pos())
		}
	}
	return all
}

// root returns the variable that an address is in, or the address itself.
func root(v ssa.Value) ssa.Value {
	for {
		switch x := v.(type) {
		case *ssa.FieldAddr:
			v = x.X
		case *ssa.IndexAddr:
			if _, slice := x.X.Type().Underlying().(*types.Slice); slice {
				return v
			}
			v = x.X
		default:
			return v
		}
	}
}

// moved reports whether the place of a load is overwritten in the same block, before any other use
// of the place: as in v := s.v; s.v = collections.Vec[int]{}, and when two values change places.
func moved(u *ssa.UnOp) bool {
	all := u.Block().Instrs
	for _, in := range all[slices.Index(all, ssa.Instruction(u))+1:] {
		switch x := in.(type) {
		case *ssa.Store:
			if same(x.Addr, u.X) {
				return true
			}
		case *ssa.Defer, *ssa.Go, *ssa.Return, *ssa.Call:
			return false
		}
	}
	return false
}

// same reports whether two addresses are the same place, in one block.
func same(a, b ssa.Value) bool {
	if a == b {
		return true
	}
	switch x := a.(type) {
	case *ssa.FieldAddr:
		y, ok := b.(*ssa.FieldAddr)
		return ok && x.Field == y.Field && same(x.X, y.X)
	case *ssa.IndexAddr:
		y, ok := b.(*ssa.IndexAddr)
		return ok && same(x.X, y.X) && same(x.Index, y.Index)
	case *ssa.UnOp:
		y, ok := b.(*ssa.UnOp)
		return ok && x.Op == y.Op && same(x.X, y.X)
	case *ssa.Const:
		y, ok := b.(*ssa.Const)
		return ok && x.Value == y.Value
	}
	return false
}

// usedAround reports whether a local variable is used before the copy u, or has content and is used
// after it.
func (c *checker) usedAround(a *ssa.Alloc, u *ssa.UnOp) bool {
	var uses []ssa.Instruction
	content := false
	var visit func(ssa.Value)
	visit = func(v ssa.Value) {
		for _, in := range *v.Referrers() {
			switch x := in.(type) {
			case *ssa.Store:
				if x.Val == v {
					uses = append(uses, in)
				} else if _, zero := x.Val.(*ssa.Const); !zero && c.holds(x.Val.Type()) != nil {
					content = true
				}
			case *ssa.UnOp, *ssa.DebugRef:
			case *ssa.FieldAddr:
				if c.holds(x.Type().Underlying().(*types.Pointer).Elem()) != nil {
					visit(x)
				}
			case *ssa.IndexAddr:
				visit(x)
			default:
				uses = append(uses, in)
			}
		}
	}
	visit(a)
	for _, in := range uses {
		if reaches(in, u, a) || content && reaches(u, in, a) {
			return true
		}
	}
	return false
}

// reaches reports whether b can be executed after a, without the execution of stop in between.
func reaches(a, b, stop ssa.Instruction) bool {
	seen := map[*ssa.BasicBlock]bool{}
	var from func(*ssa.BasicBlock, int) bool
	from = func(x *ssa.BasicBlock, i int) bool {
		for _, in := range x.Instrs[i:] {
			if in == b {
				return true
			}
			if in == stop {
				return false
			}
		}
		for _, next := range x.Succs {
			if !seen[next] {
				seen[next] = true
				if from(next, 0) {
					return true
				}
			}
		}
		return false
	}
	return from(a.Block(), slices.Index(a.Block().Instrs, a)+1)
}
