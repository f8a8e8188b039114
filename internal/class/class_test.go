package class

import (
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/engine"
)

// Of looks where a Layout keeps its class. If the fields of Layout change, this fails.
func TestClassOfALayout(t *testing.T) {
	for align := uintptr(1); align <= 8192; align *= 2 {
		for size := uintptr(0); size <= 40<<10; size += 7 {
			l := galloc.Must(galloc.NewLayout(size, align))
			if got, want := Of(l), uint32(engine.ClassOf(size, align)); got != want {
				t.Fatalf("%v: class %d, want %d", l, got, want)
			}
		}
	}
}
