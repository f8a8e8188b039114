package galloc

import (
	"fmt"
	"os"
	"strconv"
	_ "unsafe" // for linkname

	"github.com/galloc-go/galloc/internal/debug"
)

// A Selection chooses the global allocator of a program when the program is linked, before any of its code
// runs, as the attribute global_allocator does in Rust. Those of the packages below global choose one
// of galloc's allocators by their import. A program that has an allocator of its own, and packages that
// allocate while they are initialized, can have one too; this is all of it:
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
// A program with two of them does not link: "duplicated definition of symbol
// github.com/galloc-go/galloc.multiple_global_allocators, from" the one package "and" the other. For that
// the variable must be initialized with the address of a variable of the package, and that one with constants
// and a function, so that the compiler can write both into the program; see [Selection.Check].
type Selection struct {
	// Path is the import path of the package that selects.
	Path string

	// New returns the allocator. It is called once, when package galloc is initialized: before its own
	// package is, and before any other that imports galloc. So it must not use variables that
	// are only initialized then, nor the global allocator. It must not return nil.
	New func() GlobalAlloc
}

// multiple_global_allocators is the Selection of the program, or nil: nothing in this package sets it, but the
// linker does, if a package that selects defines a variable by this name. The linker accepts one definition with data beside this
// one without, and no second one; its complaint shows the name.
//
//go:linkname multiple_global_allocators
var multiple_global_allocators *Selection

// named_jemalloc and named_mimalloc are set in the same way, by the packages jemalloc and mimalloc where they have been built
// with the library they are bindings to: so GALLOC and -X know these names in programs that have such a package.
//
//go:linkname named_jemalloc
//go:linkname named_mimalloc
var named_jemalloc, named_mimalloc *Selection

// Check panics if s is not in force, and says why. A package that selects calls it in its init function: it cannot do
// so by itself in a plugin, whose host has made the choice before, nor with a variable that the compiler has
// left to be initialized at run time. It costs nothing else.
func (s *Selection) Check() {
	r := inForce.Load()
	switch {
	case r != nil && r.selection == s:
		return
	case multiple_global_allocators == s:
		panic("galloc: " + s.Path + " sets multiple_global_allocators when it is initialized, which is too late: initialize it with the address of a variable, see galloc.Selection")
	case r != nil && r.selection != nil:
		panic("galloc: " + s.Path + " is in a plugin, and " + r.selection.Path + " in its host, which selects the global allocator: import the same in both")
	}
	panic("galloc: " + s.Path + " cannot select the global allocator: it is in a plugin, and not in its host; import it there too")
}

// make returns the allocator, when package galloc is initialized.
func (s *Selection) make() GlobalAlloc {
	a := s.New()
	switch {
	case a == nil:
		panic("galloc: New of the selection in " + s.Path + " returns nil")
	case isGlobal(a):
		panic("galloc: New of the selection in " + s.Path + " returns an allocator made of galloc.Global, which would call itself")
	case inForce.Load() != nil:
		panic("galloc: New of the selection in " + s.Path + " uses the global allocator, which it is to make, at " + inForce.Load().place)
	}
	return a
}

// A setting is a choice that is not made in code.
type setting struct {
	from   string      // what has been set: "GALLOC", or "-X" and the variable
	text   string      // NAME[,option=value...], or "" if it is not set
	alloc  GlobalAlloc // what the name stands for; if it is nil, New of named returns it
	named  *Selection
	values heapValues      // what the options say
	debug  *debug.Settings // of debug, which has no allocator: it goes around what is chosen otherwise
}

func (s *setting) String() string { return s.from + "=" + printable(s.text) }

// defaultAllocator can be set by -ldflags='-X github.com/galloc-go/galloc.defaultAllocator=NAME[,option=value...]'.
var defaultAllocator string

// The settings of this program, in the order in which they are obeyed.
var (
	environment = setting{from: "GALLOC"}
	linkerFlag  = setting{from: "-X " + packagePath + ".defaultAllocator"}
)

// What is chosen by import, by GALLOC or by -X is known from here on: nobody has used the global allocator before, since this is
// initialized before all that import it.
func init() {
	linkerFlag.text = defaultAllocator
	if text := os.Getenv("GALLOC"); text != "" && isExecutable(buildMode()) {
		environment.text = text
	}
	for _, s := range []*setting{&linkerFlag, &environment} {
		if err := s.parse(); err != nil {
			fmt.Fprintf(os.Stderr, "galloc: %v: %v\n", s, err)
			os.Exit(2)
		}
	}
	p, selection := preset(), multiple_global_allocators
	if p != nil {
		p.values.configure()
	}
	switch {
	case selection != nil:
		r := newRegistration(selection.make(), "selected by the import of "+selection.Path, "")
		r.selection = selection
		r.enter()
		inForce.Store(r)
	case p != nil && p.named != nil:
		p.alloc = p.named.make()
	}
}

// preset returns the setting that says what the default is, or nil.
func preset() *setting {
	switch {
	case environment.text != "":
		return &environment
	case linkerFlag.text != "":
		return &linkerFlag
	}
	return nil
}

// notObeyed returns what GlobalName says about the settings that others have overruled.
func notObeyed(inCode bool) (text string) {
	p := preset()
	switch {
	case p == nil || p.debug != nil:
	case inCode && p.values.given:
		text += fmt.Sprintf("; %v is not obeyed since the program chooses in code, but for the options of the heap of the process", p)
	case inCode:
		text += fmt.Sprintf("; %v is not obeyed since the program chooses in code", p)
	}
	if p == &environment && linkerFlag.text != "" {
		text += fmt.Sprintf("; %v is not obeyed since GALLOC is set", &linkerFlag)
	}
	if text := os.Getenv("GALLOC"); text != "" && environment.text == "" && !isExecutable(buildMode()) {
		return fmt.Sprintf("; GALLOC=%s is not obeyed since this is not an executable", printable(text))
	}
	return text
}

// isExecutable reports whether that build mode makes programs, not what is loaded into those of others.
func isExecutable(buildMode string) bool { return buildMode == "exe" || buildMode == "pie" }

// printable returns s, quoted if it would not look like itself on one line.
func printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}
