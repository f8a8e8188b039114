//go:build go1.28 || galloc_portable

package percpu

// known is explained in known.go.
const known = false
