package replay

import (
	"bufio"
	"context"
	_ "embed" // for the page
	"fmt"
	"html/template"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/allocators"
	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/cmd/galloc/internal/tracestat"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page is the output of -html while it is collected.
type page struct {
	file   *os.File
	Traces []tracePart

	// Set by close.
	Go, Platform, Time string
	CPUs               int
	Width, Height      int
	Left, Right        float64
	Top, Bottom        float64
}

// A tracePart is what the page shows of a trace.
type tracePart struct {
	Label   string
	Facts   [][2]string
	Charts  []chart
	Rows    [][]string
	stats   *tracestat.Stats
	results []result
	colors  []int // of the results
}

// newPage creates the file.
func newPage(path string) (*page, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &page{file: f}, nil
}

// add adds a result of a trace, and measures what is missing.
func (p *page) add(ctx context.Context, t traceFile, r result, bar *cli.Bar) error {
	if n := len(p.Traces); n == 0 || p.Traces[n-1].Label != t.label {
		src, err := open(spec{Shipped: t.shipped}, t.path)
		if err != nil {
			return err
		}
		defer func() { _ = src.Close() }()
		bar.Show("read " + t.label)
		stats, err := tracestat.Read(src, func(int) error { return ctx.Err() })
		if err != nil {
			return err
		}
		p.Traces = append(p.Traces, tracePart{Label: t.label, stats: stats})
	}
	part := &p.Traces[len(p.Traces)-1]
	if r.Error == "" && r.Alloc != allocators.Sink {
		bar.Start("observe " + r.Alloc + " " + t.label)
		o, err := observeInChild(ctx, t, r.Alloc, bar)
		bar.Finish()
		if err != nil {
			return err
		}
		r.observed = o.observed
	} else {
		bar.Skip(1)
	}
	color := 0
	if r.Alloc != allocators.Sink {
		for _, other := range part.results {
			if other.Alloc != allocators.Sink {
				color++
			}
		}
	}
	part.results, part.colors = append(part.results, r), append(part.colors, 1+color%(colors-1))
	return nil
}

// close writes the page and closes the file. If err is not nil, the measurements have ended early;
// then it removes the file and returns err.
func (p *page) close(o options, err error) error {
	if err == nil {
		p.Go, p.Platform, p.CPUs = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU()
		p.Time = time.Now().Format("2006-01-02 15:04 MST")
		p.Width, p.Height, p.Left, p.Right, p.Top, p.Bottom = chartWidth, chartHeight, left, right, top, bottom
		for i := range p.Traces {
			p.Traces[i].draw()
		}
		w := bufio.NewWriter(p.file)
		err = pageTemplate.Execute(w, p)
		if err == nil {
			err = w.Flush()
		}
		if err != nil {
			err = fmt.Errorf("cannot write %s: %w", o.html, err)
		}
	}
	closed := p.file.Close()
	if err == nil {
		err = closed
	}
	if err != nil {
		_ = os.Remove(o.html)
	}
	return err
}

func bytesLabel(v float64) string { return cli.Size(uint64(max(v, 0))) }

// draw makes what the template shows.
func (t *tracePart) draw() {
	s := t.stats
	t.Facts = [][2]string{
		{"calls", cli.Thousands(s.Events)},
		{"objects", cli.Thousands(s.Objects)},
		{"bytes allocated", cli.Size(s.TotalBytes)},
		{"most in use", cli.Size(s.PeakBytes) + ", " + cli.Thousands(s.PeakObjects) + " objects"},
		{"in use at the end", cli.Size(s.EndBytes)},
		{"reallocs", fmt.Sprintf("%.1f %%", 100*float64(s.Reallocs)/float64(max(s.Events, 1)))},
		{"threads", strconv.Itoa(len(s.Threads))},
	}
	live := curve{name: "in use", color: 0, end: 1}
	for _, v := range s.Live {
		live.values = append(live.values, float64(v))
	}
	memory := []curve{live}
	var times []row
	var timeColumns []string
	for i, r := range t.results {
		o := r.observed
		if o == nil {
			continue
		}
		if len(o.Resident) > 0 {
			c := curve{name: r.Alloc, color: t.colors[i], end: float64(len(o.Resident)*o.Step) / float64(max(s.Events, 1))}
			for _, v := range o.Resident {
				c.values = append(c.values, float64(v))
			}
			memory = append(memory, c)
		}
		calls := 0
		for _, n := range o.Times {
			calls += n
		}
		k := row{name: r.Alloc, color: t.colors[i]}
		for _, n := range o.Times {
			k.parts = append(k.parts, float64(n)/float64(max(calls, 1)))
		}
		times = append(times, k)
	}
	for _, k := range times {
		for i := len(timeColumns); i < len(k.parts); i++ {
			low, _ := tracestat.Range(i)
			timeColumns = append(timeColumns, binary(low))
		}
	}
	t.Charts = []chart{lines("Bytes in use, and resident memory on each allocator", "calls", cli.Thousands(s.Events), memory, bytesLabel)}
	if len(times) > 0 {
		t.Charts = append(t.Charts, bars("Time of a call", "at least ns, less than twice as many", timeColumns, times))
	}
	t.Charts = append(t.Charts,
		distribution("Sizes of objects", "at least bytes, less than twice as many", s.Sizes, s.Objects),
		distribution("Lifetimes of objects", "at least calls, less than twice as many", s.Lifetimes, s.Objects-s.EndObjects))
	t.Rows = nil
	for _, r := range t.results {
		peak, end := "-", "-"
		if r.PeakRSS != nil && r.EndRSS != nil {
			peak, end = cli.Size(uint64(*r.PeakRSS)), cli.Size(uint64(*r.EndRSS))
		}
		line := []string{
			r.Alloc, cli.Decimals(r.NsPerOp, 1), cli.Decimals(r.MinNs, 1), peak, cli.Decimals(r.RSSRatio, 2), end, r.Allocator,
		}
		if r.Error != "" {
			line = []string{r.Alloc, "failed", "", "", "", "", r.Error}
		}
		t.Rows = append(t.Rows, line)
	}
}

// distribution returns a chart of two bars for each bucket: the share of the objects and of the
// bytes.
func distribution(title, xLabel string, all []tracestat.Bucket, objects int) chart {
	first := slices.IndexFunc(all, func(b tracestat.Bucket) bool { return b.Objects > 0 })
	count, bytes := row{name: "objects", color: 1}, row{name: "bytes", color: 2}
	var total float64
	for _, b := range all {
		total += float64(b.Bytes)
	}
	var columns []string
	for i := max(first, 0); i < len(all); i++ {
		low, _ := tracestat.Range(i)
		columns = append(columns, binary(low))
		count.parts = append(count.parts, float64(all[i].Objects)/float64(max(objects, 1)))
		bytes.parts = append(bytes.parts, float64(all[i].Bytes)/max(total, 1))
	}
	return bars(title, xLabel, columns, []row{count, bytes})
}
