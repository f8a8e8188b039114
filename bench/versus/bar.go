package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows the progress on stderr: on a terminal with a line that is replaced, otherwise with a
// line for each pass.
type bar struct {
	w        io.Writer
	terminal bool
	budget   time.Duration
	began    time.Time
	pass     int
	width    int
}

func newBar(f *os.File, budget time.Duration) *bar {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	return &bar{w: f, terminal: terminal, budget: budget, began: time.Now()}
}

// show shows the current job, the progress of the pass, and the time left.
func (b *bar) show(what string, part float64, pass, passes int, left time.Duration) {
	left = min(left, max(b.budget-time.Since(b.began), 0)).Round(time.Second)
	if !b.terminal {
		if pass != b.pass {
			fmt.Fprintf(b.w, "pass %d of %d; %v elapsed", pass, passes, time.Since(b.began).Round(time.Second))
			if pass > 1 { // before that, it is not known
				fmt.Fprintf(b.w, ", about %v left", left)
			}
			fmt.Fprintln(b.w)
		}
		b.pass = pass
		return
	}
	const cells = 12
	full := int(part * cells)
	line := fmt.Sprintf("pass %d/%d [%s%s] ~%v left  %s",
		pass, passes, strings.Repeat("#", full), strings.Repeat(".", cells-full), left, what)
	line = line[:min(len(line), 78)]
	fmt.Fprintf(b.w, "\r%-*s\r", b.width, line)
	b.width = len(line)
}

// note prints a line.
func (b *bar) note(format string, args ...any) {
	b.clear()
	fmt.Fprintf(b.w, format+"\n", args...)
}

// clear removes the line.
func (b *bar) clear() {
	if b.terminal && b.width > 0 {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", b.width))
		b.width = 0
	}
}
