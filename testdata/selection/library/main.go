// A library for programs in C.
package main

import (
	"fmt"

	"github.com/galloc-go/galloc"
)

import "C"

//export print_name
func print_name() {
	l := galloc.Must(galloc.NewLayout(40, 8))
	galloc.Dealloc(galloc.Alloc(l), l)
	fmt.Println(galloc.GlobalName())
}

func main() {}
