package cache

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"reflect"
	"strings"
)

// textKind is the kind of the saves of a Text.
const textKind = "text"

// kindOf describes how keys and values lie in memory: only the same program, or one with types of
// the same layout on a machine with the same byte order, can read them.
func kindOf[K, V any]() string {
	order := "big endian"
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		order = "little endian"
	}
	kind := fmt.Sprintf("%s, from %s to %s", order, layoutOf(reflect.TypeFor[K]()), layoutOf(reflect.TypeFor[V]()))
	if len(kind) > longKind {
		kind = fmt.Sprintf("%s... (%d bytes, CRC-32C %#x)", kind[:longKind], len(kind), crc32.Checksum([]byte(kind), castagnoli))
	}
	return kind
}

const longKind = 1000

// layoutOf describes a type without Go pointers: two types with the same description have the same
// values for the same bytes.
func layoutOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Uint, reflect.Uintptr:
		return fmt.Sprintf("%s%d", map[bool]string{true: "int", false: "uint"}[t.Kind() == reflect.Int], t.Bits())
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), layoutOf(t.Elem()))
	case reflect.Struct:
		var b strings.Builder
		for i := range t.NumField() {
			f := t.Field(i)
			fmt.Fprintf(&b, "%d: %s, ", f.Offset, layoutOf(f.Type))
		}
		return fmt.Sprintf("struct{%s%d}", b.String(), t.Size())
	}
	return t.Kind().String()
}
