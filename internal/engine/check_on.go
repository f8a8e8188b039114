//go:build galloc_invariants

package engine

// invariants says whether the heap checks itself while it works. See Check.
const invariants = true
