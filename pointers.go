package galloc

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Values off the Go heap must not contain Go pointers: the garbage collector does not
// look for them there, and would free what they point to. The check walks the type by
// reflection, once per type; what it found is kept in a map, and in front of the map in a
// small table that answers "no pointers" in about a nanosecond.

// pointerFree returns nil if no T contains a Go pointer, or else the error that names
// the way to the first one.
func pointerFree[T any]() error {
	id := typeID[T]()
	slot := &pointerFreeTypes[id/64%uintptr(len(pointerFreeTypes))]
	if slot.Load() == id {
		return nil
	}
	return checkPointers(reflect.TypeFor[T](), id, slot)
}

// typeID returns a number that no other type has: the address of the runtime's description
// of *T, which is never moved or freed.
func typeID[T any]() uintptr {
	v := any((*T)(nil))
	// SAFETY: the first word of an interface with no methods is the address of its type. If
	// that ceased to hold, types would be taken for one another, which a test would show.
	// reflect can tell the address too, at four times the price of all of pointerFree.
	return *(*uintptr)(unsafe.Pointer(&v))
}

// pointerFreeTypes holds types known to be free of pointers, each in the slot given by its
// address; one that shares its slot with another is looked up in checkedTypes.
var pointerFreeTypes [256]atomic.Uintptr

var checkedTypes sync.Map // reflect.Type to what walkType says

// checkPointers is pointerFree where slot does not know the type.
func checkPointers(t reflect.Type, id uintptr, slot *atomic.Uintptr) error {
	result, ok := checkedTypes.Load(t)
	if !ok {
		result, _ = checkedTypes.LoadOrStore(t, walkType(t))
	}
	if err, ok := result.(error); ok {
		return err
	}
	slot.Store(id)
	return nil
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
		reason: fmt.Sprintf("%s contains Go pointers, which the garbage collector does not follow outside of its heap%s: "+
			"use indices or fixed-size arrays instead, or GoHeap", t, where),
		cause: ErrPointers,
	}
}

// findPointer returns the path to the first Go pointer in values of type t, which path
// leads to, and its type; or nil.
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
			if p, what := findPointer(f.Type, path+"."+f.Name); what != nil {
				return p, what
			}
		}
	}
	return "", nil
}
