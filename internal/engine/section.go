// Sections for others than caches. See pin.go for what a section is, and internal/shard for who uses them.

package engine

// SectionLimit returns the number up to which what ProcID returns is the number of the P, in a function marked go:nosplit: MaxProcs, or 0
// where that is not known, and where the race detector would not understand.
func SectionLimit() uint32 { return idLimit }

// Grace returns when every section that had begun when it was called has ended. It costs some 10 µs, and stops the world meanwhile.
func Grace() { grace() }

// ProcHint returns the number of the P that the caller was on a moment ago.
func ProcHint() int {
	p := procPin()
	procUnpin()
	return p
}
