// Program goodunlinked has Selections that are not linked, as a table of names.
package main

import (
	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/system"
)

var first = galloc.Selection{Path: "first", New: func() galloc.GlobalAlloc { return galloc.System }}

var second = galloc.Selection{Path: "second", New: func() galloc.GlobalAlloc { return galloc.System }}

func main() { println(first.Path, second.Path) }
