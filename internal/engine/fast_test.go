//go:build !race

package engine

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/internal/percpu"
)

// On amd64 the fast path is in assembly, with every version of Go that internal/percpu knows.
func TestFastPathIsInUse(t *testing.T) {
	assembly := runtime.GOARCH == "amd64" && percpu.Limit() != 0
	for _, f := range []any{FastAlloc, FastAllocZeroed, FastFree} {
		name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		if assembly != strings.HasSuffix(name, "Asm") {
			t.Errorf("the fast path is %s on %s with %s", name, runtime.GOARCH, runtime.Version())
		}
	}
}
