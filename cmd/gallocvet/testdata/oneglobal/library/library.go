// Package library is a library with two registrations in its imports: the programs that import it
// report them.
package library

import (
	_ "example.com/vet/oneglobal/deep"
	_ "example.com/vet/oneglobal/first"
)

// Use is used.
func Use() {}
