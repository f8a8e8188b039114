// Package mid calls a generic function that copies.
package mid

import "example.com/vet/copied/lib"

// First copies the first element.
func First[K comparable, T any](_ K, s []T) T { return lib.Snapshot(&s[0]) }

// Of moves.
func Of[T any](s []T) T { return lib.Take(&s[0]) }
