// Command default registers nothing: its allocator depends on the build mode.
package main

// #include "../../galloc.h"
import "C"

import (
	"os"

	_ "github.com/galloc-go/galloc/capi"
)

func main() { _, _ = os.Stdout.WriteString(C.GoString(C.galloc_name()) + "\nok\n") }
