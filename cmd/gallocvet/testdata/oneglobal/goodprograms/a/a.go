// Program a registers.
package main

import "github.com/galloc-go/galloc"

func main() { galloc.RegisterGlobal(galloc.System) }
