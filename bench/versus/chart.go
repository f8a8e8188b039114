package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// charts returns the charts of the page, as SVG files by name.
func (f *figures) charts() map[string]string {
	all := map[string]string{}
	for _, g := range f.groups() {
		all[g.file] = f.chart(chart{
			title: "Time relative to the heap: " + g.title, rows: g.rows, of: f.ns,
			label: func(r row) string { return r.Name },
			unit:  func(v float64) string { return number(v) + " ns" },
		})
	}
	large := slices.DeleteFunc(f.heavy(), func(r row) bool { return !(f.peak(r, heapName) > 1e6) })
	all[memoryFile] = f.chart(chart{
		title: "Peak memory relative to the heap", rows: large, of: f.peak,
		label: row.id,
		unit:  func(v float64) string { return megabytes(v) + " MB" },
	})
	return all
}

// chart is a bar chart of a figure relative to the heap's.
type chart struct {
	title string
	rows  []row
	label func(row) string
	of    func(r row, alloc string) float64
	unit  func(float64) string
}

// drawn are the allocators in the charts, with a color each.
var drawn = []string{"glibc", "jemalloc", "mimalloc", "tcmalloc", "go", "cgo-malloc", "cgo-jemalloc", "modernc"}

// Colors of the native allocators are blue to green, of the others red to yellow. The page has a
// light and a dark form.
const chartStyle = `
.bars { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e3e6ea;
--c0: #0072b2; --c1: #56b4e9; --c2: #009e73; --c3: #4e5d94; --c4: #d55e00; --c5: #e69f00; --c6: #b8860b; --c7: #cc79a7 }
@media (prefers-color-scheme: dark) {
.bars { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #262c34; --c3: #8c9bd6 }
}
.bars text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink) }
.bars .title { font-size: 15px; font-weight: 600 }
.bars .soft { fill: var(--soft); font-size: 10px }
.bars .grid { stroke: var(--grid) }
.bars .one { stroke: var(--ink); stroke-width: 1.5 }
`

// The axis is logarithmic, and ends at these ratios: a bar that is longer is cut, and has its
// number beside it as all have.
const (
	axisFrom, axisTo     = 1. / 64, 128.
	chartWidth           = 860
	chartLeft, chartTop  = 160, 84
	chartRight           = 60
	barHeight, rowMargin = 9, 12
)

// chart returns a chart as an SVG file.
func (f *figures) chart(c chart) string {
	var names []string
	for _, name := range drawn {
		if slices.ContainsFunc(c.rows, func(r row) bool { return !math.IsNaN(c.of(r, name) / c.of(r, heapName)) }) {
			names = append(names, name)
		}
	}
	rowHeight := len(names)*barHeight + rowMargin
	height := chartTop + len(c.rows)*rowHeight + 16
	x := func(ratio float64) float64 {
		part := (math.Log2(ratio) - math.Log2(axisFrom)) / (math.Log2(axisTo) - math.Log2(axisFrom))
		return chartLeft + min(max(part, 0), 1)*(chartWidth-chartLeft-chartRight)
	}
	var b strings.Builder
	text := func(x, y float64, class, anchor, text string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n",
			x, y, class, anchor, html.EscapeString(text))
	}
	fmt.Fprintf(
		&b,
		`<svg xmlns="http://www.w3.org/2000/svg" class="bars" viewBox="0 0 %d %d" role="img">`+"\n",
		chartWidth,
		height,
	)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n", html.EscapeString(c.title), chartStyle)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" style="fill: var(--paper)"/>`+"\n", chartWidth, height)
	text(12, 24, "title", "start", c.title)
	legend := 12.
	for _, name := range names {
		fmt.Fprintf(&b, `<rect x="%.1f" y="38" width="10" height="10" style="fill: var(--c%d)"/>`+"\n",
			legend, slices.Index(drawn, name))
		text(legend+15, 47, "name", "start", name)
		legend += 34 + 7*float64(len(name))
	}
	for ratio := axisFrom * 2; ratio < axisTo; ratio *= 2 {
		class, label := "grid", fmt.Sprintf("%g", ratio)
		switch {
		case ratio == 1:
			class, label = "one", "1: heap"
		case ratio < 1:
			label = fmt.Sprintf("1/%g", 1/ratio)
		}
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" class="%s"/>`+"\n",
			x(ratio), chartTop-10, x(ratio), height-12, class)
		text(x(ratio), chartTop-14, "soft", "middle", label)
	}
	for i, r := range c.rows {
		top := float64(chartTop + i*rowHeight)
		middle := top + float64(len(names)*barHeight)/2
		text(chartLeft-8, middle, "row", "end", c.label(r))
		text(chartLeft-8, middle+13, "soft", "end", c.unit(c.of(r, heapName)))
		for k, name := range names {
			q := c.of(r, name) / c.of(r, heapName)
			if math.IsNaN(q) || math.IsInf(q, 0) {
				continue
			}
			from, to := min(x(1), x(q)), max(x(1), x(q))
			y := top + float64(k*barHeight)
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%d" style="fill: var(--c%d)"/>`+"\n",
				from, y, max(to-from, 0.5), barHeight-1, slices.Index(drawn, name))
			if q < 1 {
				text(from-3, y+8, "soft", "end", ratio(q))
			} else {
				text(to+3, y+8, "soft", "start", ratio(q))
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
