package main

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// draw returns the content of the file -o: two plots as SVG, or a page with the plots and the
// table. It is self-contained, and has a light and a dark form.
func draw(o options, all [][]result, rows []row) string {
	svg := drawPlots(o, all)
	if filepath.Ext(o.out) == ".svg" {
		return svg
	}
	return page(o, rows, svg)
}

const (
	plotWidth, plotHeight = 860, 400 // of a plot with its margins
	plotLeft, plotRight   = 70, 110  // margins, for numbers
	plotTop, plotBottom   = 66, 52
)

// The colors can be distinguished by the color-blind (Okabe and Ito 2008).
const plotStyle = `
.plots { --paper: #ffffff; --ink: #1f2328; --soft: #59636e; --grid: #e3e6ea; --c0: #d55e00; --c1: #a8790f; --c2: #0072b2 }
@media (prefers-color-scheme: dark) {
.plots { --paper: #0d1117; --ink: #e6edf3; --soft: #9198a1; --grid: #262c34; --c0: #ff8642; --c1: #e0b93f; --c2: #58b4f0 }
}
.plots text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink) }
.plots .title { font-size: 16px; font-weight: 600 }
.plots .soft { fill: var(--soft); font-size: 12px }
.plots .grid { stroke: var(--grid); stroke-width: 1 }
.plots .axis { stroke: var(--soft); stroke-width: 1 }
.plots .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
.plots .moment { stroke-width: 1; stroke-dasharray: 2 4 }
.plots .end { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round }
.plots .s0 { stroke: var(--c0) } .plots .s1 { stroke: var(--c1) } .plots .s2 { stroke: var(--c2) }
.plots .t0 { fill: var(--c0); font-weight: 600 } .plots .t1 { fill: var(--c1); font-weight: 600 }
.plots .t2 { fill: var(--c2); font-weight: 600 }
`

// plot is one diagram. Its coordinates are measured values; grid lines are at the ticks, the first
// and last of them at the edges.
type plot struct {
	title, note string
	xName       string
	x, y        []tick
	lines       []line
}

type tick struct {
	at    float64
	label string
}

type line struct {
	color  int
	label  string
	end    string // text beside the last point
	points [][2]float64
	moment float64 // position of a vertical line, if not 0
}

// drawPlots returns the plots below each other.
func drawPlots(o options, all [][]result) string {
	var b strings.Builder
	plots := []plot{latencyPlot(o.kinds, all)}
	if p, ok := memoryPlot(o.kinds, all); ok {
		plots = append(plots, p)
	}
	fmt.Fprintf(
		&b,
		`<svg xmlns="http://www.w3.org/2000/svg" class="plots" viewBox="0 0 %d %d" role="img">`+"\n",
		plotWidth,
		plotHeight*len(plots),
	)
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n",
		html.EscapeString("A cache of "+numberText(o.Entries)+" strings: latencies and memory"), plotStyle)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" style="fill: var(--paper)"/>`+"\n", plotWidth, plotHeight*len(plots))
	for i := range plots {
		fmt.Fprintf(&b, "<g transform=\"translate(0 %d)\">\n", i*plotHeight)
		plots[i].draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// colorOf returns the index of the color of a kind.
func colorOf(k kind) int {
	return slices.IndexFunc(kinds, func(other kind) bool { return other.name == k.name })
}

// latencyPlot returns the plot of the times of look-ups, the median of the rounds at each point.
// Both axes are logarithmic.
func latencyPlot(chosen []kind, all [][]result) plot {
	p := plot{
		title: "Look-ups while entries are inserted: time from when each was due",
		note:  "higher is slower, further right is rarer",
		xName: "share of the look-ups that took no longer",
	}
	low, high := math.Inf(1), 0.
	for i, k := range chosen {
		l := line{color: colorOf(k), label: k.label}
		for at := range curvePoints {
			var values []float64
			for _, r := range all[i] {
				values = append(values, max(float64(r.Responses.Curve[at]), 1))
			}
			v := math.Log10(median(values))
			low, high = min(low, v), max(high, v)
			l.points = append(l.points, [2]float64{float64(at) / curveSteps, v})
		}
		l.end = nanos(math.Pow(10, l.points[curvePoints-1][1]))
		p.lines = append(p.lines, l)
	}
	first := math.Floor(low)
	for at := first; at <= max(math.Ceil(high), first+1); at++ {
		p.y = append(p.y, tick{at, decade(int(at))})
	}
	p.x = []tick{
		{0, "0 %"},
		{math.Log10(2), "50 %"},
		{1, "90 %"},
		{2, "99 %"},
		{3, "99.9 %"},
		{4, "99.99 %"},
		{5, "99.999 %"},
		{6, "99.9999 %"},
	}
	return p
}

// decade returns 10^n ns as text.
func decade(n int) string {
	unit := min(n/3, 3)
	return "1" + strings.Repeat("0", n-3*unit) + [...]string{" ns", " µs", " ms", " s"}[unit]
}

// memoryPlot returns the plot of the resident memory in the first round; ok is false if it was not
// measured.
func memoryPlot(chosen []kind, all [][]result) (p plot, ok bool) {
	p = plot{
		title: "Resident memory while the cache is filled, and then used",
		note:  "dotted: the cache is full, and look-ups begin",
		xName: "seconds",
	}
	var long, high float64
	for i, k := range chosen {
		r := all[i][0]
		l := line{color: colorOf(k), label: k.label, moment: r.ServeAt}
		for _, s := range r.RSS {
			l.points = append(l.points, [2]float64{s.At, float64(s.RSS)})
			long, high = max(long, s.At), max(high, float64(s.RSS))
		}
		if len(l.points) == 0 {
			return p, false
		}
		l.end = bytesText(r.RSS[len(r.RSS)-1].RSS)
		p.lines = append(p.lines, l)
	}
	p.x = evenTicks(long, func(v float64) string { return fmt.Sprintf("%g", v) })
	p.y = evenTicks(high, func(v float64) string { return bytesText(int64(v)) })
	return p, true
}

// evenTicks returns 4 to 10 ticks at round numbers, from 0 to limit or more.
func evenTicks(limit float64, label func(float64) string) (ticks []tick) {
	limit = max(limit, 1e-3)
	step := math.Pow(10, math.Floor(math.Log10(limit)))
	for _, part := range []float64{1, .5, .2, .1} {
		if limit/(step*part) >= 4 {
			step *= part
			break
		}
	}
	for i := 0; ; i++ {
		at := float64(i) * step
		ticks = append(ticks, tick{at, label(at)})
		if at >= limit {
			return ticks
		}
	}
}

// place returns the position of a value between the first and the last tick, from 0 to 1.
func place(v float64, ticks []tick) float64 {
	first, last := ticks[0].at, ticks[len(ticks)-1].at
	return (v - first) / (last - first)
}

func (p *plot) draw(b *strings.Builder) {
	const right, bottom = plotWidth - plotRight, plotHeight - plotBottom
	x := func(v float64) float64 { return plotLeft + place(v, p.x)*(right-plotLeft) }
	y := func(v float64) float64 { return bottom - place(v, p.y)*(bottom-plotTop) }
	text := func(x, y float64, class, anchor, text string) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>`+"\n",
			x, y, class, anchor, html.EscapeString(text))
	}
	stroke := func(x1, y1, x2, y2 float64, class string) {
		fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`+"\n", x1, y1, x2, y2, class)
	}
	text(plotLeft, 24, "title", "start", p.title)
	text(right, bottom+40, "soft", "end", p.xName+"; "+p.note)
	for _, t := range p.y {
		stroke(plotLeft, y(t.at), right, y(t.at), "grid")
		text(plotLeft-8, y(t.at)+4, "soft", "end", t.label)
	}
	for _, t := range p.x {
		stroke(x(t.at), plotTop, x(t.at), bottom, "grid")
		text(x(t.at), bottom+18, "soft", "middle", t.label)
	}
	stroke(plotLeft, bottom, right, bottom, "axis")
	legend := float64(plotLeft)
	ends := make([]float64, 0, len(p.lines)) // positions of the labels
	for _, l := range p.lines {
		s := fmt.Sprintf("s%d", l.color)
		stroke(legend, 44, legend+24, 44, "line "+s)
		text(legend+30, 48, fmt.Sprintf("t%d", l.color), "start", l.label)
		legend += 60 + 8*float64(len(l.label))
		if l.moment > 0 {
			stroke(x(l.moment), plotTop, x(l.moment), bottom, "moment "+s)
		}
		fmt.Fprintf(b, `<polyline class="line %s" points="`, s)
		for _, point := range l.points {
			fmt.Fprintf(b, "%.1f,%.1f ", x(point[0]), y(point[1]))
		}
		b.WriteString("\"/>\n")
		ends = append(ends, y(l.points[len(l.points)-1][1]))
	}
	spread(ends, 16)
	for i, l := range p.lines {
		text(x(l.points[len(l.points)-1][0])+8, ends[i]+4, fmt.Sprintf("end t%d", l.color), "start", l.end)
	}
}

