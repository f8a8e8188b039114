// Command checked is a library whose allocator is a memory checker around galloc's heap.
package main

/*
#include <stdint.h>
*/
import "C"

import (
	"os"

	"github.com/galloc-go/galloc"
	_ "github.com/galloc-go/galloc/capi"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
)

var checker = memcheck.New(heap.Default(), memcheck.Options{})

func init() { galloc.RegisterGlobal(checker) }

// checked_leaks writes the list of leaks to standard output.
//
//export checked_leaks
func checked_leaks() { checker.ReportLeaks(os.Stdout) }

func main() {}
