package unit

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"fmt"
	"go/types"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/galloc-go/galloc/cmd/gallocvet/internal/flow"
	"golang.org/x/tools/go/analysis"
)

// A file has the facts of a package and of all packages that it imports, directly or not.
type file struct {
	Galloc   bool // the package is galloc's, or imports galloc, directly or not
	Sections []*section
}

// A section has the facts of one package.
type section struct {
	Package string
	Names   []string // of the functions that do more with memory than to borrow it
	Facts   []byte   // a gob of []entry

	decode  sync.Once
	decoded map[key]analysis.Fact
}

// An entry is one fact. Its object is a function, type or variable of the package, a method as
// "Type.Method", or the package, "".
type entry struct {
	Object string
	Fact   analysis.Fact
}

type key struct {
	object string
	t      reflect.Type
}

// facts are the facts of a package and of what it imports.
type facts struct {
	file
	path     string
	sections map[string]*section // of the imports

	pkg *types.Package
	mu  sync.Mutex
	own map[any]map[reflect.Type]analysis.Fact // by object; nil is the package
}

// register makes the types of facts known to package gob.
func register(analyzers []*analysis.Analyzer) {
	for _, a := range analyzers {
		for _, f := range a.FactTypes {
			gob.Register(f)
		}
		register(a.Requires)
	}
}

// base returns the path of a package without the suffix of a test variant.
func base(path string) string {
	path, _, _ = strings.Cut(path, " ")
	return path
}

// readFacts reads the facts of the imports.
func readFacts(c *Config) (*facts, error) {
	f := &facts{path: base(c.ImportPath), sections: map[string]*section{}, own: map[any]map[reflect.Type]analysis.Fact{}}
	for _, path := range slices.Sorted(maps.Keys(c.PackageVetx)) {
		text, err := os.ReadFile(c.PackageVetx[path])
		if err != nil {
			return nil, err
		}
		var x file
		if err := gob.NewDecoder(bytes.NewReader(text)).Decode(&x); err != nil {
			return nil, fmt.Errorf("gallocvet: the facts of %s: %w", path, err)
		}
		f.Galloc = f.Galloc || x.Galloc
		for _, s := range x.Sections {
			if f.sections[s.Package] == nil || s.Package == base(path) {
				f.sections[s.Package] = s
			}
		}
	}
	delete(f.sections, f.path) // of a test, the package without its tests
	return f, nil
}

// write writes the facts of the package and its imports.
func (f *facts) write(name string) error {
	if name == "" {
		return nil
	}
	s := &section{Package: f.path}
	var all []entry
	for o, facts := range f.own {
		object := ""
		if o != nil {
			if object = nameOf(o.(types.Object)); object == "" {
				continue
			}
		}
		fn, _ := o.(*types.Func)
		if fn != nil && !fn.Exported() {
			continue // no other package calls it
		}
		for _, x := range facts {
			all = append(all, entry{object, x})
			if x, ok := x.(*flow.Summary); ok && x.Matters() {
				s.Names = append(s.Names, fn.Name())
			}
		}
	}
	if all != nil {
		slices.SortFunc(all, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(fmt.Sprintf("%T", a.Fact), fmt.Sprintf("%T", b.Fact)))
		})
		slices.Sort(s.Names)
		s.Names = slices.Compact(s.Names)
		var text bytes.Buffer
		if err := gob.NewEncoder(&text).Encode(all); err != nil {
			return err
		}
		s.Facts = text.Bytes()
		f.sections[s.Package] = s
	}
	f.Sections = nil
	for _, path := range slices.Sorted(maps.Keys(f.sections)) {
		f.Sections = append(f.Sections, f.sections[path])
	}
	var text bytes.Buffer
	if err := gob.NewEncoder(&text).Encode(f.file); err != nil {
		return err
	}
	return os.WriteFile(name, text.Bytes(), 0o666)
}

// nameOf returns the name of an object in its section, or "" if other packages cannot ask for it.
func nameOf(o types.Object) string {
	if f, ok := o.(*types.Func); ok && f.Signature().Recv() != nil {
		t := types.Unalias(f.Signature().Recv().Type())
		if p, ok := t.(*types.Pointer); ok {
			t = types.Unalias(p.Elem())
		}
		if n, ok := t.(*types.Named); ok {
			return n.Obj().Name() + "." + f.Name()
		}
		return ""
	}
	if _, ok := o.(*types.Func); ok || o.Parent() == o.Pkg().Scope() {
		return o.Name()
	}
	return ""
}

func (f *facts) importObject(o types.Object, to analysis.Fact) bool {
	if o.Pkg() == f.pkg {
		return f.find(o, to)
	}
	return o.Pkg() != nil && f.look(o.Pkg(), nameOf(o), to)
}

func (f *facts) importPackage(p *types.Package, to analysis.Fact) bool {
	if p == f.pkg {
		return f.find(nil, to)
	}
	return f.look(p, "", to)
}

// find finds a fact of the package itself.
func (f *facts) find(o any, to analysis.Fact) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.own[o][reflect.TypeOf(to)]
	return set(to, x)
}

// look finds a fact of another package.
func (f *facts) look(p *types.Package, name string, to analysis.Fact) bool {
	s := f.sections[base(p.Path())]
	if s == nil {
		return false
	}
	s.decode.Do(func() {
		var all []entry
		if err := gob.NewDecoder(bytes.NewReader(s.Facts)).Decode(&all); err != nil {
			// The program itself has written them.
			panic(fmt.Sprintf("gallocvet: the facts of %s: %v", s.Package, err))
		}
		s.decoded = make(map[key]analysis.Fact, len(all))
		for _, e := range all {
			s.decoded[key{e.Object, reflect.TypeOf(e.Fact)}] = e.Fact
		}
	})
	return set(to, s.decoded[key{name, reflect.TypeOf(to)}])
}

func set(to, x analysis.Fact) bool {
	if x == nil {
		return false
	}
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(x).Elem())
	return true
}

func (f *facts) exportObject(o types.Object, x analysis.Fact) { f.export(o, x) }

// export stores a fact of an object, or, if it is nil, of the package.
func (f *facts) export(o any, x analysis.Fact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.own[o] == nil {
		f.own[o] = map[reflect.Type]analysis.Fact{}
	}
	f.own[o][reflect.TypeOf(x)] = x
}
