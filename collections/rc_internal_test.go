package collections

import (
	"math"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
)

func TestTheCountOfOwnersDoesNotOverflow(t *testing.T) {
	panics := func(f func()) {
		t.Helper()
		defer func() {
			t.Helper()
			if s, _ := recover().(string); !strings.HasSuffix(s, "Share: more than math.MaxInt owners") {
				t.Errorf("panic %q", s)
			}
		}()
		f()
	}
	r, s := galloc.Must(NewRc(nil, 1)), galloc.Must(NewArc(nil, 1))
	r.block().owners, s.block().owners = math.MaxInt-1, math.MaxInt-1
	r.Share()
	s.Share()
	for range 3 {
		panics(func() { r.Share() })
		panics(func() { s.Share() })
	}
	if r.Owners() != math.MaxInt || s.Owners() != math.MaxInt {
		t.Errorf("%d and %d owners", r.Owners(), s.Owners())
	}
	r.block().owners, s.block().owners = 1, 1
	if !r.Free(nil) || !s.Free(nil) {
		t.Error("not the last owners")
	}
}
