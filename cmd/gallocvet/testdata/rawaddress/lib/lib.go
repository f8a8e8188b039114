// Package lib has helpers that handle blocks.
package lib

import (
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Record has pointers.
type Record struct {
	Name string
	Next *Record
}

// Make returns a Record in a block.
func Make() *Record { return Of[Record]() }

// Of returns a T in a block.
func Of[T any]() *T { return (*T)(galloc.AllocZeroed(galloc.LayoutOf[T]())) }

// Address returns a block as a number.
func Address(l galloc.Layout) uintptr { return uintptr(galloc.Alloc(l)) }

// Drop frees a number.
func Drop(address uintptr, l galloc.Layout) { galloc.Dealloc(unsafe.Pointer(address), l) }

// Hash uses the number only.
func Hash(address uintptr) uintptr { return address * 31 }

// SetName stores a string.
func (r *Record) SetName(name string) { r.Name = name }

// Link stores a pointer.
func Link(r, next *Record) { r.Next = next }
