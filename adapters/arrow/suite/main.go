// Command suite runs the test suite of arrow-go without galloc and with galloc as its default
// allocator:
//
//	go -C adapters/arrow run ./suite [-long] [package ...]
package main

import "github.com/galloc-go/galloc/internal/suite"

const defaultAllocator = `package memory

import galloc "github.com/galloc-go/galloc/adapters/arrow"

var DefaultAllocator Allocator = galloc.New(nil)
`

const (
	arrays = "github.com/apache/arrow-go/v18/arrow/array "
	views  = "it fails on Arrow's own allocator of C memory too (go test -tags assert,test,mallocator)"
)

func main() {
	suite.Library{
		Module: "github.com/apache/arrow-go/v18", Version: "v18.8.0",
		Adapter: "github.com/galloc-go/galloc/adapters/arrow",
		Overlay: map[string]string{"arrow/memory/default_allocator.go": defaultAllocator},
		Tags:    "assert,test",
		Short:   []string{"./arrow/memory", "./arrow", "./arrow/array", "./arrow/ipc/..."},
		Long:    []string{"./arrow/...", "./parquet/..."},
		Known: map[string]string{
			arrays + "TestConcatenate/list_view":       views,
			arrays + "TestConcatenate/large_list_view": views,
		},
	}.Main()
}
