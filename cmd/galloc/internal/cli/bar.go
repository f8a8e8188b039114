package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Bar is a progress bar on the last line of a terminal. On anything else it does nothing.
//
// It needs a terminal that knows carriage return, and nothing more. The cursor rests on the bar's
// first column, so that the ^C that a terminal shows is overwritten with the bar.
type Bar struct {
	w     io.Writer // nil if not a terminal
	cells int       // measurements to make
	done  int
	what  string
	line  string // on the terminal
}

// BarWidth is the most columns that the bar takes. A line that reached the right margin of the
// terminal could not be removed.
const BarWidth = 39

// NewBar returns a Bar on w for the given number of measurements.
func NewBar(w io.Writer, cells int) *Bar {
	if IsTerminal(w) {
		return NewBarOn(w, cells)
	}
	return &Bar{cells: cells}
}

// IsTerminal reports whether w is a terminal that can show more than lines.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// NewBarOn is like NewBar, but takes w for a terminal.
func NewBarOn(w io.Writer, cells int) *Bar { return &Bar{w: w, cells: cells} }

// Start begins a measurement.
func (b *Bar) Start(what string) {
	b.what = what
	b.Progress(0)
}

// Finish ends a measurement and removes the bar, so that a row can be printed.
func (b *Bar) Finish() {
	b.done++
	b.Show("")
}

// Skip counts n measurements that will not be made.
func (b *Bar) Skip(n int) { b.done += n }

// Progress shows how much of the current measurement is done, 0 to 1.
func (b *Bar) Progress(part float64) {
	const width = 12
	all := (float64(b.done) + part) / float64(max(b.cells, 1))
	full := min(int(all*width), width)
	meter := strings.Repeat("#", full) + strings.Repeat(".", width-full)
	b.Show(fmt.Sprintf("%3d%% [%s] %s", int(all*100), meter, b.what))
}

// Show replaces the line on the terminal with text, cut to BarWidth columns.
func (b *Bar) Show(text string) {
	r := []rune(text)
	line := string(r[:min(len(r), BarWidth)])
	if b.w == nil || line == b.line {
		return
	}
	blanks := max(utf8.RuneCountInString(b.line)-utf8.RuneCountInString(line), 0)
	fmt.Fprint(b.w, "\r", line, strings.Repeat(" ", blanks), "\r")
	b.line = line
}
