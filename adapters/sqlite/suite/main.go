// Command suite runs the tests of modernc.org/memory, libc or sqlite without galloc and with the
// replacement of modernc.org/memory:
//
//	go -C adapters/sqlite run ./suite memory|libc|sqlite [-long] [package ...]
package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/internal/suite"
)

const (
	memory = "modernc.org/memory"
	folder = "adapters/sqlite/memory"
)

var libraries = map[string]suite.Library{
	"memory": {
		Module: memory, Version: "v1.12.1",
		Remove:  []string{"memory*.go", "mmap_*.go", "decommit_*.go", "trace_*.go"},
		Overlay: map[string]string{"galloc_test.go": sizes},
		Edits: []suite.Edit{
			{File: "all_test.go", Func: []string{ // of its pages
				"TestUMalloc", "TestMalloc", "TestTrim", "TestTrimClasses", "TestTrimBigPage",
				"TestFreedPool", "TestSlabBatch", "TestSlabBatchFreedPoolBound",
			}},
			{File: "all_test.go", Old: "len(alloc.regs) != 0", New: "alloc.live.Load() != 0", All: true},
		},
		Tags: "memory.counters", Short: []string{"."}, Long: []string{"."},
	},
	"libc": {
		Module: "modernc.org/libc", Version: "v1.81.0", Adapter: memory, Folder: folder,
		Short: []string{"."}, Long: []string{"./..."},
		Known: map[string]string{
			"modernc.org/libc TestPthreadExitFreesTLS": "it expects that a block of 64 KiB is the next but two again; it is freed",
		},
	},
	"sqlite": {
		Module: "modernc.org/sqlite", Version: "v1.62.0", Adapter: memory, Folder: folder,
		Short: []string{"."}, Long: []string{"./..."},
	},
}

// sizes are constants that the tests of memory use.
const sizes = `package memory

const (
	osPageSize = 4096
	pageSize   = 1 << 16
)
`

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	l, ok := libraries[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "usage: suite LIBRARY [-long] [package ...]; the libraries are", slices.Sorted(maps.Keys(libraries)))
		os.Exit(2)
	}
	os.Args = slices.Delete(os.Args, 1, 2)
	if l.Module == memory { // the tests become tests of our package
		files, err := filepath.Glob("memory/*.go")
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				text, e := os.ReadFile(f)
				l.Overlay[filepath.Base(f)] = string(text)
				err = e
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(2)
			}
		}
	}
	l.Main()
}
