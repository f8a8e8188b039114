// Package procmem says what the resident memory of a process consists of. A [Snapshot] divides it
// into the Go heap, stacks, the Go runtime, galloc's blocks, caches and free pages, mapped files,
// code, and the rest, so that the parts sum to the kernel's figure:
//
//	s, err := procmem.Read()
//	fmt.Print(s)
//
// It is a struct with JSON tags, a table ([Snapshot.String]) and a profile for go tool pprof
// ([Snapshot.WriteProfile]). Package handler serves it by HTTP, and the command "galloc ps" prints
// it.
//
// # Method
//
// The kernel lists the mappings of a process with the resident bytes of each (/proc/PID/smaps).
// Their sum is Resident. Each mapping belongs to one group:
//
//   - Code: mapped from the program and its shared libraries, with their data.
//   - MappedFiles: mapped from other files, or shared.
//   - The regions of galloc's heaps, by their addresses.
//   - The arenas of the Go heap: the row of mappings around an object of the Go heap.
//   - All others, which no file and no address tells apart.
//
// Counters divide the groups further: runtime/metrics divides the arenas, and the global allocator
// its region. A counter can be larger than the resident bytes, since pages that were never written
// to have no memory. The parts in use are therefore filled up first, and the free parts last, so
// all parts are at least 0 and the sum is exact. Of the mappings that nothing tells apart, the Go
// runtime gets what it reports for itself, and Other the rest. Where the kernel has no names for
// anonymous memory, GoRuntime may be some MB too large and Other too small.
//
// # Limits
//
// Only Linux reports what this needs; elsewhere [Read] returns [ErrUnsupported]. The sum is of the
// moment when the kernel was asked about each mapping. The counters are read just before, so a part
// may be wrong by the bytes that the program allocates between these moments. In a program built
// with -race, galloc's memory is Go memory and part of the Go heap. Memory that galloc.System takes
// on its own without cgo, and C libraries with cgo, are in Other.
package procmem

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrUnsupported is the error on systems that do not report the resident memory of mappings: all
// but Linux and Android.
var ErrUnsupported = errors.New("galloc/procmem: only Linux reports the resident memory of mappings")

// A Snapshot is the resident memory of a process at a moment. Sizes are in bytes. This equation
// holds:
//
//	Resident == Σ Parts()[i].Bytes
type Snapshot struct {
	Time      time.Time `json:"time"`
	PID       int       `json:"pid"`
	Allocator string    `json:"allocator,omitempty"` // as galloc.DescribeGlobal reports it
	Resident  uint64    `json:"resident"`            // what the kernel reports for all mappings

	GoHeapInUse uint64 `json:"goHeapInUse"` // spans of the Go heap that have objects
	GoHeapFree  uint64 `json:"goHeapFree"`  // pages of the Go heap that are not returned yet
	GoStacks    uint64 `json:"goStacks"`    // of goroutines
	GoRuntime   uint64 `json:"goRuntime"`   // the runtime's own, such as the metadata of spans

	GallocLive     uint64 `json:"gallocLive"`     // allocated blocks of the global heap
	GallocCached   uint64 `json:"gallocCached"`   // free blocks in the caches of the Ps
	GallocFree     uint64 `json:"gallocFree"`     // other free blocks and pages
	GallocMetadata uint64 `json:"gallocMetadata"` // of all heaps of galloc
	GallocOther    uint64 `json:"gallocOther"`    // heaps of galloc that are not the global one

	MappedFiles uint64 `json:"mappedFiles"` // and shared memory
	Code        uint64 `json:"code"`        // of the program and its libraries, with their data
	Other       uint64 `json:"other"`       // C's memory, stacks of threads, and the rest

	// Anonymous is memory that cannot be told apart. It is 0 in a Snapshot of the process itself.
	Anonymous uint64 `json:"anonymous,omitempty"`

	// Sites are the blocks of GallocLive by stack, most bytes first, if a heapprof.Profiler is in
	// front of the global heap. They are estimates, and their sum is at most GallocLive.
	Sites []Site `json:"sites,omitempty"`
}

// A Site is the blocks that were allocated with one stack.
type Site struct {
	Place string    `json:"place"` // the call in the program, as "function file:line"
	Bytes uint64    `json:"bytes"`
	stack []uintptr // as runtime.Callers returns it
}

// A Part is one part of a [Snapshot].
type Part struct {
	Name  string // as in the table, such as "Go heap in use"
	Bytes uint64
}

// Parts returns the parts of s in the order of the fields. Anonymous is left out if it is 0.
func (s *Snapshot) Parts() []Part {
	parts := []Part{
		{"Go heap in use", s.GoHeapInUse},
		{"Go heap free", s.GoHeapFree},
		{"Go stacks", s.GoStacks},
		{"Go runtime", s.GoRuntime},
		{"galloc live", s.GallocLive},
		{"galloc cached", s.GallocCached},
		{"galloc free", s.GallocFree},
		{"galloc metadata", s.GallocMetadata},
		{"galloc other heaps", s.GallocOther},
		{"mapped files", s.MappedFiles},
		{"code and data", s.Code},
		{"C and the rest", s.Other},
	}
	if s.Anonymous != 0 {
		parts = append(parts, Part{"anonymous", s.Anonymous})
	}
	return parts
}

// String returns a table: a line for each part that is not 0, with its bytes and its share, the
// sites below galloc live, and the sum. 1 MB is 1,000,000 bytes.
func (s *Snapshot) String() string {
	var b strings.Builder
	line := func(name string, n uint64) {
		share := 0.0
		if s.Resident != 0 {
			share = 100 * float64(n) / float64(s.Resident)
		}
		fmt.Fprintf(&b, "%-20s %12.2f MB %5.1f %%\n", name, float64(n)/1e6, share)
	}
	for _, p := range s.Parts() {
		if p.Bytes == 0 {
			continue
		}
		line(p.Name, p.Bytes)
		if p.Name != "galloc live" {
			continue
		}
		const maxSites = 10
		for _, site := range s.Sites[:min(len(s.Sites), maxSites)] {
			fmt.Fprintf(&b, "  %18.2f MB  %s\n", float64(site.Bytes)/1e6, site.Place)
		}
		if n := len(s.Sites) - maxSites; n > 0 {
			fmt.Fprintf(&b, "  and %d more sites\n", n)
		}
	}
	line("resident", s.Resident)
	return b.String()
}

// WriteTo writes s as one JSON object.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return 0, err
	}
	n, err := w.Write(append(text, '\n'))
	return int64(n), err
}

// check returns an error if the parts of s do not sum to Resident.
func (s *Snapshot) check() error {
	var sum uint64
	for _, p := range s.Parts() {
		if p.Bytes > s.Resident-sum {
			sum = s.Resident + 1 // whatever the rest is
			break
		}
		sum += p.Bytes
	}
	if sum != s.Resident {
		return errors.New("galloc/procmem: the parts do not sum to the resident memory")
	}
	return nil
}

// Parse reads what [Snapshot.WriteTo] has written. It fails if text is not JSON, or if the parts do
// not sum to Resident. Stacks are not part of the text, only the place of each site is.
func Parse(text []byte) (*Snapshot, error) {
	s := new(Snapshot)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("galloc/procmem: not a snapshot: %w", err)
	}
	if s.Time.IsZero() || s.PID == 0 {
		return nil, errors.New("galloc/procmem: not a snapshot: it has no time or no pid")
	}
	return s, s.check()
}
