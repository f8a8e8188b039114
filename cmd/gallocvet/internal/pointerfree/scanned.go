package pointerfree

import (
	"go/token"
	"go/types"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// The knowledge of an allocator.
const (
	unseen  = iota // the garbage collector does not scan its memory
	seen           // it does, or may
	ofParam        // it is a parameter
)

// scanned reports what is known of the allocator a, and of which parameter it is.
func scanned(a ssa.Value) (what, param int) {
	for range 20 {
		switch x := a.(type) {
		case *ssa.Const:
			if x.IsNil() {
				return unseen, -1 // galloc.Global
			}
			return seen, -1
		case *ssa.MakeInterface:
			return ofType(x.X), -1
		case *ssa.ChangeInterface:
			a = x.X
			continue
		case *ssa.Parameter:
			if _, ok := x.Type().Underlying().(*types.Interface); ok && x.Parent().Parent() == nil {
				return ofParam, slices.Index(x.Parent().Params, x)
			}
		case *ssa.Call:
			f := flow.Callee(&x.Call)
			if f == nil {
				return seen, -1
			}
			switch api.Name(f) {
			case api.Root + ".AsAllocator", api.Root + ".AsGlobal":
				a = x.Call.Args[0]
				continue
			}
		case *ssa.UnOp:
			if v, ok := x.X.(*ssa.Alloc); ok && x.Op == token.MUL {
				if only := onlyStore(v); only != nil {
					a = only
					continue
				}
			}
		}
		return seen, -1
	}
	return seen, -1
}

func onlyStore(a *ssa.Alloc) (v ssa.Value) {
	for _, in := range *a.Referrers() {
		switch x := in.(type) {
		case *ssa.Store:
			if x.Addr != a || v != nil {
				return nil
			}
			v = x.Val
		case *ssa.UnOp, *ssa.DebugRef:
		default:
			return nil
		}
	}
	return v
}

// ofType reports what follows from the type of an allocator, or from the allocators that it wraps.
func ofType(v ssa.Value) int {
	t := v.Type()
	o, _, _ := types.LookupFieldOrMethod(t, true, nil, "AllocateTyped")
	if _, ok := o.(*types.Func); !ok {
		if _, ok := t.Underlying().(*types.Interface); ok {
			return seen
		}
		return unseen
	}
	// A wrapper of galloc holds pointers if all allocators inside do.
	call, ok := v.(*ssa.Call)
	if e, isExtract := v.(*ssa.Extract); isExtract {
		call, ok = e.Tuple.(*ssa.Call)
	}
	if !ok {
		return seen
	}
	f := flow.Callee(&call.Call)
	if f == nil || f.Pkg() == nil || !api.IsOwn(f.Pkg(), "wrap") && !api.IsOwn(f.Pkg(), "memcheck") {
		return seen
	}
	for _, a := range call.Call.Args {
		if api.IsNamed(a.Type(), "Allocator") {
			if what, _ := scanned(a); what == unseen {
				return unseen
			}
		}
	}
	return seen
}
