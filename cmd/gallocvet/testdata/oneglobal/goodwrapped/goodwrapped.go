// Program goodwrapped registers what it has chosen in several steps.
package main

import (
	"os"

	"example.com/vet/oneglobal/goodlibrary"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/wrap"
)

func choose() galloc.Allocator {
	if os.Getenv("STATS") != "" {
		return wrap.Stats(galloc.System)
	}
	return galloc.System
}

func main() {
	galloc.RegisterGlobal(galloc.AsGlobal(choose()))
	galloc.Free(nil, goodlibrary.Use())
}
