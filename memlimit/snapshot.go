package memlimit

import "time"

// A Snapshot says where the memory of the process is. Sizes are in bytes. The figures are from the
// last look, and the counts since Start.
type Snapshot struct {
	Limit  uint64 `json:"limit"`  // of the process
	Source string `json:"source"` // of the limit: a file, Options.Limit or Options.Provider

	Go      uint64  `json:"go"`      // memory of the Go runtime, as GOMEMLIMIT counts it
	GoLive  uint64  `json:"goLive"`  // what the last garbage collection found in use
	GoLimit uint64  `json:"goLimit"` // GOMEMLIMIT
	OffHeap uint64  `json:"offHeap"` // footprint of the global allocator, and Options.OffHeap
	Rest    uint64  `json:"rest"`    // other resident memory: C, other processes of the group
	Free    uint64  `json:"free"`    // Limit - Go - OffHeap - Rest, or 0
	Stall   float64 `json:"stall"`   // share of the time that threads waited for memory
	Short   bool    `json:"short"`   // off-heap memory and the rest have more than their part

	Looked      time.Time `json:"looked"`
	Looks       uint64    `json:"looks"`
	Adjusted    time.Time `json:"adjusted"`    // when GOMEMLIMIT was set last
	Adjustments uint64    `json:"adjustments"` // times that it was set
	Collections uint64    `json:"collections"` // garbage collections forced

	Rounds    uint64          `json:"rounds"`  // times that consumers were asked
	Trims     uint64          `json:"trims"`   // of the global heap
	Trimmed   uint64          `json:"trimmed"` // bytes that these have released
	Shrinkers []ShrinkerStats `json:"shrinkers"`

	Error string `json:"error,omitempty"` // what could not be read last
}

// ShrinkerStats are the counts of a consumer.
type ShrinkerStats struct {
	Name     string `json:"name"`
	Priority int    `json:"priority"`
	Calls    uint64 `json:"calls"`
	Asked    uint64 `json:"asked"` // bytes
	Freed    uint64 `json:"freed"` // bytes, as it has reported them
	Late     uint64 `json:"late"`  // calls that took longer than the Governor waits
	// Panic is the value that it has panicked with, as text, or "runtime.Goexit". It is not called
	// again.
	Panic string `json:"panic,omitempty"`
}

// Snapshot returns the state of g.
func (g *Governor) Snapshot() Snapshot {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.snapshot
	s.Shrinkers = make([]ShrinkerStats, len(g.shrinkers))
	for i := range g.shrinkers {
		s.Shrinkers[i] = g.shrinkers[i].stats
	}
	return s
}

// enter enters a look.
func (s *Snapshot) enter(now time.Time, f *figures, state *state, d *decision) {
	s.Go, s.GoLive, s.OffHeap, s.Rest = f.goTotal, f.goLive, f.offHeap(), f.rest
	s.Free = less(f.limit, f.goTotal+f.offHeap()+f.rest)
	s.Stall, s.Short = f.stall, state.short
	s.Looked = now
	s.Looks++
	if d.setLimit {
		s.GoLimit = state.goLimit
		s.Adjusted = now
		s.Adjustments++
	}
	if d.collect {
		s.Collections++
	}
}
