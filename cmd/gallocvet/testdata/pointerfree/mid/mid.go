// Package mid hands type parameters on.
package mid

import (
	"example.com/vet/pointerfree/lib"
	"github.com/galloc-go/galloc"
)

// Index has a cache.
type Index[V any] struct {
	c lib.Cache[uint64, V]
}

// Boxed is a T in a struct.
type Boxed[T any] struct{ Value T }

// Build allocates a Boxed.
func Build[T any](a galloc.Allocator) (*Boxed[T], error) { return lib.Make[Boxed[T]](a) }

// Here allocates on the global allocator.
func Here[T any]() (*T, error) { return lib.Make[T](nil) }
