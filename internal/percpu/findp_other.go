//go:build (!amd64 && !arm64) || go1.28 || galloc_portable

package percpu

// findP knows no code: there are no sections.
func findP(*[32]byte) uintptr { return 0 }
