// Program goodcalled registers once, by a function.
package main

import "example.com/vet/oneglobal/setup2"

func main() { setup2.Begin() }
