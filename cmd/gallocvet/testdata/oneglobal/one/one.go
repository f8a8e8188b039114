// Program one has one registration.
package main

import (
	_ "example.com/vet/oneglobal/deep"
	_ "example.com/vet/oneglobal/second"
)

func main() {}
