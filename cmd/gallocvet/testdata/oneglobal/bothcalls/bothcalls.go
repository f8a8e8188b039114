// Program bothcalls registers in init and in main.
package main

import (
	"example.com/vet/oneglobal/setup2"
	"github.com/galloc-go/galloc"
)

func init() { galloc.RegisterGlobal(galloc.System) }

func main() {
	println("starts")
	setup2.Begin() // want "a second global allocator, at setup/setup.go:9: the program has another at bothcalls/bothcalls.go:9"
}
