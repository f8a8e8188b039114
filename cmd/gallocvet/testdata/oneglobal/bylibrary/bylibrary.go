// Program bylibrary imports a library with two registrations.
package main

import "example.com/vet/oneglobal/library" // want "a second global allocator, at second/second.go:6: the program has another at first/first.go:6"

func main() { library.Use() }
