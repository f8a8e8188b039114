package galloc

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
)

// Values off the Go heap must not contain Go pointers: the garbage collector does not
// look for them there, and would free what they point to. The check walks the type by
// reflection, once per type; what it found is kept in a map, and in front of the map in a
// small table that answers "no pointers" in about a nanosecond.

// pointerFree returns nil if no T contains a Go pointer, or else the error that names
// the way to the first one.
func pointerFree[T any]() error {
	t := reflect.TypeFor[T]()
	id := reflect.ValueOf(t).Pointer() // types are not moved or freed: the address is the type
	slot := &pointerFreeTypes[id/64%uintptr(len(pointerFreeTypes))]
	if slot.Load() == id {
		return nil
	}
	err := checkPointers(t)
	if err == nil {
		slot.Store(id)
	}
	return err
}

// pointerFreeTypes holds types known to be free of pointers, each in the slot given by its
// address; one that shares its slot with another is looked up in checkedTypes.
var pointerFreeTypes [256]atomic.Uintptr

var checkedTypes sync.Map // reflect.Type to error

func checkPointers(t reflect.Type) error {
	if err, ok := checkedTypes.Load(t); ok {
		err, _ := err.(error)
		return err
	}
	var err error
	if path, what := findPointer(t, t.String()); what != nil {
		err = &AllocError{
			reason: fmt.Sprintf("%s contains Go pointers, which the garbage collector does not follow outside of its heap: "+
				"%s is a %s; use indices or fixed-size arrays instead, or GoHeap", t, path, what),
			cause: ErrPointers,
		}
	}
	checkedTypes.Store(t, err)
	return err
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
