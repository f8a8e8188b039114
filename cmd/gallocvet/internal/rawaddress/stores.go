package rawaddress

import (
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// block reports whether v is an address in a block that was allocated without a type: by Alloc,
// Allocate and the like, C's malloc or mmap.
func (c *checker) block(v ssa.Value, depth int) bool {
	if depth > 4 {
		return false
	}
	for range 20 {
		switch x := v.(type) {
		case *ssa.FieldAddr:
			v = x.X
		case *ssa.IndexAddr:
			v = x.X
		case *ssa.Slice:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.Convert:
			if isNumber(x.X.Type()) {
				return c.address(x.X, depth+1) != nil
			}
			if _, text := x.X.Type().Underlying().(*types.Slice); text {
				return false
			}
			v = x.X
		case *ssa.Extract:
			call, ok := x.Tuple.(*ssa.Call)
			return ok && x.Index == 0 && c.allocates(call)
		case *ssa.Call:
			if b, ok := x.Call.Value.(*ssa.Builtin); ok {
				switch b.Name() {
				case "Add", "Slice", "SliceData", "String", "StringData":
					v = x.Call.Args[0]
					continue
				}
				return false
			}
			if f := flow.Callee(&x.Call); f != nil && api.Name(f) == api.Root+".Must" {
				v = x.Call.Args[0]
				continue
			}
			return c.allocates(x)
		case *ssa.Phi:
			found := false
			for _, e := range x.Edges {
				if k, ok := e.(*ssa.Const); ok && k.IsNil() || e == x {
					continue
				}
				if !c.block(e, depth+1) {
					return false
				}
				found = true
			}
			return found
		case *ssa.UnOp:
			if x.Op != token.MUL {
				return false
			}
			return c.keeps(x.X, depth)
		default:
			return false
		}
	}
	return false
}

// keeps reports whether all that is stored at an address are blocks.
func (c *checker) keeps(addr ssa.Value, depth int) bool {
	var all []ssa.Value
	if o := c.place(addr); o != nil {
		if o.Exported() && o.Pkg().Name() != "main" {
			return false
		}
		all = c.kept[o]
	} else if a, ok := addr.(*ssa.Alloc); ok {
		for _, in := range *a.Referrers() {
			switch x := in.(type) {
			case *ssa.Store:
				if x.Addr != a {
					return false
				}
				all = append(all, x.Val)
			case *ssa.UnOp, *ssa.DebugRef, *ssa.MakeClosure:
			default:
				return false
			}
		}
	}
	found := false
	for _, v := range all {
		if k, ok := v.(*ssa.Const); ok && k.IsNil() {
			continue
		}
		if !c.block(v, depth+1) {
			return false
		}
		found = true
	}
	return found
}

// allocates reports whether the first result of a call is a block without a type.
func (c *checker) allocates(call *ssa.Call) bool {
	if r := c.raw(&call.Call); r != nil {
		return r.Block
	}
	f := flow.Callee(&call.Call)
	if f == nil {
		return false
	}
	switch api.Name(f) {
	case "C.malloc", "C.calloc", "C.realloc", "syscall.Mmap", "golang.org/x/sys/unix.Mmap":
		return true
	case api.Root + ".NewUninit", api.Root + "/pool.Pool.Get":
		return true
	}
	e, ok := c.p.Table.Find(f)
	if !ok || !e.Makes {
		return false
	}
	switch f.Name() {
	case "Alloc", "AllocZeroed", "Realloc", "Allocate", "AllocateZeroed", "Grow", "GrowZeroed", "Shrink":
		return true
	}
	return false
}

// store checks a store through a pointer.
func (c *checker) store(r *Raw, st *ssa.Store) {
	if !pointerful(st.Val.Type()) || varargs(st.Addr) {
		return
	}
	if p, ok := base(st.Addr).(*ssa.Parameter); ok && p.Parent().Parent() == nil && isPtr(p.Type()) {
		i := parameter(p)
		if j := parameter(st.Val); j >= 0 {
			add(r, Store{i, j})
		} else if c.goPointer(st.Val, 0) != "" {
			add(r, Store{i, -1})
		}
		return
	}
	if !c.block(st.Addr, 0) {
		return
	}
	if what := c.goPointer(st.Val, 0); what != "" {
		c.stored(st.Pos(), what)
	} else if what := handed(st.Val); what != "" {
		c.stored(st.Pos(), what)
	}
}

func isPtr(t types.Type) bool {
	_, ok := t.Underlying().(*types.Pointer)
	return ok
}

func varargs(addr ssa.Value) bool {
	i, ok := addr.(*ssa.IndexAddr)
	if !ok {
		return false
	}
	a, ok := i.X.(*ssa.Alloc)
	return ok && a.Comment == "varargs"
}

func add(r *Raw, s Store) {
	if s.To >= 0 && !slices.Contains(r.Stores, s) {
		r.Stores = append(r.Stores, s)
	}
}

func (c *checker) stored(pos token.Pos, what string) {
	c.report(pos, nil, "%s is stored in a block, where the garbage collector does not see it", what)
}

// base returns the pointer that an address is derived from.
func base(v ssa.Value) ssa.Value {
	for {
		switch x := v.(type) {
		case *ssa.FieldAddr:
			v = x.X
		case *ssa.IndexAddr:
			v = x.X
		default:
			return v
		}
	}
}

// pointerful reports whether values of a type have Go pointers.
func pointerful(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.String || u.Kind() == types.UnsafePointer
	case *types.Pointer, *types.Slice, *types.Map, *types.Chan, *types.Signature, *types.Interface:
		return true
	case *types.Array:
		return u.Len() > 0 && pointerful(u.Elem())
	case *types.Struct:
		for f := range u.Fields() {
			if pointerful(f.Type()) {
				return true
			}
		}
	}
	return false
}

