package gotype

import (
	"reflect"
	"testing"
	"unsafe"
)

// If this fails with a new version of Go, galloc walks types by reflection again: compare
// description with abi.Type.
func TestDescriptionsAreKnown(t *testing.T) {
	if unknown != 0 {
		t.Error("the runtime describes types in another way")
	}
}

type (
	inner  struct{ a [2]uint64 }
	nested struct {
		_ inner
		_ [3]inner
	}
	holder struct {
		_ uint64
		_ *int
	}
)

func TestPointerFree(t *testing.T) {
	for name, free := range map[string]bool{
		"int": Of((*int)(nil)).PointerFree(), "uintptr": Of((*uintptr)(nil)).PointerFree(),
		"struct{}": Of((*struct{})(nil)).PointerFree(), "nested": Of((*nested)(nil)).PointerFree(),
		"[0]*int": Of((*[0]*int)(nil)).PointerFree(), "[0]string": Of((*[0]string)(nil)).PointerFree(),
	} {
		if !free {
			t.Errorf("%s is said to contain pointers", name)
		}
	}
	for name, free := range map[string]bool{
		"*int": Of((**int)(nil)).PointerFree(), "string": Of((*string)(nil)).PointerFree(),
		"[]int": Of((*[]int)(nil)).PointerFree(), "map": Of((*map[int]int)(nil)).PointerFree(),
		"func": Of((*(func()))(nil)).PointerFree(), "chan": Of((*(chan int))(nil)).PointerFree(),
		"any": Of((*any)(nil)).PointerFree(), "error": Of((*error)(nil)).PointerFree(),
		"holder": Of((*holder)(nil)).PointerFree(), "[2]holder": Of((*[2]holder)(nil)).PointerFree(),
	} {
		if free {
			t.Errorf("%s is said to contain no pointer", name)
		}
	}
	if n := Of((*nested)(nil)); n.Size() != 64 || 1<<n.Log2Align() != unsafe.Alignof(uint64(0)) {
		t.Errorf("size %d, alignment 1<<%d", n.Size(), n.Log2Align())
	}
	defer func() { unknown = 0 }()
	unknown = 1
	if Of((*int)(nil)).PointerFree() {
		t.Error("an unknown description is trusted")
	}
}

func TestTypesAreTold(t *testing.T) {
	if again := (*int)(nil); Of(again) != Of((*int)(nil)) || Of(again) == Of((*uint)(nil)) || Of((*holder)(nil)) == Of((*nested)(nil)) {
		t.Error("Of does not identify types")
	}
	if got := Of((*holder)(nil)).Reflect(); got != reflect.TypeFor[holder]() {
		t.Errorf("got %v", got)
	}
	if got := Of((*error)(nil)).Reflect(); got != reflect.TypeFor[error]() {
		t.Errorf("got %v", got)
	}
}
