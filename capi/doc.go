// Package capi exports the global allocator to C, and through C to Rust: programs in another
// language that call the functions of galloc.h allocate from the Go program's registered allocator.
//
// The main package of a library built with -buildmode=c-archive or c-shared imports it for its
// effect:
//
//	package main
//
//	import (
//		"github.com/galloc-go/galloc"
//		_ "github.com/galloc-go/galloc/capi"
//	)
//
//	func init() { galloc.RegisterGlobal(...) }
//
//	func main() {} // never called
//
// RegisterGlobal chooses the allocator. If its blocks are garbage collected, as galloc.GoHeap's
// are, the first allocation ends the process with a message. Without a call of RegisterGlobal the
// allocator is System, since a library is a guest in a program that may want to use libc's memory:
// each call then enters Go only to return to C. Package
// [github.com/galloc-go/galloc/capi/libgalloc] is such a main package for galloc's own heap; "make
// capi PREFIX=..." installs it.
//
// galloc.h is the contract, function by function. README.md in this folder explains how to link,
// what a call costs, and what is not possible: to allocate in a signal handler, to go on for long
// after a fork, to replace malloc. The Rust crate is in the folder rust.
//
// The package has no functions for Go, and without cgo, or on Windows, it is empty. It may be
// imported into a Go executable too: C code that is linked into it can then call the functions of
// galloc.h.
package capi
