package memcheck

// A Handle leads from an allocator that embeds it to its Checker. Package galloc looks for it.
type Handle struct {
	checker *Checker
	inner   any
}

// HandleOf returns a Handle of c in front of inner.
func HandleOf(c *Checker, inner any) Handle { return Handle{c, inner} }

// MemoryChecker returns the Checker, or nil, and the allocator inside.
func (h *Handle) MemoryChecker() (c *Checker, inner any) { return h.checker, h.inner }
