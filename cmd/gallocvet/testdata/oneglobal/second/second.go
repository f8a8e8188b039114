// Package second registers.
package second

import "github.com/galloc-go/galloc"

func init() { galloc.RegisterGlobal(galloc.System) }
