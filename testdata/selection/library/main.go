// A library for programs in C.
package main

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

import "C"

// new_name returns the name of the global allocator as a string of C, in a block of that.
//
//export new_name
func new_name() unsafe.Pointer {
	name := galloc.DescribeGlobal() + "\n\x00"
	s := galloc.Must(galloc.MakeSlice[byte](nil, len(name)))
	copy(s, name)
	return unsafe.Pointer(unsafe.SliceData(s))
}

//export free_name
func free_name(name unsafe.Pointer, n int) {
	galloc.FreeSlice(nil, unsafe.Slice((*byte)(name), n+1))
}

func main() {}
