package cli

import (
	"math"
	"runtime"
	"strings"
	"testing"
)

func TestMoreThanTheMachineHasIsRefused(t *testing.T) {
	if err := CheckMemory("it", 1<<20); err != nil {
		t.Error(err)
	}
	err := CheckMemory("it", math.MaxUint64)
	if runtime.GOOS != "linux" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.HasPrefix(err.Error(), "it needs 18.45 EB of memory at its peak, and ") {
		t.Error(err)
	}
	if n, known := available(); !known || n < 16<<20 || n > 1<<50 {
		t.Errorf("%d bytes are available, %v", n, known)
	}
}

func TestVersion(t *testing.T) {
	var out strings.Builder
	if err := version(&out); err != nil {
		t.Fatal(err)
	}
	want := " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	if !strings.HasPrefix(out.String(), "galloc version ") || !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q does not end in %q", out.String(), want)
	}
}
