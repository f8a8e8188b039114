// Package capi gives the global allocator to C, and through C to Rust: what another language
// allocates by the functions of galloc.h comes from the allocator written in Go that the
// program has registered.
//
// It is imported for its effect, by the main package of a library that is built with
// -buildmode=c-archive or c-shared:
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
// Which allocator that is, is what RegisterGlobal says. Without it, it is System, since a
// library is a guest in a program that may want to use libc's memory: then each call goes to Go
// only to come back to C. Package [github.com/galloc-go/galloc/capi/libgalloc] is such a main
// package for galloc's own heap; "make capi PREFIX=..." installs it.
//
// galloc.h is the contract, function by function; README.md in this folder tells how to link,
// what a call costs, and what cannot be done: to allocate in a signal handler, to go on for long
// after a fork, to replace malloc. The Rust crate is in the folder rust.
//
// The package has no functions for Go, and without cgo, or on Windows, it has none at all. In a
// Go executable it does no harm: code in C that is linked into it can call the functions of
// galloc.h too.
package capi
