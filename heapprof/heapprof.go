// Package heapprof is a heap profiler for memory off the Go heap, which Go's own heap profile does
// not show. A [Profiler] is an allocator in front of another one. It samples allocations with their
// stacks, and its profiles are files for go tool pprof:
//
//	p := heapprof.New(heap.Default(), heapprof.Options{})
//	galloc.RegisterGlobal(p)
//	...
//	p.Profile().WriteTo(file)
//
// Package handler serves the profiles by HTTP.
//
// # What a profile says
//
// As in Go's heap profile, each stack has four figures: alloc_objects and alloc_space are all
// allocations so far, inuse_objects and inuse_space those of blocks that are still allocated. Bytes
// are the bytes that blocks occupy, if the allocator inside reports them, and else the bytes asked
// for. A call that changes the size of a block counts as a free and an allocation. The views are
//
//	Profile            all allocations
//	Profile.Sub        the growth between two profiles
//	Peak               blocks in use when most bytes were
//	Leaks              blocks allocated since a mark and still in use
//	Temporary          blocks that were freed soon
//
// # Samples
//
// A profiler samples by bytes: one allocation in each 512 KiB on average, at random distances, so
// that a block of s bytes is sampled with the probability p = 1 - exp(-s/rate). A sampled block
// counts as 1/p blocks of its size, so all four figures are unbiased estimates. The standard
// deviation of a figure made of n samples is about 1/√n of it: 1 % at 10,000 samples.
//
// # Costs
//
// An allocation that is not sampled changes a countdown of the P that it runs on, without atomic
// operations. A free looks up one bit by the address. BenchmarkProfiler measures both. A sample
// takes some microseconds, and about 100 bytes of Go memory while its block is in use. Stacks take
// Go memory for good; package memcheck keeps its stacks in the same bounded table.
//
// A profile has no labels of runtime/pprof: Go offers no way to read the labels of a goroutine.
//
// The method is tcmalloc's (Ghemawat, 2005), which Go's heap profile has too. The view of temporary
// allocations follows heaptrack (Wolff, 2014).
package heapprof

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/inside"
	"github.com/galloc-go/galloc/internal/sample"
	"github.com/galloc-go/galloc/internal/stacks"
)

// DefaultRate is the mean number of bytes from one sample to the next: 512 KiB, as in Go's heap
// profile.
const DefaultRate = 512 << 10

// Options are the options of a [Profiler].
type Options struct {
	// Rate is the mean number of bytes from one sample to the next: 0 is DefaultRate, 1 samples
	// every allocation, and a negative rate none until SetRate is called.
	Rate int

	// Depth is the number of calls in a stack: 0 is 32, and 64 the maximum.
	Depth int

	// Seed, unless it is 0, makes the distances between samples the same in each run of a program
	// with one goroutine.
	Seed uint64
}

const (
	pkg          = "galloc/heapprof"
	defaultDepth = 32
)

// A Profiler is an allocator that samples what goes through it. Make one with [New]. It has all
// methods of a [galloc.GlobalAlloc] and of an [galloc.Allocator], and may be registered as the
// global allocator if the allocator inside is another one.
//
// Blocks, errors and sizes come from the allocator inside unchanged, but a block must be freed
// through the Profiler: otherwise it stays in the profile. Blocks of size 0 and memory that the
// garbage collector scans are not sampled; the latter is in Go's heap profile.
//
// A Profiler is safe for concurrent use if the allocator inside is.
type Profiler struct {
	_ block.NoCopy

	in      inside.Allocator
	sampler sample.Sampler
	stacks  stacks.Table
	began   time.Time
	filter  atomic.Pointer[filter] // of the addresses in records

	mu sync.Mutex
	books
}

// New returns a Profiler that takes its memory from inner. A nil inner means the global allocator.
// It takes some KiB of Go memory. New panics if an option is out of range.
func New(inner galloc.Allocator, o Options) *Profiler {
	if o.Depth < 0 || o.Depth > stacks.MaxDepth {
		panic(pkg + ": Options.Depth is out of range: it must be at most 64")
	}
	p := &Profiler{in: inside.Resolve(pkg, inner), began: time.Now()}
	p.stacks.Depth = o.Depth
	if o.Depth == 0 {
		p.stacks.Depth = defaultDepth
	}
	var random func() uint32
	if o.Seed != 0 {
		var mu sync.Mutex
		r := rand.New(rand.NewPCG(o.Seed, 0))
		random = func() uint32 {
			mu.Lock()
			defer mu.Unlock()
			return r.Uint32()
		}
	}
	p.sampler.Init(rateOf(o.Rate), random)
	p.records, p.sites = map[uintptr]record{}, map[stacks.ID]*site{}
	p.filter.Store(newFilter(minFilter))
	return p
}

// rateOf returns the rate of the sampler that Options.Rate means.
func rateOf(rate int) int64 {
	if rate == 0 {
		return DefaultRate
	}
	return int64(max(rate, 0))
}

// Rate returns the mean number of bytes from one sample to the next, or 0 if there are no samples.
func (p *Profiler) Rate() int { return int(p.sampler.Rate()) }

// SetRate changes the rate, in the form of Options.Rate. Blocks that are in the profile stay there.
// It stops the world for some 10 µs.
func (p *Profiler) SetRate(rate int) { p.sampler.SetRate(rateOf(rate)) }

// Unwrap returns the allocator inside.
func (p *Profiler) Unwrap() galloc.Allocator { return p.in.A }

// String names the allocator, as in "heapprof(heap)".
func (p *Profiler) String() string { return "heapprof(" + block.Name(p.in.A) + ")" }
