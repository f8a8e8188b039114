package main

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 B"},
		{size(999), "999 B"},
		{size(1000), "1.00 kB"},
		{size(4_372_654), "4.37 MB"},
		{size(157_241_840_000), "157.24 GB"},
		{size(math.MaxUint64), "18.45 EB"},
		{thousands(0), "0"},
		{thousands(999), "999"},
		{thousands(1000), "1,000"},
		{thousands(1_067_395), "1,067,395"},
		{decimals(0, 1), "-"},
		{decimals(39.84, 1), "39.8"},
		{decimals(999.96, 2), "999.96"},
		{decimals(5775.1, 1), "5775"},
		{decimals(median([]int64{9, 1, 3}), 1), "3.0"},
		{decimals(median([]int64{9, 1, 4, 3}), 1), "3.5"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestTheTableFitsIn80Columns(t *testing.T) {
	var out bytes.Buffer
	o, err := parseReplay(nil, nil)
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
	wantText(t, "the table", out.String(), `
trace    allocator    events  ns/op    min peak live  peak RSS /live   end RSS
mariadb  goheap    2,000,000   5775  999.9  76.37 MB 458.58 MB 16.01 291.66 MB
`)
	for line := range strings.Lines(out.String()) {
		if len(line) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
}

// A long report of a process is cut; the lines that say what happened come first.
func TestOnlyTheFirstLinesOfACrashAreKept(t *testing.T) {
	why := whyEnded(context.Canceled, []byte("panic: first\r\n"+strings.Repeat("more\n", 50)))
	if want := "context canceled\n    panic: first" + strings.Repeat("\n    more", 19) + "\n    ..."; why != want {
		t.Errorf("got\n%s\nwant\n%s", why, want)
	}
	wantText(t, "the reason", whyEnded(errors.New("signal: killed"), nil), "signal: killed (by somebody, or by the system because memory ran out)")
}

// screen is a terminal that knows line feed and carriage return.
type screen struct {
	rows   [][]rune
	column int
}

func (s *screen) Write(b []byte) (int, error) {
	if !utf8.Valid(b) {
		return 0, errors.New("half a character")
	}
	if s.rows == nil {
		s.rows = [][]rune{nil}
	}
	for _, c := range string(b) {
		row := &s.rows[len(s.rows)-1]
		switch c {
		case '\r':
			s.column = 0
		case '\n':
			s.rows, s.column = append(s.rows, nil), 0
		default:
			for len(*row) <= s.column {
				*row = append(*row, ' ')
			}
			(*row)[s.column] = c
			s.column++
		}
	}
	return len(b), nil
}

// String returns what can be seen.
func (s *screen) String() string {
	var rows []string
	for _, row := range s.rows {
		rows = append(rows, strings.TrimRight(string(row), " "))
	}
	return strings.Join(rows, "\n")
}
