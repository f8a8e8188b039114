package samelayout

import (
	"go/constant"
	"go/token"
	"go/types"
	"strconv"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// number returns the symbol of a value that is not known otherwise.
func (c *checker) number(v ssa.Value) string {
	if _, ok := c.ids[v]; !ok {
		c.ids[v] = len(c.ids)
	}
	return "#" + strconv.Itoa(c.ids[v])
}

// layout evaluates a Layout.
func (c *checker) layout(v ssa.Value) Shape { return c.layoutAt(v, 0) }

const maxDepth = 20 // of expressions

func (c *checker) layoutAt(v ssa.Value, depth int) Shape {
	if depth > maxDepth {
		return Shape{}
	}
	v = settled(v)
	switch x := v.(type) {
	case *ssa.Const: // the zero Layout
		return Shape{Poly{}, fixed(1)}
	case *ssa.Parameter:
		s := c.parameter(x)
		return Shape{symbol(s + ".size"), symbol(s + ".align")}
	case *ssa.Extract:
		if call, ok := x.Tuple.(*ssa.Call); ok && x.Index == 0 {
			return c.layoutOfCall(call, depth)
		}
	case *ssa.Call:
		return c.layoutOfCall(x, depth)
	case *ssa.UnOp:
		if g, ok := x.X.(*ssa.Global); ok && x.Op == token.MUL {
			if s := c.global(g); s.known() {
				return s
			}
		}
	case *ssa.Phi:
		first := c.layoutAt(x.Edges[0], depth+1)
		for _, e := range x.Edges[1:] {
			if e != x && !c.layoutAt(e, depth+1).equal(first) {
				first = Shape{}
				break
			}
		}
		if first.known() && !first.local() {
			return first
		}
	}
	s := c.number(v)
	return Shape{symbol(s + ".size"), symbol(s + ".align")}
}

// parameter returns the symbol of a parameter.
func (c *checker) parameter(p *ssa.Parameter) string {
	if p.Parent().Parent() == nil {
		for i, q := range p.Parent().Params {
			if p == q {
				return "p" + strconv.Itoa(i)
			}
		}
	}
	return c.number(p)
}

func (c *checker) layoutOfCall(call *ssa.Call, depth int) Shape {
	f := flow.Callee(&call.Call)
	if f == nil {
		return Shape{}
	}
	args := flow.Args(&call.Call)
	arg := func(i int) Shape { return c.layoutAt(args[i], depth+1) }
	num := func(i int) Poly { return c.int(args[i], depth+1) }
	opaque := Shape{symbol(c.number(call) + ".size"), symbol(c.number(call) + ".align")}
	switch strings.TrimPrefix(api.Name(f), api.Root+".") {
	case "Must":
		return arg(0)
	case "LayoutOf":
		return c.typeShape(typeArg(call, 0))
	case "LayoutOfValue":
		if m, ok := args[0].(*ssa.MakeInterface); ok {
			switch m.X.Type().Underlying().(type) {
			case *types.Slice, *types.Basic: // of a string, the bytes
				return opaque
			}
			return c.typeShape(m.X.Type())
		}
	case "ArrayLayout":
		return c.array(typeArg(call, 0), num(0))
	case "NewLayout":
		if s := (Shape{num(0), num(1)}); s.known() {
			return s
		}
	case "Layout.AlignTo":
		s, a := arg(0), num(1)
		x, ok := s.Align.isConst()
		y, ok2 := a.isConst()
		if ok && ok2 {
			return Shape{s.Size, fixed(max(x, y))}
		}
		return Shape{s.Size, opaque.Align}
	case "Layout.PadToAlign":
		if s := arg(0); s.known() {
			if n, ok := padded(s); ok {
				return Shape{fixed(n), s.Align}
			}
			return Shape{opaque.Size, s.Align}
		}
	case "Layout.Repeat":
		if s, n := arg(0), num(1); s.known() && n != nil {
			size, _ := s.Size.isConst()
			stride, ok := padded(s)
			if k, isConst := n.isConst(); ok && isConst && k == 0 {
				return Shape{Poly{}, s.Align}
			}
			if ok {
				return Shape{n.times(fixed(stride)).plus(fixed(size-stride), 1), s.Align}
			}
		}
	case "Layout.RepeatPacked":
		if s, n := arg(0), num(1); s.known() && n != nil {
			return Shape{s.Size.times(n), s.Align}
		}
	case "Layout.Extend":
		s, t := arg(0), arg(1)
		size, ok := s.Size.isConst()
		a, ok2 := s.Align.isConst()
		next, ok3 := t.Size.isConst()
		b, ok4 := t.Align.isConst()
		if ok && ok2 && ok3 && ok4 && b > 0 {
			return Shape{fixed((size+b-1)/b*b + next), fixed(max(a, b))}
		}
	case "Layout.ExtendPacked":
		if s, t := arg(0), arg(1); s.known() && t.known() {
			return Shape{s.Size.plus(t.Size, 1), s.Align}
		}
	default:
		if s := c.effects(f, call.Call.StaticCallee()); s != nil && s.Returns.known() {
			return c.at(call.Common(), s.Returns, depth)
		}
	}
	return opaque
}

// padded returns the size rounded up to the alignment, of a Shape without symbols.
func padded(s Shape) (int64, bool) {
	size, ok := s.Size.isConst()
	align, ok2 := s.Align.isConst()
	if !ok || !ok2 || align <= 0 {
		return 0, false
	}
	return (size + align - 1) / align * align, true
}

// typeArg returns a type argument of a call, or nil.
func typeArg(call *ssa.Call, i int) types.Type {
	if f := call.Call.StaticCallee(); f != nil && i < len(f.TypeArgs()) {
		return f.TypeArgs()[i]
	}
	return nil
}

// typeShape returns the layout of a type.
func (c *checker) typeShape(t types.Type) Shape {
	if t == nil {
		return Shape{}
	}
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		s := "t" + strconv.Itoa(p.Index())
		return Shape{symbol(s + ".size"), symbol(s + ".align")}
	}
	if generic(t) {
		return Shape{}
	}
	return Shape{fixed(c.pass.TypesSizes.Sizeof(t)), fixed(c.pass.TypesSizes.Alignof(t))}
}

