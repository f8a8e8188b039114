package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A row of the table: a measure and its value for each kind.
type row struct {
	name   string
	values []float64 // medians of the rounds; NaN and 0 bytes mean unknown
	unit   func(float64) string
	lower  bool // less is better
}

const keptUp = "look-ups: made, of the due ones"

// measures are the rows of the table.
var measures = []struct {
	name  string
	of    func(r *result) float64
	unit  func(float64) string
	lower bool
}{
	{"entries kept", func(r *result) float64 { return float64(r.Entries) }, count, false},
	{"filling: an insertion, mean", func(r *result) float64 { return float64(r.Fill.Mean) }, nanos, true},
	{"  the longest", func(r *result) float64 { return float64(r.Fill.Max) }, nanos, true},
	{"  GC cycles", func(r *result) float64 { return float64(r.FillGC.Cycles) }, count, false},
	{"  GC, share of all CPUs", func(r *result) float64 { return r.FillGC.Share }, percent, true},
	{keptUp, func(r *result) float64 { return r.KeptUp }, percent, false},
	{"  found", func(r *result) float64 { return float64(r.Hits) / float64(max(r.Lookups.N, 1)) }, percent, false},
	{"  p50", func(r *result) float64 { return float64(r.Lookups.P50) }, nanos, true},
	{"  p99", func(r *result) float64 { return float64(r.Lookups.P99) }, nanos, true},
	{"  p99.9", func(r *result) float64 { return float64(r.Lookups.P999) }, nanos, true},
	{"  the longest", func(r *result) float64 { return float64(r.Lookups.Max) }, nanos, true},
	{"look-ups, from the due time: p50", func(r *result) float64 { return float64(r.Responses.P50) }, nanos, true},
	{"  p99", func(r *result) float64 { return float64(r.Responses.P99) }, nanos, true},
	{"  p99.9", func(r *result) float64 { return float64(r.Responses.P999) }, nanos, true},
	{"  the longest", func(r *result) float64 { return float64(r.Responses.Max) }, nanos, true},
	{"insertions: p50", func(r *result) float64 { return float64(r.Inserts.P50) }, nanos, true},
	{"  p99.9", func(r *result) float64 { return float64(r.Inserts.P999) }, nanos, true},
	{"  the longest", func(r *result) float64 { return float64(r.Inserts.Max) }, nanos, true},
	{"GC cycles", func(r *result) float64 { return float64(r.GC.Cycles) }, count, false},
	{"  share of all CPUs", func(r *result) float64 { return r.GC.Share }, percent, true},
	{"  of it on idle CPUs", func(r *result) float64 { return r.GC.Idle / max(r.GC.CPU, 1e-9) }, percent, false},
	{"  longest stop of the program", func(r *result) float64 { return float64(r.GC.Pause) }, nanos, true},
	{"resident memory: cache full", func(r *result) float64 { return float64(r.FullRSS) }, bytesOrNone, true},
	{"  at most", func(r *result) float64 { return float64(r.PeakRSS) }, bytesOrNone, true},
	{"  all freed", func(r *result) float64 { return float64(r.EndRSS) }, bytesOrNone, true},
}

// tabulate returns the rows of the results, which are by kind and round.
func tabulate(all [][]result) (rows []row) {
	for _, m := range measures {
		r := row{name: m.name, unit: m.unit, lower: m.lower}
		for _, rounds := range all {
			var values []float64
			for i := range rounds {
				values = append(values, m.of(&rounds[i]))
			}
			r.values = append(r.values, median(values))
		}
		rows = append(rows, r)
	}
	return rows
}

// median returns the middle value, the upper one of two. It sorts xs.
func median[T cmp.Ordered](xs []T) T {
	slices.Sort(xs)
	return xs[len(xs)/2]
}

