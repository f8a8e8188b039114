// Package aaa is a library that allocates while it is initialized.
package aaa

import "github.com/galloc-go/galloc"

var Layout = galloc.Must(galloc.NewLayout(100, 8))

var Block = galloc.Alloc(Layout)
