// Package mid calls package lib.
package mid

import (
	"example.com/vet/allocbody/lib"
	"github.com/galloc-go/galloc"
)

// Note notes.
func Note(l galloc.Layout) int { return len(lib.Describe(l.Size())) }