// array returns the layout of n values of type t.
func (c *checker) array(t types.Type, n Poly) Shape {
	s := c.typeShape(t)
	return Shape{s.Size.times(n), s.Align}
}

// generic reports whether a type has type parameters in it.
func generic(t types.Type) bool {
	switch t := types.Unalias(t).(type) {
	case *types.TypeParam:
		return true
	case *types.Named:
		for a := range t.TypeArgs().Types() {
			if generic(a) {
				return true
			}
		}
	case *types.Array:
		return generic(t.Elem())
	case *types.Struct:
		for f := range t.Fields() {
			if generic(f.Type()) {
				return true
			}
		}
	}
	return false
}

// int evaluates a number.
func (c *checker) int(v ssa.Value, depth int) Poly {
	if depth > maxDepth {
		return symbol(c.number(v))
	}
	v = settled(v)
	switch x := v.(type) {
	case *ssa.Const:
		if x.Value != nil && x.Value.Kind() == constant.Int {
			if n, ok := constant.Int64Val(x.Value); ok {
				return fixed(n)
			}
		}
	case *ssa.Parameter:
		return symbol(c.parameter(x))
	case *ssa.Convert:
		if b, ok := x.X.Type().Underlying().(*types.Basic); ok && b.Info()&types.IsInteger != 0 {
			return c.int(x.X, depth+1)
		}
	case *ssa.BinOp:
		a, b := c.int(x.X, depth+1), c.int(x.Y, depth+1)
		switch x.Op {
		case token.ADD:
			return a.plus(b, 1)
		case token.SUB:
			return a.plus(b, -1)
		case token.MUL:
			return a.times(b)
		case token.SHL:
			if n, ok := b.isConst(); ok && n >= 0 && n < 32 {
				return a.times(fixed(1 << n))
			}
		}
	case *ssa.Call:
		if f := flow.Callee(&x.Call); f != nil {
			switch api.Name(f) {
			case api.Root + ".Layout.Size":
				return c.layoutAt(x.Call.Args[0], depth+1).Size
			case api.Root + ".Layout.Align":
				return c.layoutAt(x.Call.Args[0], depth+1).Align
			}
		}
		if b, ok := x.Call.Value.(*ssa.Builtin); ok && len(x.Call.Args) == 1 {
			switch b.Name() {
			case "len", "cap":
				return symbol(c.number(x.Call.Args[0]) + "." + b.Name())
			case "Sizeof":
				return c.typeShape(x.Call.Args[0].Type()).Size
			case "Alignof":
				return c.typeShape(x.Call.Args[0].Type()).Align
			}
		}
	}
	return symbol(c.number(v))
}

// at returns a Shape of a function as it is at a call of the function.
func (c *checker) at(call *ssa.CallCommon, s Shape, depth int) Shape {
	args := flow.Args(call)
	return s.replace(func(name string) Poly {
		name, part, _ := strings.Cut(name, ".")
		i, err := strconv.Atoi(name[1:])
		if err != nil {
			return nil
		}
		if name[0] == 't' {
			f := call.StaticCallee()
			if f == nil || i >= len(f.TypeArgs()) {
				return nil
			}
			t := c.typeShape(f.TypeArgs()[i])
			if part == "size" {
				return t.Size
			}
			return t.Align
		}
		if i >= len(args) {
			return nil
		}
		switch part {
		case "size":
			return c.layoutAt(args[i], depth+1).Size
		case "align":
			return c.layoutAt(args[i], depth+1).Align
		}
		return c.int(args[i], depth+1)
	})
}

// settled returns the value of a variable that is set once, if v loads one, also in a closure.
func settled(v ssa.Value) ssa.Value {
	for {
		u, ok := v.(*ssa.UnOp)
		if !ok || u.Op != token.MUL {
			return v
		}
		at := u.X
		for {
			free, ok := at.(*ssa.FreeVar)
			if !ok {
				break
			}
			at = binding(free)
		}
		a, ok := at.(*ssa.Alloc)
		if !ok {
			return v
		}
		only := flow.OnlyStore(a)
		if only == nil {
			return v
		}
		v = only.Val
	}
}

// binding returns the variable that a closure has captured, or nil.
func binding(free *ssa.FreeVar) ssa.Value {
	f := free.Parent()
	for i, v := range f.FreeVars {
		if v != free {
			continue
		}
		for _, b := range f.Parent().Blocks {
			for _, in := range b.Instrs {
				if m, ok := in.(*ssa.MakeClosure); ok && m.Fn == f {
					return m.Bindings[i]
				}
			}
		}
	}
	return nil
}
