package sub

import (
	"os"
	"testing"

	"github.com/galloc-go/galloc"
)

func TestMain(m *testing.M) {
	galloc.RegisterGlobal(New()) // the program of the test
	use()
	check()
	os.Exit(m.Run())
}
