// Program looped registers one allocator after another.
package main

import "github.com/galloc-go/galloc"

func main() {
	for _, a := range []galloc.GlobalAlloc{galloc.System, galloc.Global} {
		if a != nil {
			galloc.RegisterGlobal(a)
		}
		if a == nil {
			galloc.RegisterGlobal(galloc.System) // want "a second global allocator, at looped/looped.go:12: the program has another at looped/looped.go:9"
		}
	}
}
