package soak

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
)

// schema is the version of report: see package replay.
const schema = 1

// A report is the output of -json.
type report struct {
	Schema int    `json:"schema"`
	Go     string `json:"go"` // version
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	options
	result
	OK     bool `json:"ok"`     // no Error, and not Grown
	Grown  bool `json:"grown"`  // resident memory
	Judged bool `json:"judged"` // whether resident memory could be
}

// A result is the result of the soaking process. A field that is zero or was not measured is
// absent.
type result struct {
	Allocator string `json:"allocator,omitempty"` // its String
	// The first error; may have several lines.
	Error       string        `json:"error,omitempty"`
	Interrupted bool          `json:"interrupted,omitempty"`
	Elapsed     time.Duration `json:"elapsed_ns,omitempty"` // without freeing all at the end
	// Also without the quiet ends of the waves.
	Busy         time.Duration `json:"busy_ns,omitempty"`
	Operations   uint64        `json:"operations,omitempty"`     // in Elapsed
	OpsPerSecond float64       `json:"ops_per_second,omitempty"` // of Busy
	tally
	// The most bytes of live blocks, sampled every few milliseconds.
	PeakLive uint64 `json:"peak_live_bytes,omitempty"`
	// The most resident memory that the soak added.
	PeakRSS *int64 `json:"peak_rss_bytes,omitempty"`
	// Resident memory at the end of each wave.
	TroughRSS []int64 `json:"trough_rss_bytes,omitempty"`
	// Resident memory after all was freed and had time to decay.
	EndRSS *int64 `json:"end_rss_bytes,omitempty"`
	// After all was freed; -alloc heap only.
	Heap *heapStats `json:"heap,omitempty"`
}

// tally counts the operations, including the frees at the end.
type tally struct {
	Allocated   uint64 `json:"allocated,omitempty"`
	Zeroed      uint64 `json:"zeroed,omitempty"`         // allocated as such
	Reallocated uint64 `json:"reallocated,omitempty"`    // grown or shrunk
	Tried       uint64 `json:"resize_tried,omitempty"`   // in place
	Resized     uint64 `json:"resized,omitempty"`        // in place
	Exchanged   uint64 `json:"exchanged,omitempty"`      // between goroutines
	Freed       uint64 `json:"freed,omitempty"`          // not by reallocation
	Compared    uint64 `json:"compared_bytes,omitempty"` // with what was written
}

func (c *tally) operations() uint64 {
	return c.Allocated + c.Zeroed + c.Reallocated + c.Tried + c.Exchanged + c.Freed
}

func (c *tally) add(d tally) {
	c.Allocated += d.Allocated
	c.Zeroed += d.Zeroed
	c.Reallocated += d.Reallocated
	c.Tried += d.Tried
	c.Resized += d.Resized
	c.Exchanged += d.Exchanged
	c.Freed += d.Freed
	c.Compared += d.Compared
}

// heapStats is the part of heap.Stats that matters after all was freed.
type heapStats struct {
	Live         uint64 `json:"live"`
	Footprint    uint64 `json:"footprint"`
	InUse        uint64 `json:"in_use"`
	Cached       uint64 `json:"cached"`
	Dirty        uint64 `json:"dirty"`
	Metadata     uint64 `json:"metadata"`
	GoMemory     uint64 `json:"go_memory"`
	Purges       uint64 `json:"purges"`
	Purged       uint64 `json:"purged_bytes"`
	Moved        uint64 `json:"moved"`
	GrownInPlace uint64 `json:"grown_in_place"`
	Misuses      uint64 `json:"misuses"`
}

func newReport(o options, r result) report {
	s := report{
		Schema: schema, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		options: o, result: r, Judged: len(r.TroughRSS) > 1,
	}
	s.Grown = s.Judged && s.growth() > s.allowed()
	s.OK = s.Error == "" && !s.Grown
	return s
}

// growth is from the first trough to the last.
func (s *report) growth() int64 { return s.TroughRSS[len(s.TroughRSS)-1] - s.TroughRSS[0] }

