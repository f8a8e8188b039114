package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

// bar is a progress bar on the last line of a terminal. On anything else it does nothing.
type bar struct {
	w     io.Writer // nil if not a terminal
	cells int       // to be measured
	done  int
	what  string
}

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
	b.clear()
}

// progress shows how much of the current measurement is done, 0 to 1.
func (b *bar) progress(part float64) {
	if b.w == nil {
		return
	}
	const width = 30
	all := (float64(b.done) + part) / float64(max(b.cells, 1))
	full := int(all * width)
	fmt.Fprintf(b.w, "\r\x1b[K[%s%s] %3.0f%% %s", strings.Repeat("#", full), strings.Repeat(".", width-full), all*100, b.what)
}

func (b *bar) clear() {
	if b.w != nil {
		fmt.Fprint(b.w, "\r\x1b[K")
	}
}