// spread moves apart positions that are closer than gap, and keeps their order.
func spread(ys []float64, gap float64) {
	order := make([]int, len(ys))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(ys[i], ys[j]) })
	for range 10 {
		for k := 1; k < len(order); k++ {
			if lack := gap - (ys[order[k]] - ys[order[k-1]]); lack > 0 {
				ys[order[k-1]] -= lack / 2
				ys[order[k]] += lack / 2
			}
		}
	}
}

const pageStyle = `
:root { color-scheme: light dark }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; 
	font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
	background: #ffffff; color: #1f2328 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #e3e6ea; white-space: pre }
th:first-child, td:first-child { text-align: left; padding-left: 0 }
svg { display: block; width: 100%; height: auto; margin: 1rem 0 }
pre { color: #59636e; white-space: pre-wrap; font-size: 13px }
@media (prefers-color-scheme: dark) {
body { background: #0d1117; color: #e6edf3 } th, td { border-color: #262c34 } pre { color: #9198a1 }
}
`

// page returns the plots and the table as HTML.
func page(o options, rows []row, svg string) string {
	var b strings.Builder
	title := html.EscapeString("A cache of " + numberText(o.Entries) + " strings")
	fmt.Fprintf(&b,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"+
			"<meta name=\"viewport\" content=\"width=device-width\">\n")
	fmt.Fprintf(&b, "<title>%s</title>\n<style>%s</style>\n</head>\n<body>\n<h1>%s</h1>\n", title, pageStyle, title)
	fmt.Fprintf(&b, "<pre>%s</pre>\n%s<div class=\"wide\">\n<table>\n<tr><th></th>", html.EscapeString(setting(o)), svg)
	for _, k := range o.kinds {
		fmt.Fprintf(&b, "<th>%s</th>", html.EscapeString(k.label))
	}
	b.WriteString("</tr>\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "<tr><td>%s</td>", html.EscapeString(r.name))
		for _, v := range r.values {
			fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(r.unit(v)))
		}
		b.WriteString("</tr>\n")
	}
	fmt.Fprintf(&b, "</table>\n</div>\n<pre>%s</pre>\n</body>\n</html>\n",
		html.EscapeString(strings.TrimSpace(remark(rows)+losses(o.kinds, rows))))
	return b.String()
}
