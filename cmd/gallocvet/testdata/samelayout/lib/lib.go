// Package lib allocates and frees for other packages.
package lib

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Node is a node.
type Node struct{ ID, Next uint64 }

// NodeLayout is the layout of a Node.
var NodeLayout = galloc.LayoutOf[Node]()

// Header returns the layout of a header.
func Header() galloc.Layout { return galloc.Must(galloc.NewLayout(64, 8)) }

// Make allocates a node.
func Make() unsafe.Pointer { return galloc.Alloc(galloc.LayoutOf[Node]()) }

// Drop frees a node.
func Drop(p unsafe.Pointer) { galloc.Dealloc(p, galloc.LayoutOf[Node]()) }

// MakeOf allocates a T.
func MakeOf[T any]() unsafe.Pointer { return galloc.Alloc(galloc.LayoutOf[T]()) }

// DropOf frees a T.
func DropOf[T any](p unsafe.Pointer) { galloc.Dealloc(p, galloc.LayoutOf[T]()) }

// MakeN allocates n values.
func MakeN[T any](n int) unsafe.Pointer { return galloc.Alloc(galloc.Must(galloc.ArrayLayout[T](n))) }

// DropN frees n values.
func DropN[T any](p unsafe.Pointer, n int) {
	galloc.Dealloc(p, galloc.Must(galloc.ArrayLayout[T](n)))
}
