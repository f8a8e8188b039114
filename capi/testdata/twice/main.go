// Command twice is a library with two allocators, which is not allowed.
package main

import "C"

import (
	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi"
	"github.com/galloc-go/galloc/heap"
)

func init() { galloc.RegisterGlobal(heap.Default()) }

func init() { galloc.RegisterGlobal(galloc.System) }

func main() {}
