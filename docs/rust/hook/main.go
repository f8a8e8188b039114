// Command hook sets a function that is called when memory runs out.
package main

import (
	"fmt"
	"os"

	"github.com/galloc-go/galloc"
)

func hook(l galloc.Layout) {
	fmt.Printf("no memory for %d bytes, aligned to %d\n", l.Size(), l.Align())
	os.Exit(3)
}

func main() {
	galloc.SetAllocErrorHook(hook)
	hook := galloc.SetAllocErrorHook(nil) // now it is the default one again
	galloc.SetAllocErrorHook(hook)
	galloc.HandleAllocError(galloc.Must(galloc.ArrayLayout[uint32](1000)))
}
