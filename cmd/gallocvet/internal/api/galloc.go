package api

import (
	"go/types"
	"slices"
	"strings"
)

const (
	root        = "github.com/galloc-go/galloc"
	collections = root + "/collections"
)

// Root is the import path of package galloc.
const Root = root

func makes(owner int) Call {
	c := nothing()
	c.Makes, c.Leaks, c.Owner, c.UnlessFails = true, true, owner, true
	return c
}

func ends(arg int) Call {
	c := nothing()
	c.Ends = arg
	return c
}

// remakes is the Call of a function that ends one block and makes another, unless it fails.
func remakes(owner, arg int) Call {
	c := makes(owner)
	c.Ends = arg
	return c
}

func closes() Call {
	c := nothing()
	c.Closes = 0
	return c
}

func shows() Call {
	c := nothing()
	c.Shows = 0
	return c
}

func nilFails(c Call) Call {
	c.NilFails = true
	return c
}

// ofGalloc returns the calls of galloc that are listed by name. The methods that many types have
// are found by allocator and collection.
func ofGalloc() map[string]Call {
	m := map[string]Call{
		root + ".Alloc":             nilFails(makes(None)),
		root + ".AllocZeroed":       nilFails(makes(None)),
		root + ".Realloc":           nilFails(remakes(None, 0)),
		root + ".Dealloc":           ends(0),
		root + ".AllocateZeroed":    makes(0),
		root + ".AllocateTyped":     makes(0),
		root + ".Grow":              remakes(0, 1),
		root + ".GrowZeroed":        remakes(0, 1),
		root + ".Shrink":            remakes(0, 1),
		root + ".New":               makes(0),
		root + ".NewUninit":         makes(0),
		root + ".MakeSlice":         makes(0),
		root + ".MakeSliceCap":      makes(0),
		root + ".GrowSlice":         remakes(0, 1),
		root + ".AppendSlice":       remakes(0, 1),
		root + ".Free":              ends(1),
		root + ".FreeSlice":         ends(1),
		root + ".Reset":             closes(),
		root + ".Box.Get":           shows(),
		root + "/heap.Heap.Free":    ends(1),
		root + "/heap.Heap.Close":   closes(),
		root + "/pool.Pool.Get":     nilFails(makes(0)),
		root + "/pool.Pool.Put":     ends(1),
		root + "/pool.Of.Get":       makes(0),
		root + "/pool.Of.GetUninit": makes(0),
		root + "/pool.Of.Put":       ends(1),
	}
	for _, name := range []string{"Must", "Owns", "Resize", "UsableSize"} {
		m[root+"."+name] = nothing()
	}
	for _, name := range []string{"bytes.Buffer.Bytes", "bytes.Buffer.AvailableBuffer"} {
		m[name] = shows()
	}
	for _, method := range []string{"Free", "Take"} {
		c := closes()
		c.Frees = 0
		m[root+".Box."+method] = c
	}
	for _, t := range []string{"bump.Arena", "pool.Pool", "pool.Of", "fixed.Buffer", "fixed.Shared", "buddy.Region", "tlsf.Region", "freelist.List"} {
		m[root+"/"+t+".Reset"] = closes()
		m[root+"/"+t+".Close"] = closes()
	}
	rewind := closes()
	rewind.Mark = 1
	m[root+"/bump.Arena.Rewind"] = rewind

	for _, t := range []string{"BTree", "BTreeFunc", "Bytes", "Deque", "Interner", "LinkedMap", "Map", "Set", "Slab", "StringMap", "TextMap", "Vec"} {
		for _, verb := range []string{"New", "Make", "Collect"} {
			m[collections+"."+verb+t] = makes(0)
		}
	}
	for _, name := range []string{"NewString", "NewRc", "NewArc", "NewPtr", "NewSlice", "MakeArray", "CollectArray"} {
		m[collections+"."+name] = makes(0)
	}
	return m
}

// allocator returns what a method does that is one of GlobalAlloc or Allocator, by its name and
// signature, whatever type has it.
func allocator(f *types.Func) (Call, bool) {
	sig := f.Signature()
	n := sig.Params().Len()
	layout := func(i int) bool { return i < n && named(sig.Params().At(i).Type(), root, "Layout") }
	switch f.Name() {
	case "Alloc", "AllocZeroed":
		if n == 1 && layout(0) {
			return nilFails(makes(0)), true
		}
	case "Allocate", "AllocateZeroed":
		if n == 1 && layout(0) {
			return makes(0), true
		}
	case "Dealloc", "Deallocate":
		if n == 2 && layout(1) {
			return ends(1), true
		}
	case "Realloc":
		if n == 3 && layout(1) {
			return nilFails(remakes(0, 1)), true
		}
	case "Grow", "GrowZeroed", "Shrink":
		if n == 3 && layout(1) && layout(2) {
			return remakes(0, 1), true
		}
	}
	return Call{}, false
}

// movers are the methods of collections that may move or remove any element.
var movers = set("Add", "AddSeq", "Append", "AppendSeq", "AppendString", "Clear", "Delete", "DeleteBytes",
	"DeleteFunc", "DeleteRange", "GetOrPut", "GetOrPutBytes", "Insert", "PopAny", "PopMax", "PopMin", "Push", "PushBack", "PushFront",
	"Put", "PutBytes", "PutIfAbsent", "PutIfAbsentBytes", "PutSeq", "ReadFrom", "Remove", "Reserve",
	"ReserveExact", "Resize", "ShrinkToFit", "SwapRemove", "Write", "WriteByte", "WriteRune", "WriteString",
	"TakeString", "TryAdd", "TryAddSeq", "TryAppend", "TryAppendSeq", "TryAppendString", "TryGetOrPut",
	"TryGetOrPutBytes", "TryInsert", "TryPush", "TryPushBack", "TryPushFront", "TryPut", "TryPutBytes",
	"TryPutIfAbsent", "TryPutIfAbsentBytes", "TryPutSeq", "TryReserve", "TryReserveExact",
	"TryResize", "TryShrinkToFit", "TryTakeString")

