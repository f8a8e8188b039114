package main

import (
	"fmt"
	"math"
	"strings"
)

// page is Markdown in the making.
type page struct{ strings.Builder }

func (w *page) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// gap ends a paragraph or a table.
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

// columns returns what says which allocators stand in each of the tables that together have all: one beside the native ones, one beside
// those in Go. A table with all of them would be too wide to read.
func (t table) columns() []func(*allocator) bool {
	return []func(*allocator) bool{
		func(a *allocator) bool { return a.Name == heapName || a.Native },
		func(a *allocator) bool { return a.Name == heapName || !a.Native && !a.C && a.Single != replay },
	}
}

// times writes the tables of times.
func (w *page) times(t table, rows []row) {
	for _, columns := range t.columns() {
		w.grid(t, "ns/op", rows, columns, func(r row, a string) string {
			c := t.cell(r, a)
			switch {
			case len(c.ns) == 0 && len(c.errors) > 0:
				return "failed"
			case len(c.ns) == 0:
				return ""
			case a == heapName:
				return number(c.median())
			}
			return number(c.median()) + bracketed(c.median()/t.ns(r, heapName))
		})
	}
}

// grid writes a table of rows by allocators. Allocators that have nothing in it, and a table with only one, are left out.
func (w *page) grid(t table, title string, rows []row, column func(*allocator) bool, text func(r row, alloc string) string) {
	var names []string
	for _, a := range t.Allocs {
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
	if len(names) == 0 || len(names) == 1 && names[0] == heapName && len(t.Allocs) > 1 {
		return
	}
	w.table(append([]string{title}, names...), "l"+strings.Repeat("r", len(names)))
	for _, r := range rows {
		name := r.id()
		if loses, _ := t.loses(r); loses && title == "ns/op" {
			name += " \\*"
		}
		line := []string{name}
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

// ratio writes a ratio with two digits behind the point, or three before it.
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
