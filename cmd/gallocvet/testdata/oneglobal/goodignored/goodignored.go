// Program goodignored shows the panic of the second registration.
package main

import "github.com/galloc-go/galloc"

func main() {
	galloc.RegisterGlobal(galloc.System)
	defer func() { println(recover() != nil) }()
	//galloc:ignore oneglobal the example shows the panic
	galloc.RegisterGlobal(galloc.System)
}
