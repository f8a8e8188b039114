package flow

import "golang.org/x/tools/go/ssa"

// OnlyStore returns the only store to a variable, or nil if there are others, or may be.
func OnlyStore(a *ssa.Alloc) (only *ssa.Store) {
	for _, in := range *a.Referrers() {
		switch x := in.(type) {
		case *ssa.Store:
			if x.Addr != a || only != nil {
				return nil
			}
			only = x
		case *ssa.UnOp, *ssa.DebugRef:
		case *ssa.MakeClosure:
			f := x.Fn.(*ssa.Function)
			for i, b := range x.Bindings {
				if b == a && !readOnly(f.FreeVars[i]) {
					return nil
				}
			}
		default:
			return nil
		}
	}
	return only
}

// readOnly reports whether a captured variable is only loaded.
func readOnly(v *ssa.FreeVar) bool {
	for _, in := range *v.Referrers() {
		switch x := in.(type) {
		case *ssa.UnOp, *ssa.DebugRef:
		case *ssa.MakeClosure:
			f := x.Fn.(*ssa.Function)
			for i, b := range x.Bindings {
				if b == v && !readOnly(f.FreeVars[i]) {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}