// allowed is the growth that is not an error: the places of the blocks that are alive differ
// between troughs, and the kernel's counts are not exact.
func (s *report) allowed() int64 { return int64(s.PeakLive/10) + 8<<20 }

// failure returns the reason for exit status 1, or "".
func (s *report) failure() string {
	switch {
	case s.Error != "":
		return s.Error
	case s.Grown:
		return fmt.Sprintf("resident memory grows: from %s at the end of the first wave to %s at the end of the last",
			cli.Size(uint64(s.TroughRSS[0])), cli.Size(uint64(s.TroughRSS[len(s.TroughRSS)-1])))
	}
	return ""
}

func (s *report) printJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return cli.Printed(e.Encode(s))
}

// head is the first line, printed before the soak begins.
func head(o options) string {
	return fmt.Sprintf("%s, %s/%s, %d CPUs; %s\n%v with %d goroutines on %d Ps, up to %s live, seed %d\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.Alloc,
		o.Time, o.Goroutines, o.Procs, cli.Size(uint64(o.Live)), o.Seed)
}

// print prints the report after the head.
func (s *report) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Elapsed > 0 {
		row("operations",
			"%s in %.1f s, busy for %.1f s: %s a second", cli.Thousands(int(s.Operations)), s.Elapsed.Seconds(),
			s.Busy.Seconds(), cli.Thousands(int(s.OpsPerSecond)))
		row("",
			"%s allocated, %s of them zeroed; %s freed", cli.Thousands(int(s.Allocated+s.Zeroed)),
			cli.Thousands(int(s.Zeroed)), cli.Thousands(int(s.Freed)))
		row("",
			"%s reallocated; %s of %s resized in place", cli.Thousands(int(s.Reallocated)),
			cli.Thousands(int(s.Resized)), cli.Thousands(int(s.Tried)))
		row("", "%s exchanged between goroutines", cli.Thousands(int(s.Exchanged)))
		row("compared", "%s", cli.Size(s.Compared))
		row("peak live", "%s", cli.Size(s.PeakLive))
	}
	if s.PeakRSS != nil && s.EndRSS != nil {
		row("peak RSS",
			"%s, %s of peak live", cli.Size(uint64(*s.PeakRSS)),
			cli.Decimals(float64(*s.PeakRSS)/float64(max(s.PeakLive, 1)), 2))
		row("trough RSS", "%s", troughs(s.TroughRSS))
		row("end RSS", "%s", cli.Size(uint64(*s.EndRSS)))
	}
	if h := s.Heap; h != nil {
		row("end heap",
			"footprint %s: %s in use, %s dirty", cli.Size(h.Footprint), cli.Size(h.InUse), cli.Size(h.Dirty))
		row("", "%s on the Go heap besides", cli.Size(h.GoMemory))
		row("", "%s released in %s calls", cli.Size(h.Purged), cli.Thousands(int(h.Purges)))
		row("",
			"large blocks: %s grown in place, %s moved uncopied", cli.Thousands(int(h.GrownInPlace)),
			cli.Thousands(int(h.Moved)))
	}
	b.WriteByte('\n')
	switch {
	case s.Error != "":
		row("blocks", "FAILED")
	default:
		row("blocks", "ok: all contents were right")
	}
	switch {
	case !s.Judged:
		row("memory", "not judged: this needs two waves, Linux, and no -race")
	case s.Grown:
		row("memory", "FAILED: grew by %s (allowed: %s)", cli.Size(uint64(s.growth())), cli.Size(uint64(s.allowed())))
	default:
		row("memory", "ok: stayed flat")
	}
	_, err := io.WriteString(w, b.String())
	return cli.Printed(err)
}

// troughs lists the values: all, or the first and the last ones.
func troughs(v []int64) string {
	const maxShown = 4
	if len(v) == 0 {
		return "-"
	}
	var parts []string
	first := max(len(v)-maxShown/2, 0)
	for i, n := range v {
		if len(v) <= maxShown || i < maxShown/2 || i >= first {
			parts = append(parts, cli.Size(uint64(n)))
		} else if i == maxShown/2 {
			parts = append(parts, "...")
		}
	}
	return strings.Join(parts, ", ")
}
