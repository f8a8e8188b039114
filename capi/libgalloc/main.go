//go:build cgo && unix

// Command libgalloc is galloc's heap as a library for C and Rust: see package capi.
//
//	go build -buildmode=c-archive -o libgalloc.a ./capi/libgalloc
//	go build -buildmode=c-shared -o libgalloc.so ./capi/libgalloc
//
// The header is capi/galloc.h; "make capi PREFIX=..." builds and installs the library and the
// header.
package main

import (
	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi" // the functions of galloc.h
	"github.com/galloc-go/galloc/heap"
)

// The default of a library would be System.
func init() { galloc.RegisterGlobal(heap.Default()) }

func main() {}
