// Command system allocates a box from the system's allocator.
package main

import (
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/system"
)

func main() {
	a := galloc.Must(galloc.NewBox(nil, 4)) // from the system allocator
	defer a.Free()
	name, _, _ := strings.Cut(strings.TrimPrefix(galloc.DescribeGlobal(), "galloc."), " ")
	fmt.Printf("%d, from %s\n", *a.Get(), name)
}