// Moves reports whether a method of a collection of that name may move elements, as those do that
// allocate.
func Moves(name string) bool { return movers[name] }

// showers are the methods of collections that return views.
var showers = set("Slice", "Slices", "Ptr", "PtrBytes", "View", "GetOrPut", "GetOrPutBytes", "TryGetOrPut",
	"TryGetOrPutBytes")

// textShowers are further methods of TextMap that return views. The last ones return what they
// remove, which ends with the next change.
var textShowers = set("Get", "GetBytes", "Delete", "DeleteBytes", "PopAny")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// collection returns what a method of a collection does, by its name.
func collection(f *types.Func) (Call, bool) {
	c, name := nothing(), f.Name()
	t := receiver(f)
	if t == "" || !f.Exported() {
		return Call{}, false
	}
	switch {
	case name == "Free" || name == "FreeFunc":
		c.Frees = 0
		if t != "Rc" && t != "Arc" { // another owner may be left
			c.Closes = 0
		}
	case name == "Clone" || name == "TryClone":
		c = makes(None)
		if t == "String" || t == "Array" {
			c.Owner = 1
		}
		c.Leaks = t != "String" || name == "Clone"
	case name == "Clear":
		c.Closes = 0
	case movers[name] && t != "Slab" && t != "LinkedMap" && t != "Interner": // they move nothing
		c.Closes = 0
	}
	if showers[name] || t == "TextMap" && textShowers[name] || t == "StringMap" && name == "PopAny" || (t == "Rc" || t == "Arc" || t == "Ptr") && name == "Get" ||
		t == "LinkedMap" && (name == "MoveToBack" || name == "MoveToFront") {
		c.Shows = 0
	}
	if r := f.Signature().Results(); r.Len() == 1 {
		n, ok := types.Unalias(r.At(0).Type()).(*types.Named)
		c.Yields = ok && n.Obj().Pkg() != nil && n.Obj().Pkg().Path() == "iter"
	}
	c.Try = len(name) > 3 && name[:3] == "Try" && name != "TryShrinkToFit" // harmless
	return c, true
}

// receiver returns the name of the type that has the method f.
func receiver(f *types.Func) string {
	t := types.Unalias(f.Signature().Recv().Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if n, ok := t.(*types.Named); ok {
		return n.Obj().Name()
	}
	return ""
}

// named reports whether t is the named type path.name, or a pointer to it.
func named(t types.Type, pkg, name string) bool {
	t = types.Unalias(t)
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	n, ok := t.(*types.Named)
	return ok && n.Obj().Name() == name && n.Obj().Pkg() != nil && path(n.Obj().Pkg()) == pkg
}

// IsCollection reports whether t is a collection or a Box, whose zero value is ready for use.
func IsCollection(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return false
	}
	switch pkg := path(n.Obj().Pkg()); n.Obj().Name() {
	case "Box":
		return pkg == root
	case "Vec", "Map", "Set", "StringMap", "TextMap", "BTree", "BTreeFunc", "Deque", "LinkedMap", "Slab", "Bytes", "Interner":
		return pkg == collections
	}
	return false
}

// Uses reports whether a package imports galloc, itself or through what it imports.
func Uses(p *types.Package) bool {
	seen := map[*types.Package]bool{}
	var visit func(*types.Package) bool
	visit = func(p *types.Package) bool {
		if seen[p] {
			return false
		}
		seen[p] = true
		return Own(p) || slices.ContainsFunc(p.Imports(), visit)
	}
	return visit(p)
}

// Own reports whether a package is part of the module of galloc.
func Own(p *types.Package) bool { return OwnPath(path(p)) }

// OwnPath reports whether an import path belongs to a package of galloc's module.
func OwnPath(path string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// IsNamed reports whether t is the type of that name in package galloc.
func IsNamed(t types.Type, name string) bool { return named(t, root, name) }

// IsGlobalPackage reports whether a package may select the global allocator by its import.
func IsGlobalPackage(p *types.Package) bool {
	const below = root + "/global/"
	s := path(p)
	return len(s) > len(below) && s[:len(below)] == below
}

// IsNoCopy reports whether t is the type that marks what must not be copied.
func IsNoCopy(t types.Type) bool { return named(t, root+"/internal/block", "NoCopy") }

// IsAllocator reports whether a type has the methods of a GlobalAlloc or an Allocator, and its
// pointer receivers show that it has state.
func IsAllocator(n *types.Named) bool {
	for f := range n.Methods() {
		sig := f.Signature()
		_, pointer := types.Unalias(sig.Recv().Type()).(*types.Pointer)
		if (f.Name() == "Alloc" || f.Name() == "Allocate") && pointer && sig.Params().Len() == 1 &&
			named(sig.Params().At(0).Type(), root, "Layout") {
			return true
		}
	}
	return false
}

// IsOwn reports whether a package is the one of that name below the root of galloc.
func IsOwn(p *types.Package, name string) bool { return path(p) == root+"/"+name }
