//go:build !race

package engine

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// Where the number of the P can be had without pinning, and where there is a fast path in assembly, they are in force: for a version of Go
// in which they are not, somebody has to look at what has changed.
func TestFastPathIsInForce(t *testing.T) {
	known := runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"
	if known != (idLimit == MaxProcs) {
		t.Errorf("idLimit == %d on %s", idLimit, runtime.GOARCH)
	}
	assembly := runtime.GOARCH == "amd64" && strings.HasPrefix(runtime.Version(), "go1.26")
	for _, f := range []any{FastAlloc, FastFree} {
		name := runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name()
		if assembly != strings.HasSuffix(name, "Asm") {
			t.Errorf("the fast path is %s on %s with %s", name, runtime.GOARCH, runtime.Version())
		}
	}
	if idLimit == 0 {
		return
	}
	for range 1000 {
		p := procPin()
		id := ProcID()
		procUnpin()
		if int(id) != p {
			t.Fatalf("ProcID() == %d on P %d", id, p)
		}
		runtime.Gosched()
	}
}

// Code that findP does not know gives no offset.
func TestFindPKnowsItsLimits(t *testing.T) {
	if idLimit == 0 {
		t.Skip("it knows nothing here")
	}
	code := *codeOf(procPin)
	first, shifted, later := code, code, code
	first[0] ^= 0x80
	copy(shifted[1:], code[:])
	for i := range later[12:] { // the offset itself is among these
		later[12+i] ^= 0x80
	}
	for _, other := range [][32]byte{{}, first, shifted, later} {
		if offset := findP(&other); offset != 0 {
			t.Errorf("%d found in % x", offset, other)
		}
	}
}
