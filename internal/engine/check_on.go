//go:build galloc_invariants

package engine

// Invariants says whether the heap checks itself while it works. See Check.
const Invariants = true
