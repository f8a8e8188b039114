// Program twice registers two allocators, the second by a function.
package main

import "github.com/galloc-go/galloc"

func main() {
	galloc.RegisterGlobal(galloc.System)
	register() // want "a second global allocator, at twice/twice.go:13: the program has another at twice/twice.go:7"
}

func register() {
	if galloc.DescribeGlobal() != "" {
		galloc.RegisterGlobal(galloc.System)
	}
}
