// Package first registers.
package first

import "github.com/galloc-go/galloc"

func init() { galloc.RegisterGlobal(galloc.System) }
