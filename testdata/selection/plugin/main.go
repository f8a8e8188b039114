// A plugin.
package main

import (
	"fmt"

	"github.com/galloc-go/galloc"
)

func PrintName() {
	l := galloc.Must(galloc.NewLayout(40, 8))
	galloc.Dealloc(galloc.Alloc(l), l)
	fmt.Println("plugin:", galloc.DescribeGlobal())
}

func main() {}
