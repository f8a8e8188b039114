package top

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
	"github.com/galloc-go/galloc/procmem"
)

// growing returns a reader of snapshots that differ, and that fails after some.
func growing(good int) func(context.Context) (*procmem.Snapshot, error) {
	n := uint64(0)
	return func(context.Context) (*procmem.Snapshot, error) {
		if n++; int(n) > good {
			return nil, errors.New("the process has ended")
		}
		return &procmem.Snapshot{
			Time: time.Unix(int64(n), 0).UTC(), PID: 7, Allocator: "heap", Resident: 10_000 - 1000*n,
			GallocLive: 1000 * n, Other: 10_000 - 2000*n,
			Sites: []procmem.Site{{Place: "main.load main.go:12", Bytes: 900 * n}},
		}, nil
	}
}

const second = `process 7, 1970-01-01 00:00:02 UTC, heap

                               bytes   share          change
galloc live                    2,000  25.0 %          +1,000
C and the rest                 6,000  75.0 %          -2,000
resident                       8,000 100.0 %          -1,000

most of galloc live:
          1,800  main.load main.go:12
`

func TestTables(t *testing.T) {
	var b bytes.Buffer
	if err := show(t.Context(), options{minInterval, 2}, growing(9), &b, false); err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(b.String(), "\n\nprocess")
	if rest = "process" + rest; rest != second {
		t.Errorf("the second table is\n%s", rest)
	}
	clitest.WantText(t, "the first table", first, "1,000  11.1 %               -\n...9,000 100.0 %               -\n")
}

// In a terminal the second table takes the place of the first, and the screen is restored in the
// end, also after an error.
func TestInATerminal(t *testing.T) {
	var b bytes.Buffer
	err := show(t.Context(), options{minInterval, 0}, growing(2), &b, true)
	if err == nil || err.Error() != "the process has ended" {
		t.Errorf("the error is %v", err)
	}
	text := b.String()
	if !strings.HasPrefix(text, enter+home) || !strings.HasSuffix(text, leave) || strings.Count(text, home) != 2 {
		t.Errorf("the terminal gets %q", text)
	}
	_, last, _ := strings.Cut(strings.TrimPrefix(text, enter+home), home)
	last = strings.NewReplacer(clearLine, "", clearRest, "", leave, "").Replace(last)
	if last != second {
		t.Errorf("the terminal shows\n%s", last)
	}
}

func TestTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := clitest.Canceling{Text: "00:00:02", Cancel: cancel}
	if err := show(ctx, options{minInterval, 0}, growing(9), &b, false); err != nil {
		t.Error(err)
	}
	if n := strings.Count(b.String(), "resident"); n != 2 {
		t.Errorf("%d tables", n)
	}
	if err := show(t.Context(), options{minInterval, 1}, growing(0), &b, true); err == nil {
		t.Error("no error")
	}
	for _, room := range []int{0, 300} {
		err := show(t.Context(), options{minInterval, 3}, growing(9), &clitest.Full{Room: room}, true)
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("the error is %v", err)
		}
	}
	status, _, _ := clitest.Run(t.Context(), []cli.Command{Command}, "top", "-h")
	if status != cli.ExitOK {
		t.Errorf("exit status %d", status)
	}
}
