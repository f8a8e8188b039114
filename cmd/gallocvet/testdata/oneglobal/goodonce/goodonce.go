// Program goodonce registers in one of two branches, or not.
package main

import (
	"flag"

	"github.com/galloc-go/galloc"
)

func main() {
	system := flag.Bool("system", false, "")
	flag.Parse()
	if *system {
		galloc.RegisterGlobal(galloc.System)
	} else {
		galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap))
	}
}