func printTable(w io.Writer, o options, rows []row) error {
	var b strings.Builder
	b.WriteString(setting(o))
	b.WriteString("\n")
	table := [][]string{{""}}
	for _, k := range o.kinds {
		table[0] = append(table[0], k.label)
	}
	for _, r := range rows {
		line := []string{r.name}
		for _, v := range r.values {
			line = append(line, r.unit(v))
		}
		table = append(table, line)
	}
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, line := range table {
		fmt.Fprintf(&b, "%-*s", widths[0], line[0])
		for i, cell := range line[1:] {
			fmt.Fprintf(&b, "  %*s", widths[i+1], cell)
		}
		b.WriteString("\n")
	}
	b.WriteString(remark(rows) + losses(o.kinds, rows))
	_, err := io.WriteString(w, b.String())
	return err
}

// setting returns a few lines about the measurement.
func setting(o options) string {
	text := fmt.Sprintf(`%s entries of 20 to 200 bytes, %s, %s/%s, GOMAXPROCS %d, rounds: %d
%v s of %s look-ups and %s insertions a second, %d bytes of garbage with each look-up
Look-ups are due at fixed times, also while the program stands still. 1 MB is 1,000,000 bytes.
`, numberText(o.Entries), runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), o.rounds,
		o.Seconds, numberText(o.Rate), numberText(o.Rate), o.Garbage)
	if o.global != "" {
		text += "TextMap is on the global allocator: " + o.global + ".\n"
	}
	return text
}

// remark returns a remark if the machine was too slow or too busy for the load.
func remark(rows []row) string {
	for _, r := range rows {
		if r.name == keptUp && slices.Min(r.values) < .99 {
			return "\nNot all look-ups that were due were made: the machine is busy, or -rate is too high. So the\n" +
				"times from the due time show only the backlog at the end.\n"
		}
	}
	return ""
}

// losses lists the measures in which TextMap is worse than Go's map by more than 5 %, which may be
// noise.
func losses(kinds []kind, rows []row) string {
	gos := slices.IndexFunc(kinds, func(k kind) bool { return k.name == "map" })
	ours := slices.IndexFunc(kinds, func(k kind) bool { return k.name == "textmap" })
	if gos < 0 || ours < 0 {
		return ""
	}
	var worse []string
	group := ""
	for _, r := range rows {
		name := strings.TrimSpace(r.name)
		if name == r.name {
			group, _, _ = strings.Cut(name, ":")
		} else {
			name = group + ": " + name
		}
		a, b := r.values[ours], r.values[gos]
		if !r.lower || a <= b*1.05 {
			continue
		}
		if a >= 100*b {
			worse = append(worse, fmt.Sprintf("%s (%s, not %s)", name, r.unit(a), r.unit(b)))
		} else {
			worse = append(worse, fmt.Sprintf("%s (%.1f times)", name, a/b))
		}
	}
	if worse == nil {
		return "\nTextMap is worse than the map in nothing.\n"
	}
	return "\nTextMap is worse than the map in:\n    " + strings.Join(worse, "\n    ") + "\n"
}

func count(v float64) string { return numberText(int(v)) }

func percent(v float64) string { return strconv.FormatFloat(v*100, 'f', 1, 64) + " %" }

// nanos returns a duration with three digits.
func nanos(v float64) string {
	for _, u := range []struct {
		name string
		size time.Duration
	}{{"s", time.Second}, {"ms", time.Millisecond}, {"µs", time.Microsecond}} {
		if size := float64(u.size); v >= size*.9995 {
			digits := 2
			if v >= 9.995*size {
				digits--
			}
			if v >= 99.95*size {
				digits--
			}
			return strconv.FormatFloat(v/size, 'f', digits, 64) + " " + u.name
		}
	}
	return strconv.FormatFloat(v, 'f', 0, 64) + " ns"
}

func bytesOrNone(v float64) string {
	if v <= 0 {
		return "not available"
	}
	return bytesText(int64(v))
}

func bytesText(n int64) string {
	if n >= 999_500_000 {
		return strconv.FormatFloat(float64(n)/1e9, 'f', 2, 64) + " GB"
	}
	return strconv.FormatFloat(float64(n)/1e6, 'f', 0, 64) + " MB"
}

// numberText returns n with commas.
func numberText(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
