package replay

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A chart is a drawing in SVG. Its coordinates are pixels of a drawing of chartWidth by
// chartHeight; the template has the rest.
type chart struct {
	Title  string
	About  string // for those who do not see it
	XLabel string
	Series []series
	XTicks []tick
	YTicks []tick
}

// A series is a line, or the bars of one color.
type series struct {
	Name  string
	Color int    // of those in the style sheet
	Path  string // of the line, or ""
	Bars  []bar
}

type bar struct {
	X, Y, Width, Height float64
	Label               string
}

type tick struct {
	At     float64
	Label  string
	Anchor string // of labels of the x axis: start, middle or end
}

// Sizes in pixels.
const (
	chartWidth  = 520
	chartHeight = 260
	left        = 76 // of the plot
	right       = chartWidth - 12
	top         = 10
	bottom      = chartHeight - 34
	colors      = 6
)

// round1 rounds to a tenth of a pixel, which keeps the page small.
func round1(v float64) float64 { return math.Round(10*v) / 10 }

func xAt(part float64) float64 { return round1(left + part*(right-left)) }
func yAt(part float64) float64 { return round1(bottom - part*(bottom-top)) }

// yTicks returns marks from 0 to at least limit, and the value of the last.
func yTicks(limit float64, label func(float64) string) (ticks []tick, end float64) {
	if limit <= 0 {
		limit = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(limit)))
	for _, f := range []float64{0.2, 0.5, 1, 2} {
		if limit/(step*f) <= 5 {
			step *= f
			break
		}
	}
	n := math.Ceil(limit/step - 1e-9)
	for i := range int(n) + 1 {
		ticks = append(ticks, tick{At: yAt(float64(i) / n), Label: label(float64(i) * step)})
	}
	return ticks, n * step
}

// A curve is values at equal distances.
type curve struct {
	name   string
	color  int
	values []float64
	end    float64 // the part of the x axis that they take
}

// lines returns a chart of curves. xEnd is the label of the end of the x axis.
func lines(title, xLabel, xEnd string, all []curve, label func(float64) string) chart {
	limit := 0.0
	for _, c := range all {
		for _, v := range c.values {
			limit = max(limit, v)
		}
	}
	c := chart{Title: title, XLabel: xLabel, XTicks: []tick{{xAt(0), "0", "start"}, {xAt(1), xEnd, "end"}}}
	var end float64
	c.YTicks, end = yTicks(limit, label)
	about := []string{}
	for _, k := range all {
		var path strings.Builder
		most := 0.0
		for i, v := range k.values {
			command := 'L'
			if i == 0 {
				command = 'M'
			}
			fmt.Fprintf(&path, "%c%g %g", command, xAt(k.end*float64(i+1)/float64(len(k.values))), yAt(v/end))
			most = max(most, v)
		}
		c.Series = append(c.Series, series{Name: k.name, Color: k.color, Path: path.String()})
		about = append(about, fmt.Sprintf("%s: at most %s", k.name, label(most)))
	}
	c.About = strings.Join(about, "; ")
	return c
}

// binary returns a power of two, or 0, shortened with Ki, Mi and so on.
func binary(n uint64) string {
	units := []string{"", " Ki", " Mi", " Gi", " Ti", " Pi", " Ei"}
	for n >= 1024 {
		n, units = n/1024, units[1:]
	}
	return strconv.FormatUint(n, 10) + units[0]
}

// A row is values of named columns.
type row struct {
	name  string
	color int
	parts []float64 // of the sum, 0 to 1
}

// bars returns a chart with a group of bars for each column: one of each row.
func bars(title, xLabel string, columns []string, rows []row) chart {
	limit := 0.0
	for _, r := range rows {
		for _, v := range r.parts {
			limit = max(limit, v)
		}
	}
	c := chart{Title: title, XLabel: xLabel}
	percent := func(v float64) string { return fmt.Sprintf("%g %%", math.Round(1000*v)/10) }
	var end float64
	c.YTicks, end = yTicks(limit, percent)
	n := float64(max(len(columns), 1))
	group := 0.86 / n
	every := (len(columns) + 9) / 10
	for i, name := range columns {
		if i%every == 0 {
			c.XTicks = append(c.XTicks, tick{xAt((float64(i) + 0.5) / n), name, "middle"})
		}
	}
	about := []string{}
	for j, r := range rows {
		s := series{Name: r.name, Color: r.color}
		most := 0
		for i, v := range r.parts {
			if v > r.parts[most] {
				most = i
			}
			if v <= 0 {
				continue
			}
			x := xAt((float64(i)+0.07)/n + group*float64(j)/float64(len(rows)))
			y := yAt(v / end)
			s.Bars = append(s.Bars, bar{
				x, y, round1(group * (right - left) / float64(len(rows))), round1(bottom - y),
				fmt.Sprintf("%s, %s: %s", r.name, columns[i], percent(v)),
			})
		}
		c.Series = append(c.Series, s)
		if len(r.parts) > 0 {
			about = append(about, fmt.Sprintf("%s: most, %s, at %s", r.name, percent(r.parts[most]), columns[most]))
		}
	}
	c.About = strings.Join(about, "; ")
	return c
}
