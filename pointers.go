package galloc

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/galloc-go/galloc/internal/gotype"
)

// Values off the Go heap must not contain Go pointers: the garbage collector does not scan them,
// and would free the memory that they point to. Whether a type contains one is in the runtime's
// description of the type. If it does, or may, the type is walked by reflection, once, for an error
// that names the pointer.

// pointerFree returns nil if values of type t contain no Go pointer, or else an error that names
// the path to the first one.
func pointerFree(t gotype.Type) error {
	if t.PointerFree() {
		return nil
	}
	return pointerFreeType(t.Reflect())
}

var checkedTypes sync.Map // reflect.Type to the result of walkType

// pointerFreeType is pointerFree of a type of package reflect.
func pointerFreeType(t reflect.Type) error {
	result, ok := checkedTypes.Load(t)
	if !ok {
		result, _ = checkedTypes.LoadOrStore(t, walkType(t))
	}
	err, _ := result.(error)
	return err
}

// walkType looks for Go pointers in values of type t.
func walkType(t reflect.Type) error {
	path, what := findPointer(t, t.String())
	if what == nil {
		return nil
	}
	where := ""
	if what != t {
		where = fmt.Sprintf(" (%s is a %s)", path, what)
	}
	return &AllocError{
		reason: fmt.Sprintf("%s contains Go pointers, which the garbage collector does not follow outside of its "+
			"heap%s: use %s instead, or New on GoHeap", t, where, substitute(what)),
		cause: ErrPointers,
	}
}

// substitute returns what to use in place of a value of type t.
func substitute(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[") // without type arguments
	switch {
	case isCollection(t) && (name == "Vec" || name == "Deque"):
		return "a collections.Array"
	case isCollection(t) && name == "Bytes", t.Kind() == reflect.String:
		return "a collections.String"
	case isCollection(t), t.Kind() == reflect.Map:
		return "one collection whose keys have both parts, or indices of a Go slice of them,"
	case t.Kind() == reflect.Slice:
		return "a collections.Array or Slice"
	case t.Kind() == reflect.Pointer:
		return "an index, a collections.Ptr or Handle"
	}
	return "indices or fixed-size arrays"
}

// isCollection reports whether t is a type that package collections exports.
func isCollection(t reflect.Type) bool {
	return t.PkgPath() == packagePath+"/collections" && 'A' <= t.Name()[0] && t.Name()[0] <= 'Z'
}

// findPointer returns the path to the first Go pointer in values of type t, which path leads to,
// and its type; or nil. If it is in a collection, the path ends there.
func findPointer(t reflect.Type, path string) (string, reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.String, reflect.Slice, reflect.Map,
		reflect.Chan, reflect.Func, reflect.Interface:
		return path, t
	case reflect.Array:
		if t.Len() > 0 {
			return findPointer(t.Elem(), path+"[]")
		}
	case reflect.Struct:
		for f := range t.Fields() {
			p, what := findPointer(f.Type, path+"."+f.Name)
			if what != nil && isCollection(t) {
				return path, t
			}
			if what != nil {
				return p, what
			}
		}
	}
	return "", nil
}

// CollectedAllocator is an allocator that knows whether its blocks are garbage collected, as
// [GoHeap]'s are: the garbage collector frees such a block when no Go pointer leads to it any more,
// even if nobody has deallocated it.
//
// A wrapper need not implement it, and neither need a [TypedAllocator] that is not a wrapper, whose
// blocks count as garbage collected: see the function [GarbageCollected]. An allocator that is
// neither, and returns Go memory without keeping a pointer to it, must implement it, also if it is
// a [GlobalAlloc] only.
type CollectedAllocator interface {
	// GarbageCollected reports whether the garbage collector may free blocks of the allocator.
	GarbageCollected() bool
}

// GarbageCollected reports whether the garbage collector may free blocks of a, because a is GoHeap
// or takes its memory from there, through any wrappers, adapters or the registration as the global
// allocator. The blocks of a source such as a bump.Arena are not garbage collected on any upstream,
// because the source holds its memory by Go pointers until it is closed.
//
// A block that is garbage collected must be reached by Go pointers in memory that the collector
// scans. Code that keeps only the address, as a number, off the Go heap or in C, must refuse the
// allocator: as a collections.String and the library of package capi do.
//
// It costs a few nanoseconds for each wrapper. Safe for concurrent use.
func GarbageCollected(a Allocator) bool { return collected(orGlobal(a)) }

func collected(a any) bool {
	switch a := a.(type) {
	case GlobalAllocator, *GlobalAllocator:
		return current().collected
	case CollectedAllocator:
		return a.GarbageCollected()
	case Wrapper:
		first, second := inside(a)
		return collected(first) || second != nil && collected(second)
	case TypedAllocator:
		return true
	case asGlobal:
		return collected(a.a)
	case face[resolved]:
		return collected(a.g.alloc)
	case *checked:
		return collected(a.inner.alloc)
	}
	return false
}
