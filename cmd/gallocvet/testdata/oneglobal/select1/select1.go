// Program select1 selects by an import and registers.
package main

import (
	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/system"
)

func main() {
	galloc.RegisterGlobal(galloc.System) // want "a second global allocator, at select1/select1.go:10: the program has another at system/system.go:"
}
