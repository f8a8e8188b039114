// Command jemalloc is a library for programs in C, with a function that allocates from jemalloc:
//
//	go build -tags galloc_jemalloc -buildmode=c-shared -o libfoo.so
package main

import "C"

import (
	"fmt"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/jemalloc"
)

//export foo
func foo() {
	a := galloc.Must(galloc.NewBox(nil, int32(4))) // from jemalloc
	defer a.Free()
	fmt.Println(*a.Get())
}

func main() {} // never called
