// Package api is the table of calls that make, end or show memory. It has the calls of galloc, of
// the presets and of the configuration file.
package api

import (
	"go/types"
	"iter"
	"strings"
)

// None marks an argument that a call does not have.
const None = -1

// A Call says what a call does with memory. Arguments are numbered from 0, and the receiver of a
// method is argument 0.
type Call struct {
	Makes  bool // the first result is new memory
	Leaks  bool // the memory must be ended on every path, unless it escapes
	Owner  int  // the allocator whose Reset or Close ends the memory, or None
	Ends   int  // the argument whose memory the call ends, or None
	Frees  int  // the collection that the call empties: it may be used again, and does not leak
	Closes int  // the argument whose views, or blocks, the call ends, or None
	Shows  int  // the argument that the results are views of, or None
	Yields bool // the result iterates over argument 0: its strings, slices and pointers are views
	Mark   int  // the argument that is a position of an arena: only later blocks end, or None

	// UnlessFails: if the call fails, the memory has not ended, or has not been made.
	UnlessFails bool
	NilFails    bool // the call fails with nil
	Try         bool // the call exists for its error, which must be looked at

	Borrows []int // arguments that the call neither keeps nor ends; nil of a call in the table: all
}

// Matters reports whether a package that makes the call is worth to be analyzed.
func (c Call) Matters() bool {
	return c.Makes || c.Ends != None || c.Frees != None || c.Closes != None || c.Try
}

// nothing is a Call that only borrows its arguments.
func nothing() Call {
	return Call{Owner: None, Ends: None, Frees: None, Closes: None, Shows: None, Mark: None}
}

// Name returns the name of a function or method in the table: "path.Func" or "path.Type.Method",
// without type parameters and pointers.
func Name(f *types.Func) string {
	f = f.Origin()
	if c, ok := strings.CutPrefix(f.Name(), "_Cfunc_"); ok { // as cgo writes it
		return "C." + strings.TrimPrefix(strings.Replace(c, "_CMalloc", "malloc", 1), "_")
	}
	pkg := ""
	if f.Pkg() != nil {
		pkg = path(f.Pkg()) + "."
	}
	sig := f.Signature()
	if sig.Recv() == nil {
		return pkg + f.Name()
	}
	t := types.Unalias(sig.Recv().Type())
	if p, ok := t.(*types.Pointer); ok {
		t = types.Unalias(p.Elem())
	}
	if n, ok := t.(*types.Named); ok {
		return pkg + n.Obj().Name() + "." + f.Name()
	}
	return pkg + "?." + f.Name()
}

// path returns the import path of a package, without the suffix of a test variant or a vendor
// directory.
func path(p *types.Package) string {
	s, _, _ := strings.Cut(p.Path(), " ")
	if i := strings.LastIndex(s, "/vendor/"); i >= 0 {
		s = s[i+len("/vendor/"):]
	}
	return s
}

// A Table finds calls by name. It is immutable.
type Table struct {
	calls    map[string]Call
	disabled map[string]bool

	SkipTests bool // as in Config
}

// Pairs yields the functions of the presets and the configuration that make or end memory: the
// package of each, and the last part of its name.
func (t *Table) Pairs() iter.Seq2[string, string] {
	return func(yield func(pkg, name string) bool) {
		for key, c := range t.calls {
			i := strings.LastIndexByte(key, '/') + 1
			pkg, rest, _ := strings.Cut(key[i:], ".")
			pkg = key[:i] + pkg
			if c.Matters() && !OwnPath(pkg) && !yield(pkg, rest[strings.LastIndexByte(rest, '.')+1:]) {
				return
			}
		}
	}
}

// Disabled reports whether the configuration switches a rule off.
func (t *Table) Disabled(rule string) bool { return t.disabled[rule] }

// Find returns what a call of f does.
func (t *Table) Find(f *types.Func) (Call, bool) {
	if c, ok := t.calls[Name(f)]; ok {
		return c, true
	}
	if f.Signature().Recv() == nil {
		return Call{}, false
	}
	if f.Pkg() != nil && path(f.Pkg()) == collections {
		return collection(f)
	}
	return allocator(f)
}
