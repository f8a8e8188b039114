//go:build !galloc_invariants

package pages

// Invariants reports whether heaps check themselves while they work. See Allocator.Check.
const Invariants = false
