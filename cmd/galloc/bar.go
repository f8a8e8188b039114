package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// bar is a progress bar on the last line of a terminal. On anything else it does nothing.
//
// It needs a terminal that knows carriage return, and nothing more. The cursor rests on the
// bar's first column, so that the ^C that a terminal shows is wiped away with the bar.
type bar struct {
	w     io.Writer // nil if not a terminal
	cells int       // to be measured
	done  int
	what  string
	line  string // on the terminal
}

// barWidth is the most columns that the bar takes: a line that reaches the right margin of
// the terminal could not be taken back.
const barWidth = 39

func newBar(w io.Writer, cells int) *bar {
	b := &bar{cells: cells}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
			b.w = w
		}
	}
	return b
}

// start begins a measurement; finish ends it and removes the bar, for a row to be printed.
func (b *bar) start(what string) {
	b.what = what
	b.progress(0)
}

func (b *bar) finish() {
	b.done++
	b.show("")
}

// skip counts n measurements that will not be made.
func (b *bar) skip(n int) { b.done += n }

// progress shows how much of the current measurement is done, 0 to 1.
func (b *bar) progress(part float64) {
	const width = 12
	all := (float64(b.done) + part) / float64(max(b.cells, 1))
	full := min(int(all*width), width)
	line := []rune(fmt.Sprintf("%3d%% [%s%s] %s", int(all*100), strings.Repeat("#", full), strings.Repeat(".", width-full), b.what))
	b.show(string(line[:min(len(line), barWidth)]))
}

// show replaces the line on the terminal.
func (b *bar) show(line string) {
	if b.w == nil || line == b.line {
		return
	}
	blanks := max(utf8.RuneCountInString(b.line)-utf8.RuneCountInString(line), 0)
	fmt.Fprint(b.w, "\r", line, strings.Repeat(" ", blanks), "\r")
	b.line = line
}
