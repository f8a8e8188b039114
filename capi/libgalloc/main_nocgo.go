//go:build !(cgo && unix)

// Command libgalloc is galloc's heap as a library for C and Rust: see package capi. It needs cgo,
// and is not available on Windows yet.
package main

import "os"

func main() {
	_, _ = os.Stderr.WriteString("libgalloc is a library: build it with cgo and -buildmode=c-archive or c-shared\n")
	os.Exit(2)
}
