package cli

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// A long report of a process is cut; the lines that say what happened come first.
func TestOnlyTheFirstLinesOfACrashAreKept(t *testing.T) {
	why := whyEnded(context.Canceled, []byte("panic: first\r\n"+strings.Repeat("more\n", 50)))
	if want := "context canceled\n    panic: first" + strings.Repeat("\n    more", 19) + "\n    ..."; why != want {
		t.Errorf("got\n%s\nwant\n%s", why, want)
	}
	if got, want := whyEnded(errors.New("signal: killed"), nil), "signal: killed (by a user, or by the system because memory ran out)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
