package tested

import (
	"os"
	"testing"

	_ "example.com/vet/oneglobal/first"
	"github.com/galloc-go/galloc"
)

func TestMain(m *testing.M) {
	galloc.RegisterGlobal(galloc.System) // want "a second global allocator, at tested/tested_test.go:12: the program has another at first/first.go:6"
	os.Exit(m.Run())
}
