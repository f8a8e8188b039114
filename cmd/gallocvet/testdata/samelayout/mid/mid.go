// Package mid hands on what package lib does.
package mid

import (
	"unsafe"

	"example.com/vet/samelayout/lib"
)

// Pair is two values.
type Pair[T any] struct{ A, B T }

// MakeInts allocates n ints.
func MakeInts(n int) unsafe.Pointer { return lib.MakeN[int64](n) }

// Drop frees n values.
func Drop[T any](p unsafe.Pointer, n int) { lib.DropN[T](p, n) }
