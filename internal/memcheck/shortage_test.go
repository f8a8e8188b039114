package memcheck_test

import (
	"math/bits"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/vm"
)

func TestAShortageOfAddressSpaceIsReported(t *testing.T) {
	if why := memcheck.New(nil, memcheck.Options{Guard: memcheck.GuardEnd}).Shortage(); why != "" {
		t.Errorf("with the defaults: %s", why)
	}
	if vm.GoMemory || bits.UintSize == 32 {
		t.Skip("such a reservation is not possible here, or not an error")
	}
	shift := 60 // a variable: the constant would not compile for 32 bits
	why := memcheck.New(nil, memcheck.Options{Guard: memcheck.GuardEnd, GuardSpace: 1 << shift}).Shortage()
	if !strings.HasPrefix(why, "the system provides ") || !strings.HasSuffix(why, ", and 1152921504606846976 were asked for") {
		t.Errorf("it says %q", why)
	}
}