// handed describes a parameter that is a Go pointer by its type, unless it is nil.
func handed(v ssa.Value) string {
	if _, ok := v.(*ssa.Parameter); !ok {
		return ""
	}
	switch u := v.Type().Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.String {
			return "a string of the caller"
		}
	case *types.Map:
		return "a map"
	case *types.Chan:
		return "a channel"
	case *types.Signature:
		return "a function value"
	case *types.Interface:
		return "an interface"
	}
	return ""
}

// goPointer describes a value that certainly leads to the Go heap, or returns "".
func (c *checker) goPointer(v ssa.Value, depth int) string {
	if depth > 6 {
		return ""
	}
	switch x := v.(type) {
	case *ssa.Alloc:
		return "a pointer to a Go variable"
	case *ssa.MakeSlice:
		return "a Go slice"
	case *ssa.MakeMap:
		return "a map"
	case *ssa.MakeChan:
		return "a channel"
	case *ssa.MakeClosure:
		return "a closure"
	case *ssa.MakeInterface:
		if _, constant := x.X.(*ssa.Const); constant {
			return ""
		}
		switch x.X.Type().Underlying().(type) {
		case *types.Pointer, *types.Map, *types.Chan, *types.Signature:
			return c.goPointer(x.X, depth+1)
		case *types.Struct:
			if x.X.Type().Underlying().(*types.Struct).NumFields() == 0 {
				return ""
			}
		}
		return "an interface"
	case *ssa.ChangeInterface:
		return c.goPointer(x.X, depth+1)
	case *ssa.ChangeType:
		return c.goPointer(x.X, depth+1)
	case *ssa.Slice:
		return c.goPointer(x.X, depth+1)
	case *ssa.FieldAddr:
		return c.goPointer(x.X, depth+1)
	case *ssa.IndexAddr:
		return c.goPointer(x.X, depth+1)
	case *ssa.Convert:
		from, to := x.X.Type().Underlying(), x.Type().Underlying()
		_, constant := x.X.(*ssa.Const)
		if b, ok := to.(*types.Basic); ok && b.Kind() == types.String && !constant {
			if _, ok := from.(*types.Basic); !ok {
				return "a string on the Go heap"
			}
		}
		if _, ok := to.(*types.Slice); ok {
			return "a Go slice"
		}
		return c.goPointer(x.X, depth+1)
	case *ssa.BinOp:
		if x.Op == token.ADD {
			return "a string on the Go heap"
		}
	case *ssa.Phi:
		for _, e := range x.Edges {
			if e != x {
				if what := c.goPointer(e, depth+1); what != "" {
					return what
				}
			}
		}
	case *ssa.Extract:
		if call, ok := x.Tuple.(*ssa.Call); ok {
			return result(call, x.Type())
		}
	case *ssa.Call:
		if b, ok := x.Call.Value.(*ssa.Builtin); ok {
			if b.Name() == "append" {
				if k, ok := x.Call.Args[0].(*ssa.Const); ok && k.IsNil() {
					return "a Go slice"
				}
				return c.goPointer(x.Call.Args[0], depth+1)
			}
			if b.Name() == "Slice" || b.Name() == "SliceData" || b.Name() == "String" || b.Name() == "StringData" {
				return c.goPointer(x.Call.Args[0], depth+1)
			}
			return ""
		}
		return result(x, x.Type())
	case *ssa.UnOp: // a struct that is made here
		a, ok := x.X.(*ssa.Alloc)
		if !ok || x.Op != token.MUL {
			return ""
		}
		return c.fields(a, depth+1)
	}
	return ""
}

