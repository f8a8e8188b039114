package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"
)

// soakSchema is the version of soakReport: see schema.
const soakSchema = 1

// A soakReport is what galloc soak -json prints.
type soakReport struct {
	Schema int    `json:"schema"`
	Go     string `json:"go"` // version
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPUs   int    `json:"cpus"`
	soakSpec
	soakResult
	OK     bool `json:"ok"`     // no Error, and not Grown
	Grown  bool `json:"grown"`  // resident memory
	Judged bool `json:"judged"` // whether resident memory could be
}

// A soakResult is what the soaking process has found. What is zero or was not measured is
// absent.
type soakResult struct {
	Allocator    string        `json:"allocator,omitempty"` // what it calls itself
	Error        string        `json:"error,omitempty"`     // what was wrong first; may have several lines
	Interrupted  bool          `json:"interrupted,omitempty"`
	Elapsed      time.Duration `json:"elapsed_ns,omitempty"`     // without the freeing of all at the end
	Busy         time.Duration `json:"busy_ns,omitempty"`        // without the quiet ends of the waves too
	Operations   uint64        `json:"operations,omitempty"`     // in Elapsed
	OpsPerSecond float64       `json:"ops_per_second,omitempty"` // of Busy
	soakCounts
	PeakLive  uint64    `json:"peak_live_bytes,omitempty"`  // the most bytes of live blocks, looked at every few milliseconds
	PeakRSS   *int64    `json:"peak_rss_bytes,omitempty"`   // resident memory that the soak has added, at most
	TroughRSS []int64   `json:"trough_rss_bytes,omitempty"` // the same at the end of each wave
	EndRSS    *int64    `json:"end_rss_bytes,omitempty"`    // the same when all was freed and had time to decay
	Heap      *soakHeap `json:"heap,omitempty"`             // when all was freed; of -alloc heap only
}

// soakCounts is how often each thing was done, the freeing of all at the end included.
type soakCounts struct {
	Allocated   uint64 `json:"allocated,omitempty"`
	Zeroed      uint64 `json:"zeroed,omitempty"`         // allocated as such
	Reallocated uint64 `json:"reallocated,omitempty"`    // grown or shrunk
	Tried       uint64 `json:"resize_tried,omitempty"`   // in place
	Resized     uint64 `json:"resized,omitempty"`        // of those tried
	Exchanged   uint64 `json:"exchanged,omitempty"`      // between goroutines
	Freed       uint64 `json:"freed,omitempty"`          // besides those by reallocation
	Compared    uint64 `json:"compared_bytes,omitempty"` // with what was written
}

func (c *soakCounts) operations() uint64 {
	return c.Allocated + c.Zeroed + c.Reallocated + c.Tried + c.Exchanged + c.Freed
}

func (c *soakCounts) add(d soakCounts) {
	c.Allocated += d.Allocated
	c.Zeroed += d.Zeroed
	c.Reallocated += d.Reallocated
	c.Tried += d.Tried
	c.Resized += d.Resized
	c.Exchanged += d.Exchanged
	c.Freed += d.Freed
	c.Compared += d.Compared
}

// soakHeap is of heap.Stats what matters when all has been freed.
type soakHeap struct {
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

func newSoakReport(spec soakSpec, r soakResult) soakReport {
	s := soakReport{
		Schema: soakSchema, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		soakSpec: spec, soakResult: r, Judged: len(r.TroughRSS) > 1,
	}
	s.Grown = s.Judged && s.growth() > s.allowed()
	s.OK = s.Error == "" && !s.Grown
	return s
}

// growth is from the first trough to the last.
func (s *soakReport) growth() int64 { return s.TroughRSS[len(s.TroughRSS)-1] - s.TroughRSS[0] }

// allowed is the growth that is no fault: the blocks alive at a trough lie now here and now
// there, and what the kernel counts is not exact.
func (s *soakReport) allowed() int64 { return int64(s.PeakLive/10) + 8<<20 }

// failure is what to tell, or "".
func (s *soakReport) failure() string {
	switch {
	case s.Error != "":
		return s.Error
	case s.Grown:
		return fmt.Sprintf("resident memory grows: it was %s at the end of the first wave, and %s at the end of the last",
			size(uint64(s.TroughRSS[0])), size(uint64(s.TroughRSS[len(s.TroughRSS)-1])))
	}
	return ""
}

func (s *soakReport) printJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return printed(e.Encode(s))
}

// soakHead is the first line, printed before the soak begins.
func soakHead(spec soakSpec) string {
	return fmt.Sprintf("%s, %s/%s, %d CPUs; %s\n%v with %d goroutines on %d Ps, up to %s live, seed %d\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), spec.Alloc,
		spec.Time, spec.Goroutines, spec.Procs, size(uint64(spec.Live)), spec.Seed)
}

// print prints what comes behind the head.
func (s *soakReport) print(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", name, fmt.Sprintf(format, args...))
	}
	if s.Elapsed > 0 {
		row("operations", "%s in %.1f s, busy for %.1f s: %s a second", thousands(int(s.Operations)), s.Elapsed.Seconds(), s.Busy.Seconds(), thousands(int(s.OpsPerSecond)))
		row("", "%s allocated, %s of them zeroed; %s freed", thousands(int(s.Allocated+s.Zeroed)), thousands(int(s.Zeroed)), thousands(int(s.Freed)))
		row("", "%s reallocated; %s of %s resized in place", thousands(int(s.Reallocated)), thousands(int(s.Resized)), thousands(int(s.Tried)))
		row("", "%s exchanged between goroutines", thousands(int(s.Exchanged)))
		row("compared", "%s", size(s.Compared))
		row("peak live", "%s", size(s.PeakLive))
	}
	if s.PeakRSS != nil && s.EndRSS != nil {
		row("peak RSS", "%s, %s of peak live", size(uint64(*s.PeakRSS)), decimals(float64(*s.PeakRSS)/float64(max(s.PeakLive, 1)), 2))
		row("trough RSS", "%s", troughs(s.TroughRSS))
		row("end RSS", "%s", size(uint64(*s.EndRSS)))
	}
	if h := s.Heap; h != nil {
		row("end heap", "footprint %s: %s in use, %s dirty", size(h.Footprint), size(h.InUse), size(h.Dirty))
		row("", "%s on the Go heap besides", size(h.GoMemory))
		row("", "%s given back in %s calls", size(h.Purged), thousands(int(h.Purges)))
		row("", "large blocks: %s grown in place, %s moved uncopied", thousands(int(h.GrownInPlace)), thousands(int(h.Moved)))
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
		row("memory", "not judged: that needs two waves, Linux, and no -race")
	case s.Grown:
		row("memory", "FAILED: grows by %s, where %s is allowed", size(uint64(s.growth())), size(uint64(s.allowed())))
	default:
		row("memory", "ok: stays flat")
	}
	_, err := io.WriteString(w, b.String())
	return printed(err)
}

// troughs lists the values, or those that matter.
func troughs(v []int64) string {
	const most = 4
	if len(v) == 0 {
		return "-"
	}
	var parts []string
	first := max(len(v)-most/2, 0)
	for i, n := range v {
		if len(v) <= most || i < most/2 || i >= first {
			parts = append(parts, size(uint64(n)))
		} else if i == most/2 {
			parts = append(parts, "...")
		}
	}
	return strings.Join(parts, ", ")
}
