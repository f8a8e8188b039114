// Command goheap is a library whose blocks the garbage collector would free, which is not allowed.
package main

import "C"

import (
	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi"
)

func init() { galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap)) }

func main() {}
