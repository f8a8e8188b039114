// Package rawaddress has the rule rawaddress, about addresses that are kept as numbers, invented
// pointers, and Go pointers in memory that the garbage collector does not scan.
package rawaddress

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/report"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// Analyzer is the rule rawaddress.
var Analyzer = &analysis.Analyzer{
	Name:      "rawaddress",
	Doc:       "report addresses of blocks kept as numbers, invented pointers, and Go pointers in blocks",
	Requires:  []*analysis.Analyzer{flow.Analyzer},
	FactTypes: []analysis.Fact{new(Raw)},
	Run:       run,
}

// Raw is the fact of a function that handles blocks or their addresses. The receiver of a method is
// argument 0.
type Raw struct {
	Block    bool    // the first result is the address of a block
	Address  bool    // the first result is a number, the address of a block
	Pointers []int   // arguments that are numbers, which the function makes pointers of
	Stores   []Store // the function stores Go pointers
}

// A Store is a store through argument To of argument From, or, if From is -1, of a Go pointer.
type Store struct{ To, From int }

// AFact makes Raw a fact.
func (*Raw) AFact() {}

type checker struct {
	pass *analysis.Pass
	p    *flow.Package
	r    *report.Reporter
	own  map[*ssa.Function]*Raw
	kept map[types.Object][]ssa.Value // the values that are stored in fields and package variables
	all  []*ssa.Function
	last bool // the facts are complete: report
}

func run(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil || api.Own(pass.Pkg) && !usesBlocks(pass.Pkg) {
		return nil, err
	}
	c := &checker{
		pass: pass, p: p, r: report.New(pass, p.Table),
		own: map[*ssa.Function]*Raw{}, kept: map[types.Object][]ssa.Value{}, all: slices.Clip(p.Funcs),
	}
	if init := p.SSA.Func("init"); init != nil {
		c.all = append(c.all, init)
	}
	c.findStores()
	c.constants()
	const rounds = 3
	for i := range rounds {
		c.last = i == rounds-1
		for _, f := range c.all {
			c.function(f)
		}
	}
	for f, r := range c.own {
		if o, ok := f.Object().(*types.Func); ok && (r.Block || r.Address || r.Pointers != nil || r.Stores != nil) {
			pass.ExportObjectFact(o, r)
		}
	}
	return nil, nil
}

// usesBlocks reports whether a package of galloc's module is a user of blocks, not an allocator or
// a collection, whose business are addresses.
func usesBlocks(p *types.Package) bool { return p.Name() == "main" }

// raw returns what is known of a function, or nil.
func (c *checker) raw(call *ssa.CallCommon) *Raw {
	f := flow.Callee(call)
	if f == nil {
		return nil
	}
	if g := call.StaticCallee(); g != nil {
		if o := g.Origin(); o != nil {
			g = o
		}
		if r := c.own[g]; r != nil {
			return r
		}
	}
	var r Raw
	if f.Pkg() != nil && f.Pkg() != c.pass.Pkg && c.pass.ImportObjectFact(f.Origin(), &r) {
		return &r
	}
	return nil
}

func (c *checker) findStores() {
	for _, f := range c.all {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if st, ok := in.(*ssa.Store); ok {
					if o := c.place(st.Addr); o != nil {
						c.kept[o] = append(c.kept[o], st.Val)
					}
				}
			}
		}
	}
}

// place returns the field or package variable of this package that an address is of, or nil.
func (c *checker) place(addr ssa.Value) types.Object {
	switch x := addr.(type) {
	case *ssa.FieldAddr:
		if s, ok := types.Unalias(x.X.Type()).Underlying().(*types.Pointer).Elem().Underlying().(*types.Struct); ok {
			if f := s.Field(x.Field); f.Pkg() == c.pass.Pkg {
				return f.Origin()
			}
		}
	case *ssa.Global:
		if o := x.Object(); o != nil && o.Pkg() == c.pass.Pkg {
			return o
		}
	}
	return nil
}

