// Command default registers nothing: which allocator it is depends on what it is built as.
package main

// #include "../../galloc.h"
import "C"

import (
	"os"

	_ "github.com/galloc-go/galloc/capi"
)

func main() { _, _ = os.Stdout.WriteString(C.GoString(C.galloc_name()) + "\nok\n") }
