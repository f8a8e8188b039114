// Program goodnotcalled imports a function that registers, but does not call it at the start.
package main

import (
	"os"

	_ "example.com/vet/oneglobal/first"
	"example.com/vet/oneglobal/setup2"
)

// begin may be called in another mode of the program.
var begin = setup2.Begin

func main() { os.Exit(len(os.Args)) }
