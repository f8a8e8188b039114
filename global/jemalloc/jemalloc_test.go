package jemalloc_test

import (
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/global/jemalloc"
)

func Example() {
	_, why, _ := strings.Cut(galloc.DescribeGlobal(), ", selected ")
	fmt.Println(why)
	// Output: by the import of github.com/galloc-go/galloc/global/jemalloc
}
