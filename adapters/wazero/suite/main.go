// Command suite runs the tests of wazero without galloc and with galloc as the allocator of all
// modules whose context has none:
//
//	go -C adapters/wazero run ./suite [-long] [package ...]
package main

import "github.com/galloc-go/galloc/internal/suite"

const allocator = `package wasm

import galloc "github.com/galloc-go/galloc/adapters/wazero"

var gallocMemories = galloc.New(galloc.Options{})
`

const (
	memory  = "github.com/tetratelabs/wazero/internal/wasm "
	engine  = "github.com/tetratelabs/wazero/internal/integration_test/engine "
	moves   = "it expects that memory.grow moves the memory, so that an older view is a copy"
	doubles = "it expects that the allocator doubles the capacity, as the test's own does"
)

func main() {
	suite.Library{
		Module: "github.com/tetratelabs/wazero", Version: "v1.12.0",
		Adapter: "github.com/galloc-go/galloc/adapters/wazero",
		Overlay: map[string]string{"internal/wasm/galloc.go": allocator},
		Edits: []suite.Edit{{
			File: "internal/wasm/store.go",
			Old:  "\tm.buildMemory(module, allocator)\n",
			New:  "\tif allocator == nil {\n\t\tallocator = gallocMemories\n\t}\n\tm.buildMemory(module, allocator)\n",
		}, {
			File: "internal/wasm/memory_test.go",
			Old:  "return &sliceBuffer{make([]byte, cap), max}",
			New:  "return gallocMemories.Allocate(cap, max)",
		}},
		Short: []string{"./internal/wasm", "./experimental/...", "./internal/integration_test/spectest/v1"},
		Long:  []string{"./..."},
		Known: map[string]string{
			engine + "TestEngineCompiler/module_memory":           moves,
			engine + "TestEngineInterpreter/module_memory":        moves,
			memory + "TestMemoryInstance_Grow_Size/expAllocator":  doubles,
			memory + "TestMemoryInstance_Grow_Size/failAllocator": doubles,
		},
	}.Main()
}
