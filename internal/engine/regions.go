package engine

import "github.com/galloc-go/galloc/internal/pages"

// Owns reports whether r is a region of h.
func (h *Heap) Owns(r *pages.Region) bool { return r.Owner == &h.pages }
