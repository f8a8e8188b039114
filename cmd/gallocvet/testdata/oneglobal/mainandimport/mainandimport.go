// Program mainandimport registers, and imports a package that does.
package main

import (
	_ "example.com/vet/oneglobal/deep"
	"github.com/galloc-go/galloc"
)

func init() {
	galloc.RegisterGlobal(galloc.System) // want "a second global allocator, at mainandimport/mainandimport.go:10: the program has another at second/second.go:6"
}

func main() {}
