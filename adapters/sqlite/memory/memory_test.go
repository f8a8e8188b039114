package memory

import (
	"os"
	"testing"

	"github.com/galloc-go/galloc"
)

func TestMain(m *testing.M) {
	galloc.RegisterGlobal(galloc.AsGlobal(galloc.GoHeap))
	os.Exit(m.Run())
}

// Memory that the collector could free is refused. All other tests are in the folder above.
func TestGarbageCollected(t *testing.T) {
	if !collected() {
		t.Skip("the blocks come from C")
	}
	var a Allocator
	if b, err := a.Malloc(1); b != nil || err != errCollected {
		t.Errorf("%v, %v", b, err)
	}
	if p, err := a.UintptrRealloc(0, 1); p != 0 || err != errCollected {
		t.Errorf("%v, %v", p, err)
	}
}
