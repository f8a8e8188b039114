// Program program registers, as it may.
package main

import (
	"example.com/vet/fromlibrary/sub"
	"github.com/galloc-go/galloc"
)

func main() {
	galloc.RegisterGlobal(sub.New())
}
