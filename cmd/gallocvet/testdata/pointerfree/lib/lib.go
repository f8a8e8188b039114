// Package lib is generic over what it keeps off the Go heap.
package lib

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// Pair is two values.
type Pair[A, B any] struct {
	First  A
	Second B
}

// Make allocates a T on a.
func Make[T any](a galloc.Allocator) (*T, error) { return galloc.New[T](a) }

// MakePair allocates a Pair on the global allocator.
func MakePair[A, B any]() (*Pair[A, B], error) { return galloc.New[Pair[A, B]](nil) }

// Cache keeps values.
type Cache[K comparable, V any] struct {
	m    collections.Map[K, V]
	hits map[K]int
}

// Get returns a value.
func (c *Cache[K, V]) Get(k K) (V, bool) { return c.m.Get(k) }

// Tree has values in Go memory, and only keys off the Go heap.
type Tree[K comparable, V any] struct {
	keys   collections.Set[K]
	values []V
}

// Copy copies a slice.
func Copy[E any](a galloc.Allocator, s []E) ([]E, error) {
	t, err := galloc.MakeSlice[E](a, len(s))
	copy(t, s)
	return t, err
}

// Scratch needs an allocator for Go pointers.
func Scratch(a galloc.Allocator) ([]string, error) { return galloc.MakeSlice[string](a, 10) }

// Either uses the Go heap if it must.
func Either[T any]() (*T, error) {
	if HasPointers[T]() {
		return new(T), nil
	}
	return galloc.New[T](nil)
}

// HasPointers reports whether a T has pointers.
func HasPointers[T any]() bool {
	_, err := galloc.MakeSlice[T](nil, 0)
	return err == galloc.ErrPointers
}
