// Package setup registers if it is called.
package setup

import "github.com/galloc-go/galloc"

// Register registers.
func Register() { register(galloc.System) }

func register(a galloc.GlobalAlloc) { galloc.RegisterGlobal(a) }
