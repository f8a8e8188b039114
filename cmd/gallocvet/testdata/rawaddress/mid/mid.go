// Package mid calls package lib.
package mid

import (
	"example.com/vet/rawaddress/lib"
	"github.com/galloc-go/galloc"
)

// Free frees a number.
func Free(address uintptr) { lib.Drop(address, galloc.LayoutOf[int]()) }

// Join links.
func Join(next, r *lib.Record) { lib.Link(r, next) }

// Alloc returns a block.
func Alloc() *lib.Record { return lib.Make() }