func (c *checker) function(f *ssa.Function) {
	r := &Raw{}
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			switch x := in.(type) {
			case *ssa.Convert:
				if isPointer(x.Type()) && isNumber(x.X.Type()) {
					c.pointer(r, x)
				}
			case *ssa.Store:
				c.store(r, x)
			case *ssa.Return:
				if len(x.Results) > 0 {
					r.Block = r.Block || c.block(x.Results[0], 0)
					r.Address = r.Address || isNumber(x.Results[0].Type()) && c.address(x.Results[0], 0) != nil
				}
			case ssa.CallInstruction:
				c.call(r, x)
			}
		}
	}
	if f.Parent() == nil {
		c.own[f] = r
	}
}

func isPointer(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.UnsafePointer
}

func isNumber(t types.Type) bool {
	b, ok := t.Underlying().(*types.Basic)
	return ok && b.Kind() == types.Uintptr
}

const minLegal = 4096 // smaller pointers end the program when the runtime sees them

// constants reports conversions of small constants to pointers.
func (c *checker) constants() {
	for _, f := range c.pass.Files {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 || !c.pass.TypesInfo.Types[call.Fun].IsType() || !isPointer(c.pass.TypesInfo.TypeOf(call)) {
				return true
			}
			k := c.pass.TypesInfo.Types[call.Args[0]].Value
			if k == nil || k.Kind() != constant.Int {
				return true
			}
			if n, ok := constant.Int64Val(k); ok && n > 0 && n < minLegal {
				c.r.Reportf(call.Pos(), "the pointer %d is invented: a pointer below %d ends the program; use Layout.Dangling", n, minLegal)
			}
			return true
		})
	}
}

// pointer checks a conversion of a number to a pointer.
func (c *checker) pointer(r *Raw, x *ssa.Convert) {
	if call := aligned(x.X); call != nil {
		c.report(x.Pos(), c.dangling(x, call), "the pointer to an alignment is invented: a pointer below %d ends the program; use Layout.Dangling", minLegal)
		return
	}
	if i := parameter(number(x.X)); i >= 0 && x.Parent().Parent() == nil && !slices.Contains(r.Pointers, i) {
		r.Pointers = append(r.Pointers, i)
	}
	if from := c.address(x.X, 0); from != nil && !c.together(from, x) {
		c.report(x.Pos(), nil, "the address of a block is kept as a number %s, and made a pointer here: keep an unsafe.Pointer, and use unsafe.Add", from.how)
	}
}

// aligned returns the call of Layout.Align that a number comes from, or nil.
func aligned(v ssa.Value) *ssa.Call {
	if x, ok := v.(*ssa.Convert); ok {
		v = x.X
	}
	call, ok := v.(*ssa.Call)
	if !ok {
		return nil
	}
	if f := flow.Callee(&call.Call); f != nil && api.Name(f) == api.Root+".Layout.Align" {
		return call
	}
	return nil
}

// number returns the number that v is calculated from.
func number(v ssa.Value) ssa.Value {
	for range 10 {
		switch x := v.(type) {
		case *ssa.BinOp:
			v = x.X
		case *ssa.Convert:
			if !isNumber(x.X.Type()) {
				return v
			}
			v = x.X
		case *ssa.ChangeType:
			v = x.X
		default:
			return v
		}
	}
	return v
}

func parameter(v ssa.Value) int {
	p, ok := v.(*ssa.Parameter)
	if !ok {
		return -1
	}
	return slices.Index(p.Parent().Params, p)
}

// An origin is where the address of a block becomes a number.
type origin struct {
	how string
	at  *ssa.Convert // in this function, or nil
}

// address returns the origin of a number that is the address of a block, or nil.
func (c *checker) address(v ssa.Value, depth int) *origin {
	if depth > 4 {
		return nil
	}
	v = number(v)
	switch x := v.(type) {
	case *ssa.Convert:
		if isPointer(x.X.Type()) && c.block(x.X, 0) {
			return &origin{"across a call", x}
		}
	case *ssa.Call:
		if r := c.raw(&x.Call); r != nil && r.Address {
			return &origin{how: "by " + flow.Short(&x.Call)}
		}
	case *ssa.UnOp:
		if x.Op != token.MUL {
			return nil
		}
		if o := c.place(x.X); o != nil {
			for _, v := range c.kept[o] {
				if c.address(v, depth+1) != nil {
					return &origin{how: "in " + o.Name()}
				}
			}
		}
		if a, ok := x.X.(*ssa.Alloc); ok { // a variable that a closure has too
			for _, in := range *a.Referrers() {
				if st, ok := in.(*ssa.Store); ok && st.Addr == a {
					if from := c.address(st.Val, depth+1); from != nil {
						return from
					}
				}
			}
		}
	case *ssa.Phi:
		for _, e := range x.Edges {
			from := c.address(e, depth+1)
			if from != nil && hasCall(x.Block()) {
				return &origin{how: from.how} // perhaps in an earlier iteration
			}
			if from != nil {
				return from
			}
		}
	}
	return nil
}

