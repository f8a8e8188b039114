package galloc

import _ "unsafe" // for linkname

// A Selection chooses the global allocator when a program is linked, before any of its code runs.
// The packages below global, such as global/system, have one each and are selected by their import.
// A program with its own allocator, and with packages that allocate while they are initialized, can
// have one too:
//
//	import _ "unsafe" // for linkname
//
//	//go:linkname multiple_global_allocators github.com/galloc-go/galloc.multiple_global_allocators
//	var multiple_global_allocators = &selection
//
//	var selection = galloc.Selection{
//		Path: "example.com/program",
//		New:  func() galloc.GlobalAlloc { return new(allocator) },
//	}
//
//	func init() { selection.Check() }
//
// The compiler must be able to write both variables into the program, so initialize the first with
// the address of a package variable, and that one with constants and a function. [Selection.Check]
// panics otherwise.
//
// A program with two Selections does not link: "duplicated definition of symbol
// github.com/galloc-go/galloc.multiple_global_allocators".
type Selection struct {
	// Path is the import path of the package that selects.
	Path string

	// New returns the allocator, which must not be nil. It is called once, while package galloc is
	// initialized, before the package of the Selection is: it must not use variables that are
	// initialized at run time, nor the global allocator.
	New func() GlobalAlloc
}

// multiple_global_allocators is the Selection of the program, or nil. The linker sets it, if
// another package defines a variable of this name. It accepts one definition with data beside this
// one without data, and reports a second by name.
//
//go:linkname multiple_global_allocators
var multiple_global_allocators *Selection

// named_jemalloc and named_mimalloc are set in the same way, by the packages jemalloc and mimalloc
// when they are built with the library. They make these names available to GALLOC and -X.
//
//go:linkname named_jemalloc
//go:linkname named_mimalloc
var named_jemalloc, named_mimalloc *Selection

// Check panics if s did not choose the global allocator, and says why. A package with a Selection
// calls it in its init function. A Selection has no effect in a plugin, whose host has chosen
// before, or if the compiler has left its variable to be initialized at run time.
func (s *Selection) Check() {
	r := registered.Load()
	switch {
	case r != nil && r.selection == s:
		return
	case multiple_global_allocators == s:
		panic("galloc: " + s.Path + " sets multiple_global_allocators when it is initialized, which is too late: " +
			"initialize it with the address of a variable, see galloc.Selection")
	case r != nil && r.selection != nil:
		panic("galloc: " + s.Path + " is in a plugin, and " + r.selection.Path +
			" in its host, which selects the global allocator: import the same in both")
	}
	panic("galloc: " + s.Path + " cannot select the global allocator: it is in a plugin, and not in its host: " +
		"import it there too")
}

// make returns the allocator of s.
func (s *Selection) make() GlobalAlloc {
	a := s.New()
	switch f := flaw(a); {
	case f != "":
		panic("galloc: New of the Selection in " + s.Path + " returns " + f)
	case isGlobal(a):
		panic("galloc: New of the Selection in " + s.Path +
			" returns an allocator made of galloc.Global, which would call itself")
	case registered.Load() != nil:
		panic("galloc: New of the Selection in " + s.Path +
			" uses the global allocator, which it must return, at " + registered.Load().place)
	}
	return a
}
