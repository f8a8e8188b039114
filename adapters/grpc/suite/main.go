// Command suite runs the tests of grpc-go without galloc and with galloc as its default buffer
// pool:
//
//	go -C adapters/grpc run ./suite [-long] [package ...]
package main

import "github.com/galloc-go/galloc/internal/suite"

// Package mem cannot import the adapter, which imports it.
const defaultPool = `package mem

import "github.com/galloc-go/galloc/bufpool"

func init() { defaultBufferPool = bufpool.NewSlices(nil) }
`

func main() {
	suite.Library{
		Module: "google.golang.org/grpc", Version: "v1.85.0",
		Overlay: map[string]string{"mem/galloc.go": defaultPool},
		Tags:    "checkbuffers",
		Short:   []string{"./mem", "./encoding/...", "./internal/transport"},
		Long:    []string{"./mem", "./encoding/...", "./internal/transport/...", "./test/...", "."},
	}.Main()
}
