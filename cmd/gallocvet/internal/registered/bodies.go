package registered

import (
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/api"
	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// bodies has what the functions of a package do.
type bodies struct {
	pass  *analysis.Pass
	p     *flow.Package
	known map[*ssa.Function]*body
	kept  map[types.Object][]*ssa.Store // into fields, and package variables
	refs  map[*ssa.Global][]ssa.Instruction
}

// A body is what one function does.
type body struct {
	faults, global []fault
	calls          []*ssa.Function // in the package
}

func runBodies(pass *analysis.Pass) (any, error) {
	p, err := flow.Of(pass)
	if err != nil || !p.Galloc || p.SSA == nil || pass.Pkg.Path() == api.Root {
		return new(bodies), nil // flow's error is reported by the rules
	}
	c := &bodies{pass, p, map[*ssa.Function]*body{}, map[types.Object][]*ssa.Store{}, map[*ssa.Global][]ssa.Instruction{}}
	c.findStores()
	if api.Own(pass.Pkg) {
		return c, nil
	}
	for _, f := range p.Funcs {
		o, ok := f.Object().(*types.Func)
		if !ok || f.Parent() != nil {
			continue
		}
		b := &Body{}
		for _, x := range reachable(c, f, func(b *body) []fault { return b.faults }) {
			b.Faults = appendKind(b.Faults, x.Fault)
		}
		for _, x := range reachable(c, f, func(b *body) []fault { return b.global }) {
			if len(b.Global) == 0 {
				b.Global = append(b.Global, x.Fault)
			}
		}
		if b.Faults != nil || b.Global != nil {
			pass.ExportObjectFact(o, b)
		}
	}
	return c, nil
}

func appendKind(all []Fault, f Fault) []Fault {
	if slices.ContainsFunc(all, func(x Fault) bool { return x.Text == f.Text }) || len(all) > 4 {
		return all
	}
	return append(all, f)
}

// functions are all functions of the package, and the one that sets its variables.
func (c *bodies) functions() []*ssa.Function {
	if c.p == nil {
		return nil
	}
	all := slices.Clip(c.p.Funcs)
	if init := c.p.SSA.Func("init"); init != nil {
		all = append(all, init)
	}
	return all
}

// place returns the field or package variable that an address is of, or nil.
func place(addr ssa.Value) types.Object {
	switch x := addr.(type) {
	case *ssa.FieldAddr:
		if s, ok := types.Unalias(x.X.Type()).Underlying().(*types.Pointer).Elem().Underlying().(*types.Struct); ok {
			return s.Field(x.Field).Origin()
		}
	case *ssa.Global:
		return x.Object()
	}
	return nil
}

func (c *bodies) findStores() {
	for _, f := range c.functions() {
		for _, b := range f.Blocks {
			for _, in := range b.Instrs {
				if st, ok := in.(*ssa.Store); ok {
					if o := place(st.Addr); o != nil {
						c.kept[o] = append(c.kept[o], st)
					}
				}
				for _, v := range in.Operands(nil) {
					if g, ok := (*v).(*ssa.Global); ok {
						c.refs[g] = append(c.refs[g], in)
					}
				}
			}
		}
	}
}

// stores returns the stores to the field, package variable or local variable at an address.
func (c *bodies) stores(addr ssa.Value) (all []*ssa.Store) {
	if o := place(addr); o != nil {
		return c.kept[o]
	}
	if a, ok := addr.(*ssa.Alloc); ok {
		for _, in := range *a.Referrers() {
			if st, ok := in.(*ssa.Store); ok && st.Addr == a {
				all = append(all, st)
			}
		}
	}
	return all
}

// of returns the body of a function of the package, or nil.
func (c *bodies) of(f *ssa.Function) *body {
	if o := f.Origin(); o != nil {
		f = o
	}
	if b, ok := c.known[f]; ok {
		return b
	}
	if f.Blocks == nil || c.p == nil {
		return nil
	}
	b := new(body)
	c.known[f] = b
	dies := dying(f)
	recovers := recovers(f)
	for _, block := range f.Blocks {
		for i, in := range block.Instrs {
			switch text := faultOf(in, i); {
			case text == "", text == panics && recovers, text != panics && dies[block]:
			default:
				pos := position(in, i)
				b.faults = append(b.faults, fault{pos, Fault{text, c.where(pos)}})
			}
			if m, ok := in.(*ssa.MakeClosure); ok {
				b.calls = append(b.calls, m.Fn.(*ssa.Function))
			}
			if call, ok := in.(ssa.CallInstruction); ok {
				c.call(b, call, dies[block])
			}
		}
	}
	return b
}

func (c *bodies) where(pos token.Pos) string {
	at := c.pass.Fset.Position(pos)
	name := at.Filename[strings.LastIndexByte(at.Filename, '/')+1:]
	return name + ":" + flow.Itoa(at.Line)
}

// position returns the place of an instruction, or of one before it.
func position(in ssa.Instruction, i int) token.Pos {
	for ; i >= 0; i-- {
		if p := in.Block().Instrs[i].Pos(); p.IsValid() {
			return p
		}
	}
	return in.Parent().Pos()
}

// call adds what a call does.
func (c *bodies) call(b *body, in ssa.CallInstruction, dies bool) {
	call := in.Common()
	f := flow.Callee(call)
	if f == nil {
		if g := call.StaticCallee(); g != nil {
			b.calls = append(b.calls, g)
		}
		return
	}
	if how := c.usesGlobal(call, f); how != "" {
		b.global = append(b.global, fault{in.Pos(), Fault{how, c.where(in.Pos())}})
		return
	}
	switch {
	case f.Pkg() == nil || api.Own(f.Pkg()):
	case f.Pkg() == c.pass.Pkg:
		if g := call.StaticCallee(); g != nil {
			b.calls = append(b.calls, g)
		}
	default:
		var fact Body
		if !c.pass.ImportObjectFact(f.Origin(), &fact) {
			return
		}
		for _, x := range fact.Faults {
			if !dies {
				b.faults = append(b.faults, fault{in.Pos(), Fault{"calls " + flow.Short(call) + ", which " + x.Text + " at " + x.Place, c.where(in.Pos())}})
			}
		}
		for _, x := range fact.Global {
			b.global = append(b.global, fault{in.Pos(), Fault{"calls " + flow.Short(call) + ", which " + x.Text + " at " + x.Place, c.where(in.Pos())}})
		}
	}
}

// usesGlobal says how a call uses the global allocator, or returns "".
func (c *bodies) usesGlobal(call *ssa.CallCommon, f *types.Func) string {
	if f.Pkg() == nil || !api.Own(f.Pkg()) {
		return ""
	}
	how := "calls " + flow.Short(call)
	switch name := strings.TrimPrefix(api.Name(f), api.Root+"."); name {
	case "Alloc", "AllocZeroed", "Realloc", "Dealloc":
		return how
	case "New", "NewUninit", "Free", "MakeSlice", "MakeSliceCap", "GrowSlice", "AppendSlice", "FreeSlice", "NewBox",
		"AllocateZeroed", "Grow", "GrowZeroed", "Shrink", "Resize", "AllocateTyped":
		if isNil(call.Args[0]) || isGlobal(call.Args[0]) {
			return how + " on galloc.Global"
		}
		return ""
	}
	if r := f.Signature().Recv(); r != nil {
		if api.IsNamed(r.Type(), "GlobalAllocator") && f.Name() != "String" && f.Name() != "GoodSize" {
			return how
		}
		return c.memberGlobal(call, f, how)
	}
	if !makes(f) {
		return ""
	}
	for i, a := range call.Args { // MakeVec(nil, n), NewString(nil, s)
		if i < f.Signature().Params().Len() && api.IsNamed(f.Signature().Params().At(i).Type(), "Allocator") && (isNil(a) || isGlobal(a)) {
			return how + " on galloc.Global"
		}
	}
	return ""
}

// makes reports whether a constructor of a collection allocates.
func makes(f *types.Func) bool {
	if !api.IsOwn(f.Pkg(), "collections") {
		return false
	}
	name := f.Name()
	return strings.HasPrefix(name, "Make") || strings.HasPrefix(name, "Collect") || name == "NewString" || name == "NewRc" || name == "NewArc"
}

// memberGlobal says how a method call uses the global allocator, if the receiver is a collection or
// a source on it.
func (c *bodies) memberGlobal(call *ssa.CallCommon, f *types.Func, how string) string {
	if call.IsInvoke() { // an interface that is always galloc.Global
		u, ok := call.Value.(*ssa.UnOp)
		if !ok || !allocates(f) {
			return ""
		}
		all := c.stores(u.X)
		for _, st := range all {
			if !isGlobal(st.Val) {
				return ""
			}
		}
		if len(all) > 0 {
			return how + " of galloc.Global"
		}
		return ""
	}
	if len(call.Args) == 0 || !allocates(f) {
		return ""
	}
	recv := call.Args[0]
	t, ok := types.Unalias(recv.Type()).(*types.Pointer)
	if !ok {
		return ""
	}
	switch x := recv.(type) {
	case *ssa.FieldAddr, *ssa.Global, *ssa.Alloc:
		// A collection that is a variable is on galloc.Global, unless it was copied from another.
		if api.IsCollection(t.Elem()) && len(c.stores(x)) == 0 {
			return how + " of a zero value, which is on galloc.Global"
		}
	case *ssa.UnOp:
		all := c.stores(x.X)
		for _, st := range all {
			if c.onGlobal(st.Val) == "" && !isNil(st.Val) {
				return ""
			}
		}
		for _, st := range all {
			if text := c.onGlobal(st.Val); text != "" {
				return how + " of one " + text
			}
		}
	case *ssa.Call, *ssa.Extract:
		if text := c.onGlobal(recv); text != "" {
			return how + " of one " + text
		}
	}
	return ""
}

// allocates reports whether a method of galloc may allocate or free.
func allocates(f *types.Func) bool {
	switch f.Name() {
	case "Alloc", "AllocZeroed", "Realloc", "Dealloc", "Allocate", "AllocateZeroed", "Deallocate", "Grow", "GrowZeroed",
		"Shrink", "Get", "Set", "Intern", "TryIntern", "InternBytes", "TryInternBytes":
		return !api.IsOwn(f.Pkg(), "collections") || strings.Contains(f.Name(), "Intern")
	}
	return api.IsOwn(f.Pkg(), "collections") && api.Moves(f.Name())
}

const panics = "panics"

// faultOf says what an instruction does that an allocator must not do, or returns "".
func faultOf(in ssa.Instruction, i int) string {
	switch x := in.(type) {
	case *ssa.Panic:
		if !noReturn(x, i) {
			return panics
		}
	case *ssa.MapUpdate:
		return "writes to a map"
	case *ssa.Go:
		return "starts a goroutine"
	case *ssa.MakeMap:
		return "makes a map"
	case *ssa.MakeChan:
		return "makes a channel"
	case *ssa.MakeSlice:
		if _, ok := x.Len.(*ssa.Const); !ok {
			return "makes a slice"
		}
	case *ssa.MakeClosure:
		if escapes(x, 0) {
			return "makes a closure that escapes"
		}
	case *ssa.MakeInterface:
		if boxes(x.X) && escapes(x, 0) {
			return "puts a " + types.TypeString(x.X.Type(), func(p *types.Package) string { return p.Name() }) + " into an interface that escapes"
		}
	case ssa.CallInstruction:
		if b, ok := x.Common().Value.(*ssa.Builtin); ok {
			if b.Name() == "append" && !hasRoom(x) {
				return "appends to a slice"
			}
			return ""
		}
		if f := flow.Callee(x.Common()); f != nil && f.Pkg() != nil {
			switch f.Pkg().Path() {
			case "fmt", "log", "log/slog", "errors":
				if f.Pkg().Path() == "errors" && f.Name() != "New" && f.Name() != "Join" || flow.NoReturn(f) {
					return ""
				}
				return "calls " + flow.Short(x.Common())
			}
		}
	}
	return ""
}

// noReturn reports whether a Panic only marks that the call before it does not return.
func noReturn(p *ssa.Panic, i int) bool {
	for i--; i >= 0; i-- {
		switch x := p.Block().Instrs[i].(type) {
		case *ssa.MakeInterface:
		case *ssa.Call:
			f := flow.Callee(&x.Call)
			return f != nil && flow.NoReturn(f) && x.Pos() == p.Pos()
		default:
			return false
		}
	}
	return false
}

// dying returns the blocks from which the process ends, without a return or a panic.
func dying(f *ssa.Function) map[*ssa.BasicBlock]bool {
	dies := map[*ssa.BasicBlock]bool{}
	for changed := true; changed; {
		changed = false
		for _, b := range f.Blocks {
			if dies[b] || len(b.Instrs) == 0 {
				continue
			}
			all := len(b.Succs) > 0
			for _, s := range b.Succs {
				all = all && dies[s]
			}
			last := len(b.Instrs) - 1
			if p, ok := b.Instrs[last].(*ssa.Panic); ok {
				all = noReturn(p, last)
			}
			if all {
				dies[b], changed = true, true
			}
		}
	}
	return dies
}

// recovers reports whether a deferred closure recovers from panics.
func recovers(f *ssa.Function) bool {
	for _, a := range f.AnonFuncs {
		for _, b := range a.Blocks {
			for _, in := range b.Instrs {
				if c, ok := in.(*ssa.Call); ok {
					if x, ok := c.Call.Value.(*ssa.Builtin); ok && x.Name() == "recover" {
						return true
					}
				}
			}
		}
	}
	return false
}

// boxes reports whether an interface of v needs memory for v.
func boxes(v ssa.Value) bool {
	if _, ok := v.(*ssa.Const); ok {
		return false
	}
	switch t := v.Type().Underlying().(type) {
	case *types.Pointer, *types.Map, *types.Chan, *types.Signature, *types.Interface:
		return false
	case *types.Basic:
		return t.Kind() != types.UnsafePointer && t.Kind() != types.Bool && t.Kind() != types.Uint8 && t.Kind() != types.Int8
	case *types.Struct:
		return t.NumFields() > 0
	}
	return true
}

// escapes reports whether a value certainly leaves the function.
func escapes(v ssa.Value, depth int) bool {
	if depth > 3 || v.Referrers() == nil {
		return false
	}
	for _, in := range *v.Referrers() {
		switch x := in.(type) {
		case *ssa.Return, *ssa.Send, *ssa.MapUpdate:
			return true
		case *ssa.Store:
			if x.Val != v {
				continue
			}
			switch a := x.Addr.(type) {
			case *ssa.Alloc:
			case *ssa.IndexAddr: // an argument
				if l, ok := a.X.(*ssa.Alloc); !ok || l.Comment != "varargs" {
					return true
				}
			default:
				return true
			}
		case *ssa.ChangeInterface:
			if escapes(x, depth+1) {
				return true
			}
		case *ssa.Phi:
			if escapes(x, depth+1) {
				return true
			}
		case *ssa.Go:
			return true
		case *ssa.Call:
			if x.Call.Value == v {
				continue
			}
			if g := x.Call.StaticCallee(); g == nil {
				if _, builtin := x.Call.Value.(*ssa.Builtin); !builtin {
					return true // an interface method or a function value
				}
			} else if g.Object() != nil && g.Object().Pkg() != nil {
				switch g.Object().Pkg().Path() {
				case "sync", "sync/atomic", "time", "runtime":
					if g.Name() != "Do" {
						return true // Pool.Put, Map.Store, Value.Store, AfterFunc, AddCleanup
					}
				}
			}
		}
	}
	return false
}

// hasRoom reports whether an append is made only if the capacity suffices, or into an array.
func hasRoom(in ssa.CallInstruction) bool {
	args := in.Common().Args
	if len(args) == 0 {
		return true
	}
	if s, ok := args[0].(*ssa.Slice); ok {
		if p, ok := s.X.Type().Underlying().(*types.Pointer); ok {
			if _, array := p.Elem().Underlying().(*types.Array); array {
				return true
			}
		}
	}
	if k, ok := args[len(args)-1].(*ssa.Const); ok && k.IsNil() {
		return true // nothing is appended
	}
	for b := in.Block(); b.Idom() != nil; b = b.Idom() {
		d := b.Idom()
		if i, ok := d.Instrs[len(d.Instrs)-1].(*ssa.If); ok && mentionsCap(i.Cond, 0) {
			return true
		}
	}
	return false
}

// mentionsCap reports whether a condition compares a capacity, or a length with a constant.
func mentionsCap(v ssa.Value, depth int) bool {
	if depth > 4 {
		return false
	}
	switch x := v.(type) {
	case *ssa.BinOp:
		if _, ok := x.Y.(*ssa.Const); ok && x.Op == token.LSS && isLen(x.X) && !isZero(x.Y) {
			return true
		}
		return mentionsCap(x.X, depth+1) || mentionsCap(x.Y, depth+1)
	case *ssa.UnOp:
		return x.Op == token.NOT && mentionsCap(x.X, depth+1)
	case *ssa.Call:
		b, ok := x.Call.Value.(*ssa.Builtin)
		return ok && b.Name() == "cap"
	}
	return false
}

func isLen(v ssa.Value) bool {
	c, ok := v.(*ssa.Call)
	if !ok {
		return false
	}
	b, ok := c.Call.Value.(*ssa.Builtin)
	return ok && b.Name() == "len"
}

func isZero(v ssa.Value) bool {
	k, ok := v.(*ssa.Const)
	return ok && k.Value != nil && k.Value.Kind() == constant.Int && constant.Sign(k.Value) == 0
}
