// Package goodlibrary uses the global allocator and registers none.
package goodlibrary

import "github.com/galloc-go/galloc"

// Use allocates.
func Use() *int { return galloc.Must(galloc.New[int](nil)) }
