// Program gooddiamond reaches one registration on three ways.
package main

import (
	_ "example.com/vet/oneglobal/deep"
	_ "example.com/vet/oneglobal/deeper"
	_ "example.com/vet/oneglobal/second"
)

func main() {}
