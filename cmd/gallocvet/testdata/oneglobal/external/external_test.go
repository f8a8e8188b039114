package external_test

import (
	"testing"

	"example.com/vet/oneglobal/external"
	_ "example.com/vet/oneglobal/first" // want "a second global allocator, at first/first.go:6: the program has another at second/second.go:6"
)

func Test(t *testing.T) { t.Log(external.Value) }