// hasCall reports whether a function is called in the blocks that a block dominates.
func hasCall(b *ssa.BasicBlock) bool {
	return slices.ContainsFunc(b.Instrs, isCall) || slices.ContainsFunc(b.Dominees(), hasCall)
}

// together reports whether a number exists only in one expression, or without a call before it is
// made a pointer.
func (c *checker) together(from *origin, to *ssa.Convert) bool {
	if from.at == nil {
		return false
	}
	if e := c.conversion(to.Pos()); e != nil && e.Pos() <= from.at.Pos() && from.at.Pos() < e.End() {
		return true
	}
	return !callBetween(from.at, to)
}

// conversion returns the conversion to an unsafe.Pointer at a place, or nil.
func (c *checker) conversion(pos token.Pos) (e *ast.CallExpr) {
	for _, f := range c.pass.Files {
		if pos < f.FileStart || pos > f.FileEnd {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if n, ok := n.(*ast.CallExpr); ok && (n.Lparen == pos || n.Pos() == pos) && isPointer(c.pass.TypesInfo.TypeOf(n)) {
				e = n
			}
			return e == nil
		})
	}
	return e
}

// callBetween reports whether a function may be called after a, and before b.
func callBetween(a, b ssa.Instruction) bool {
	if a.Block() == b.Block() {
		all := a.Block().Instrs
		i, j := slices.Index(all, a), slices.Index(all, b)
		return i < j && slices.ContainsFunc(all[i:j], isCall)
	}
	if slices.ContainsFunc(a.Block().Instrs[slices.Index(a.Block().Instrs, a):], isCall) {
		return true
	}
	if slices.ContainsFunc(b.Block().Instrs[:slices.Index(b.Block().Instrs, b)], isCall) {
		return true
	}
	for x := b.Block().Idom(); x != nil && x != a.Block(); x = x.Idom() {
		if slices.ContainsFunc(x.Instrs, isCall) {
			return true
		}
	}
	return false
}

func isCall(in ssa.Instruction) bool {
	c, ok := in.(*ssa.Call)
	if !ok {
		return false
	}
	_, builtin := c.Call.Value.(*ssa.Builtin)
	return !builtin
}

// dangling replaces unsafe.Pointer(l.Align()) by l.Dangling().
func (c *checker) dangling(x *ssa.Convert, call *ssa.Call) []analysis.SuggestedFix {
	e := c.conversion(x.Pos())
	if e == nil || len(e.Args) != 1 {
		return nil
	}
	arg := e.Args[0]
	for {
		if p, ok := arg.(*ast.ParenExpr); ok {
			arg = p.X
			continue
		}
		in, ok := arg.(*ast.CallExpr)
		if !ok {
			return nil
		}
		if s, ok := in.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Align" && in.Lparen == call.Pos() {
			return []analysis.SuggestedFix{{
				Message:   "use Layout.Dangling",
				TextEdits: []analysis.TextEdit{{Pos: e.Pos(), End: e.End(), NewText: []byte(types.ExprString(s.X) + ".Dangling()")}},
			}}
		}
		if len(in.Args) != 1 {
			return nil
		}
		arg = in.Args[0]
	}
}

func (c *checker) report(pos token.Pos, fixes []analysis.SuggestedFix, format string, args ...any) {
	if c.last && pos.IsValid() {
		c.r.Report(analysis.Diagnostic{Pos: pos, Message: fmt.Sprintf(format, args...), SuggestedFixes: fixes})
	}
}
