package replay

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/cmd/galloc/internal/clitest"
)

func TestMedian(t *testing.T) {
	if a, b := median([]int64{9, 1, 3}), median([]int64{9, 1, 4, 3}); a != 3 || b != 3.5 {
		t.Errorf("got %v and %v", a, b)
	}
}

func TestTheTableFitsIn80Columns(t *testing.T) {
	var out bytes.Buffer
	o, err := parse(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	table := newTable(&out, o)
	peak, end := int64(458_580_000), int64(291_660_000)
	r := result{
		Trace: "mariadb", Alloc: "goheap", Events: 2_000_000, PeakLive: 76_370_000,
		NsPerOp: 5775.1, MinNs: 999.9, PeakRSS: &peak, RSSRatio: 16.01, EndRSS: &end,
	}
	if err := errors.Join(table.begin(), table.add(r)); err != nil {
		t.Fatal(err)
	}
	clitest.WantText(t, "the table", out.String(), `
trace    allocator    events  ns/op    min peak live  peak RSS /live   end RSS
mariadb  goheap    2,000,000   5775  999.9  76.37 MB 458.58 MB 16.01 291.66 MB
`)
	for line := range strings.Lines(out.String()) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}
