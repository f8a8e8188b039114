// Program apart has two registrations, each three imports away, on different ways.
package main

import (
	_ "example.com/vet/oneglobal/deeper"
	_ "example.com/vet/oneglobal/other" // want "a second global allocator, at first/first.go:6: the program has another at second/second.go:6"
)

func main() {}
