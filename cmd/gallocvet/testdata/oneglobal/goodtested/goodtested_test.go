package goodtested

import (
	"os"
	"testing"

	"github.com/galloc-go/galloc"
)

func TestMain(m *testing.M) {
	galloc.RegisterGlobal(galloc.System)
	os.Exit(m.Run())
}

func TestOther(t *testing.T) {
	// The test runs in another process.
	if os.Getenv("CHILD") != "" {
		galloc.RegisterGlobal(galloc.System)
	}
}
