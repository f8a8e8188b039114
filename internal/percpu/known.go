//go:build !go1.28 && !galloc_portable

package percpu

// known reports whether this package is known to be right with the version of Go that builds the
// program. With later versions, and with the tag galloc_portable, which is there to test this,
// there are no sections: Limit returns 0, callers pin, and the engine does not use its assembly.
// When a new version comes, go through the list in versions_test.go. Then move the limit in
// known.go, unknown.go and findp_*.go, and record figures of it in bench/instructions.
const known = true