// fields looks for Go pointers in the fields of a variable, or in the variable.
func (c *checker) fields(a *ssa.Alloc, depth int) string {
	for _, in := range *a.Referrers() {
		var st *ssa.Store
		switch x := in.(type) {
		case *ssa.Store:
			st = x
		case *ssa.FieldAddr:
			for _, y := range *x.Referrers() {
				if s, ok := y.(*ssa.Store); ok && s.Addr == x {
					st = s
				}
			}
		}
		if st == nil || st.Val == a || !pointerful(st.Val.Type()) {
			continue
		}
		if what := c.goPointer(st.Val, depth+1); what != "" {
			return what
		}
		if what := handed(st.Val); what != "" {
			return what
		}
	}
	return ""
}

// result describes the result of a function of the standard library.
func result(call *ssa.Call, t types.Type) string {
	f := flow.Callee(&call.Call)
	if f == nil || f.Pkg() == nil {
		return ""
	}
	for _, part := range []string{"Trim", "Cut", "Split", "Fields"} {
		if strings.HasPrefix(f.Name(), part) {
			return "" // a part of the argument
		}
	}
	switch f.Pkg().Path() {
	case "fmt", "strings", "strconv", "bytes", "os", "errors", "time":
		switch t.Underlying().(type) {
		case *types.Slice, *types.Interface, *types.Pointer, *types.Basic:
			if pointerful(t) {
				return "the result of " + flow.Short(&call.Call)
			}
		}
	}
	return ""
}

// call checks what a function does with its arguments.
func (c *checker) call(r *Raw, in ssa.CallInstruction) {
	call := in.Common()
	args := flow.Args(call)
	if b, ok := call.Value.(*ssa.Builtin); ok {
		if b.Name() != "copy" || len(args) != 2 {
			return
		}
		s, ok := args[0].Type().Underlying().(*types.Slice)
		if !ok || !pointerful(s.Elem()) || !c.block(args[0], 0) || c.block(args[1], 0) {
			return
		}
		switch u := s.Elem().Underlying().(type) {
		case *types.Map, *types.Chan, *types.Signature, *types.Interface:
			c.stored(in.Pos(), "an element with Go pointers")
		case *types.Basic:
			if u.Kind() == types.String {
				c.stored(in.Pos(), "a string")
			}
		}
		return
	}
	raw := c.raw(call)
	if raw == nil {
		return
	}
	for _, i := range raw.Pointers {
		if i >= len(args) {
			continue
		}
		if from := c.address(args[i], 0); from != nil {
			c.report(in.Pos(), nil, "the address of a block is passed as a number to %s, which makes a pointer of it: pass an unsafe.Pointer", flow.Short(call))
		} else if j := parameter(number(args[i])); j >= 0 && in.Parent().Parent() == nil && !slices.Contains(r.Pointers, j) {
			r.Pointers = append(r.Pointers, j)
		}
	}
	for _, s := range raw.Stores {
		if s.To >= len(args) || s.From >= len(args) {
			continue
		}
		what := "a Go pointer"
		if s.From >= 0 {
			if what = c.goPointer(args[s.From], 0); what == "" {
				what = handed(args[s.From])
			}
		}
		if what != "" && c.block(args[s.To], 0) {
			c.report(in.Pos(), nil, "%s is stored in a block by %s, where the garbage collector does not see it", what, flow.Short(call))
		} else if i := parameter(args[s.To]); i >= 0 && in.Parent().Parent() == nil {
			if s.From >= 0 && parameter(args[s.From]) >= 0 {
				add(r, Store{i, parameter(args[s.From])})
			} else if s.From < 0 || what != "" {
				add(r, Store{i, -1})
			}
		}
	}
}
