package main

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// page is Markdown in the making.
type page struct{ strings.Builder }

func (w *page) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// pageWidth is where paragraphs are wrapped.
const pageWidth = 100

// text writes a paragraph.
func (w *page) text(s string) {
	w.wrap(s)
	w.gap()
}

// wrap writes a paragraph in lines. It breaks at spaces, not at no-break spaces.
func (w *page) wrap(s string) {
	column := 0
	for _, word := range strings.Split(s, " ") {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			w.WriteString(word)
			column = n
			continue
		case column+1+n > pageWidth:
			w.WriteString("\n" + word)
			column = n
			continue
		}
		w.WriteString(" " + word)
		column += 1 + n
	}
	w.WriteString("\n")
}

// gap ends a paragraph, a list or a table.
func (w *page) gap() {
	if s := w.String(); s != "" && !strings.HasSuffix(s, "\n\n") {
		w.WriteString("\n")
	}
}

func (w *page) heading(text string) {
	w.gap()
	w.line("## %s\n", text)
}

// table begins a table; align has l or r for each column.
func (w *page) table(head []string, align string) {
	w.cells(head...)
	for _, a := range align {
		w.WriteString(map[rune]string{'l': "|---", 'r': "|---:"}[a])
	}
	w.WriteString("|\n")
}

func (w *page) cells(cells ...string) {
	for _, c := range cells {
		w.WriteString("| " + strings.ReplaceAll(oneLine(c), "|", "\\|") + " ")
	}
	w.WriteString("|\n")
}

// grids writes the tables of times: the native allocators, then those in Go. One table with all
// would be too wide to read.
func (w *page) grids(f *figures, rows []row) {
	for _, column := range []func(*allocator) bool{
		func(a *allocator) bool { return a.Name == heapName || a.Native },
		func(a *allocator) bool { return a.Name == heapName || !a.Native && !a.C && a.Single != replay },
	} {
		w.grid(f, "ns/op", rows, column, func(r row, a string) string {
			c := f.cell(r, a)
			switch {
			case c.runs == 0 && c.err != "":
				return "failed"
			case a == heapName:
				return number(c.median)
			}
			return number(c.median) + bracketed(c.median/f.ns(r, heapName))
		})
	}
}

// grid writes a table of rows by allocators. Allocators that have nothing in it are left out, and
// so is a table with one allocator only.
func (w *page) grid(f *figures, title string, rows []row, column func(*allocator) bool,
	text func(r row, alloc string) string,
) {
	var names []string
	for _, a := range f.Allocs {
		if !column(a) {
			continue
		}
		for _, r := range rows {
			if text(r, a.Name) != "" {
				names = append(names, a.Name)
				break
			}
		}
	}
	if len(names) == 0 || len(names) == 1 && names[0] == heapName && len(f.Allocs) > 1 {
		return
	}
	w.table(append([]string{title}, names...), "l"+strings.Repeat("r", len(names)))
	for _, r := range rows {
		line := []string{r.id()}
		for _, a := range names {
			line = append(line, text(r, a))
		}
		w.cells(line...)
	}
	w.gap()
}

// number writes a time with about three digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return ""
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// ratio writes a ratio with two decimals, or without decimals from 100 on.
func ratio(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return ""
	case v < 100:
		return fmt.Sprintf("%.2f", v)
	}
	return number(v)
}

func bracketed(v float64) string {
	if s := ratio(v); s != "" {
		return " (" + s + ")"
	}
	return ""
}

func megabytes(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return number(max(v, 0) / 1e6)
}

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
