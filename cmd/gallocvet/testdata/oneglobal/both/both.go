// Program both has two registrations, one of them two imports away.
package main

import (
	_ "example.com/vet/oneglobal/deep"
	_ "example.com/vet/oneglobal/first" // want "a second global allocator, at first/first.go:6: the program has another at second/second.go:6"
)

func main() {}
