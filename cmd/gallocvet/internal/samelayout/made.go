package samelayout

import (
	"go/token"
	"go/types"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/ssa"
)

// A block is memory whose layout is known.
type block struct {
	by    *ssa.Call // that has made it
	shape Shape
	// place describes memory of a field or a package variable, for which by is not known.
	place string
}

// blocks returns the blocks that v may be the address of, or nil if one of them is not known.
// inside reports whether v leads into the block, not to its begin.
func (c *checker) blocks(v ssa.Value, depth int) (all []block, inside bool) {
	for range maxDepth {
		v = settled(v)
		switch x := v.(type) {
		case *ssa.Convert:
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		case *ssa.MakeInterface:
			v = x.X
		case *ssa.SliceToArrayPointer:
			v = x.X
		case *ssa.IndexAddr: // &b[0]
			if _, slice := x.X.Type().Underlying().(*types.Slice); !slice {
				return nil, false
			}
			if n, ok := c.int(x.Index, 0).isConst(); !ok {
				return nil, false
			} else if n != 0 {
				inside = true
			}
			v = x.X
		case *ssa.Slice:
			if x.Low != nil {
				n, ok := c.int(x.Low, 0).isConst()
				if !ok {
					return nil, false
				}
				inside = inside || n != 0
			}
			v = x.X
		case *ssa.Extract:
			call, ok := x.Tuple.(*ssa.Call)
			if !ok || x.Index != 0 {
				return nil, false
			}
			if s := c.made(call); s.known() {
				return []block{{by: call, shape: s}}, inside
			}
			return nil, false
		case *ssa.Call:
			if b, ok := x.Call.Value.(*ssa.Builtin); ok {
				switch b.Name() {
				case "SliceData", "Slice":
				case "Add":
					n, ok := c.int(x.Call.Args[1], 0).isConst()
					if !ok {
						return nil, false
					}
					inside = inside || n != 0
				default:
					return nil, false
				}
				v = x.Call.Args[0]
				continue
			}
			if f := flow.Callee(&x.Call); f != nil && api.Name(f) == api.Root+".Must" {
				v = x.Call.Args[0]
				continue
			}
			if s := c.made(x); s.known() {
				return []block{{by: x, shape: s}}, inside
			}
			return nil, false
		case *ssa.Phi:
			if depth > 2 {
				return nil, false
			}
			for _, e := range x.Edges {
				if k, ok := e.(*ssa.Const); ok && k.IsNil() {
					continue
				}
				b, in := c.blocks(e, depth+1)
				if b == nil {
					return nil, false
				}
				inside = inside || in
				all = append(all, b...)
			}
			return all, inside
		case *ssa.UnOp:
			if x.Op == token.MUL {
				return c.kept(x.X), inside
			}
			return nil, false
		default:
			return nil, false
		}
	}
	return nil, false
}

// made returns the layout of the memory that a call makes, if it is known.
func (c *checker) made(call *ssa.Call) Shape {
	f := flow.Callee(&call.Call)
	if f == nil {
		return Shape{}
	}
	if s := c.effects(f, call.Call.StaticCallee()); s != nil {
		if s.Made.known() {
			return c.at(call.Common(), s.Made, 0)
		}
		return Shape{}
	}
	e, ok := c.p.Table.Find(f)
	args := flow.Args(&call.Call)
	if !ok || !e.Makes || !inTable(f) {
		return Shape{}
	}
	switch f.Name() {
	case "New", "NewUninit":
		return c.typeShape(typeArg(call, 0))
	case "MakeSlice", "MakeSliceCap", "GrowSlice":
		return c.array(typeArg(call, 0), c.int(args[len(args)-1], 0))
	case "Realloc":
		old := c.layout(args[len(args)-2])
		return Shape{c.int(args[len(args)-1], 0), old.Align}
	case "Alloc", "AllocZeroed", "Allocate", "AllocateZeroed", "Grow", "GrowZeroed", "Shrink":
		return c.layout(args[len(args)-1])
	}
	return Shape{}
}

// inTable reports whether the rule knows the arguments of f, a function of package galloc or a
// method of an allocator, but not a constructor of a collection.
func inTable(f *types.Func) bool {
	return f.Signature().Recv() != nil || f.Pkg() != nil && f.Pkg().Path() == api.Root
}

// An end is the end of a block by a call.
type end struct {
	arg   int   // the argument that leads to the block
	shape Shape // the layout that the caller states
}

// ends returns what a call says about the layout of a block that it ends or changes.
func (c *checker) ends(call *ssa.CallCommon) (all []end) {
	f := flow.Callee(call)
	if f == nil {
		return nil
	}
	if s := c.effects(f, call.StaticCallee()); s != nil {
		for _, e := range s.Ends {
			all = append(all, end{e.Arg, c.at(call, e.Shape, 0)})
		}
		return all
	}
	e, ok := c.p.Table.Find(f)
	args := flow.Args(call)
	if !ok || e.Ends < 0 || e.Ends+1 > len(args) || !inTable(f) {
		return nil
	}
	p := e.Ends
	switch name := strings.TrimPrefix(api.Name(f), api.Root+"."); {
	case name == "Free":
		if g := call.StaticCallee(); g != nil && len(g.TypeArgs()) == 1 {
			return []end{{p, c.typeShape(g.TypeArgs()[0])}}
		}
	case name == "FreeSlice" || name == "GrowSlice":
		return []end{{p, c.sliceShape(args[p])}}
	case name == "AppendSlice":
	case p+1 < len(args) && api.IsNamed(args[p+1].Type(), "Layout"):
		return []end{{p, c.layout(args[p+1])}}
	}
	return nil
}

// sliceShape returns the layout that follows from the type and the capacity of a slice, if that is
// not the one that it was made with.
func (c *checker) sliceShape(v ssa.Value) Shape {
	for range maxDepth {
		v = settled(v)
		elem := v.Type().Underlying()
		s, ok := elem.(*types.Slice)
		if !ok {
			return Shape{}
		}
		switch x := v.(type) {
		case *ssa.ChangeType:
			v = x.X
		case *ssa.Slice:
			if x.Low != nil {
				return Shape{}
			}
			if x.Max != nil {
				return c.array(s.Elem(), c.int(x.Max, 0))
			}
			v = x.X
		case *ssa.Call:
			if b, ok := x.Call.Value.(*ssa.Builtin); ok && b.Name() == "Slice" {
				return c.array(s.Elem(), c.int(x.Call.Args[1], 0))
			}
			return Shape{}
		default:
			return Shape{}
		}
	}
	return Shape{}
}
