package pointerfree

import (
	"go/types"
)

// A pointer is a place in a type where its values have, or may have, a Go pointer.
type pointer struct {
	path  string // from the type
	kind  string // what is there, or ""
	param int    // the type parameter that is there, or -1
}

// pointers returns the first Go pointer in values of type t, or else the type parameters in them.
// path leads to t.
func pointers(t types.Type, path string) []pointer {
	if p, ok := types.Unalias(t).(*types.TypeParam); ok {
		switch holding(p.Constraint()) {
		case never:
			return nil
		case always:
			return []pointer{{path, p.String(), -1}}
		}
		return []pointer{{path, "", p.Index()}}
	}
	switch u := t.Underlying().(type) {
	case *types.Basic:
		if u.Kind() == types.String || u.Kind() == types.UnsafePointer {
			return []pointer{{path, u.String(), -1}}
		}
	case *types.Pointer, *types.Slice, *types.Map, *types.Chan, *types.Signature, *types.Interface:
		return []pointer{{path, short(t), -1}}
	case *types.Array:
		if u.Len() > 0 {
			return pointers(u.Elem(), path+"[]")
		}
	case *types.Struct:
		var all []pointer
		for f := range u.Fields() {
			for _, p := range pointers(f.Type(), path+"."+f.Name()) {
				if p.kind != "" {
					return []pointer{p}
				}
				all = append(all, p)
			}
		}
		return all
	}
	return nil
}

const (
	maybe = iota
	never
	always
)

// holding reports whether the types of a constraint have Go pointers.
func holding(constraint types.Type) int {
	i, ok := constraint.Underlying().(*types.Interface)
	if !ok {
		return maybe
	}
	result := maybe
	for e := range i.EmbeddedTypes() {
		switch e := types.Unalias(e).(type) {
		case *types.Union:
			free, full := 0, 0
			for t := range e.Terms() {
				if len(pointers(t.Type(), "")) == 0 {
					free++
				} else if p := pointers(t.Type(), ""); p[0].kind != "" {
					full++
				}
			}
			if free == e.Len() {
				return never
			}
			if full == e.Len() {
				result = always
			}
		case *types.Named:
			if _, ok := e.Underlying().(*types.Interface); ok {
				if h := holding(e); h != maybe {
					return h
				}
			} else if len(pointers(e, "")) == 0 {
				return never
			}
		case *types.Basic:
			if len(pointers(e, "")) == 0 {
				return never
			}
			result = always
		}
	}
	return result
}

// short returns the name of a type as its users write it.
func short(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}
