// Program called registers by a function two packages away, after an import has registered.
package main

import (
	_ "example.com/vet/oneglobal/first"
	"example.com/vet/oneglobal/setup2"
)

func main() {
	setup2.Begin() // want "a second global allocator, at setup/setup.go:9: the program has another at first/first.go:6"
}
