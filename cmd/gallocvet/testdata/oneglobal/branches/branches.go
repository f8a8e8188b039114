// Program branches registers one of two allocators.
package main

import (
	"os"

	"github.com/galloc-go/galloc"
)

func main() {
	if len(os.Args) > 1 {
		galloc.RegisterGlobal(galloc.System)
		return
	}
	choose(os.Args[0])
}

func choose(name string) {
	switch name {
	case "a":
		galloc.RegisterGlobal(galloc.System)
	default:
		galloc.RegisterGlobal(galloc.AsGlobal(galloc.System))
	}
}
