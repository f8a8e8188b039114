// Package bufpool has pools of byte buffers off the Go heap, in place of a sync.Pool of []byte.
//
//	b := bufpool.Get(4096) // len 4096, and the capacity of its class
//	n, err := conn.Read(b.Bytes())
//	...
//	bufpool.Put(b)
//
// A [Pool] keeps buffers by size class: 64 bytes, and then four classes for each doubling up to 1
// MiB. A request is served from the smallest class that suffices, or from an idle buffer of one of
// the next three: so at most half of a buffer is unused, and a large buffer never serves a small
// request. Buffers above 1 MiB are never kept. Each P of the Go scheduler has a cache, and a Get
// that finds a buffer there, as the Put after it, takes neither a lock nor an atomic operation. All
// Ps share another cache, with a lock, for what exceeds theirs.
//
// The caches keep at most Options.MaxIdle bytes. A buffer that was not needed for Options.Decay is
// freed, so a pool without work holds no memory. Freed buffers go to the allocator below, and the
// heap, which is the default, keeps them for a while more: it is the reserve that all Ps share.
//
// # Failure
//
// [Get], [Pool.Get] and [Scope.Get] abort the program through galloc.HandleAllocError if memory
// runs out, and their twins with Try return the error. Before an allocation fails, the pool frees
// its idle buffers and tries once more. The methods of [Buffer] that implement interfaces of
// package io return the error, and so does TryGrow; Grow aborts.
//
// # Ownership
//
// The caller of Get owns the buffer until it calls [Put], once. [Buffer.Retain] adds an owner, and
// each owner calls [Buffer.Release] once. A buffer from a [Scope] belongs to the scope, and is
// freed by [Scope.End] at the latest. The slice that [Buffer.Bytes] returns must not be used
// after the buffer was put back, or has grown.
//
// A second Put, and any method called after Put, panics while the pool has not handed out the same
// Buffer again. For what comes later, and for slices that outlive their buffer, there are guarded
// buffers.
//
// # Guarded buffers
//
// With [GuardOptions], one Get in Rate returns a guarded buffer, on separate pages between
// inaccessible ones. Put makes its pages inaccessible, and they stay so for at least Delay. Any
// access through a slice that was kept crashes at the access. Double Put, and use after Put by a
// method, are reported with the stacks of the misuse, of the Get and of the Put; so is an access by
// a goroutine that has deferred [Pool.CatchPageFaults]. It costs some microseconds for each guarded
// buffer, and nothing for the others, so it can stay on in production.
//
// Under GALLOC=debug, pools on the global allocator keep no idle buffers, so that the memory
// checker sees each Put as a free.
package bufpool

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/alarm"
	"github.com/galloc-go/galloc/internal/bridge"
	"github.com/galloc-go/galloc/internal/memcheck"
	"github.com/galloc-go/galloc/internal/percpu"
)

// Options configures a pool. The zero value is a good default.
type Options struct {
	// Allocator is the source of the memory. It must be safe for concurrent use. nil means
	// galloc.Global.
	Allocator galloc.Allocator

	// MaxIdle is the maximum number of bytes of idle buffers: a quarter for the caches of the Ps,
	// in equal parts, and the rest for all. 0 means 16 MiB for each P; a negative value means none.
	// After GOMAXPROCS has changed, the parts change within Decay.
	MaxIdle int

	// Decay is how long an idle buffer is kept at most. 0 means one second, and the minimum is a
	// millisecond. If it is negative, only Trim frees idle buffers. While there are idle buffers,
	// the pool looks at its caches twice in that time, and stops the world for some 10 µs each.
	Decay time.Duration

	// Guard says which buffers are guarded: none by default.
	Guard GuardOptions
}

const (
	defaultIdle  = 16 << 20 // bytes for each P
	defaultDecay = time.Second
	minDecay     = time.Millisecond
)

// A Pool is a pool of buffers. The zero value is a pool on galloc.Global with default options. All
// methods are safe for concurrent use. A Pool takes some 8 KiB, and must not be copied.
//
// A Pool that is no longer used needs no Close: its buffers decay.
type Pool struct {
	table percpu.Table[cache]

	sharedMu sync.Mutex
	shared   cache // what the caches of the Ps have no room for

	options Options
	alloc   galloc.Allocator // never nil after prepare
	guard   *memcheck.Checker
	flight  atomic.Int64 // bytes of guarded buffers in use
	guarded atomic.Uint64
	once    sync.Once
	keeps   bool // idle buffers

	freeing sync.Mutex // is held by freeAll, so that Trim returns after all are freed

	mu      sync.Mutex // guards the rest
	headers headers
	retired retired
	alarm   *alarm.Alarm
	ticking bool
}

// New returns a pool. It allocates no buffer. It panics if an option is out of range.
func New(o Options) *Pool {
	if 0 < o.Decay && o.Decay < minDecay {
		panic(fmt.Sprintf("galloc/bufpool: Options.Decay is %v: make it %v or more, 0 for the default, or negative for never",
			o.Decay, minDecay))
	}
	if o.Allocator != nil {
		bridge.CheckAllocator("galloc/bufpool", o.Allocator)
	}
	o.Guard.check()
	return &Pool{options: o}
}

// prepare completes p before its first slow call.
func (p *Pool) prepare() {
	p.once.Do(func() {
		p.alloc, p.keeps = p.options.Allocator, p.options.MaxIdle >= 0
		if p.alloc == nil {
			p.alloc = galloc.Global
			if c := bridge.GlobalChecker(); c != nil && !c.Sampled() {
				p.keeps = false
			}
		}
		p.alarm = alarm.New(p.tick)
		p.shared.left = math.MaxInt64
		if p.options.Guard.Rate > 0 {
			p.openGuard()
		}
	})
}

// defaultPool is the pool of the functions Get, TryGet and Put.
var defaultPool Pool

// Default returns the pool of the functions Get, TryGet and Put, for its other methods.
func Default() *Pool { return &defaultPool }

// Get returns a buffer of the default pool: see [Pool.Get].
func Get(n int) *Buffer { return defaultPool.Get(n) }

// TryGet is like Get but returns an error if memory runs out.
func TryGet(n int) (*Buffer, error) { return defaultPool.TryGet(n) }

// Put puts a buffer of the default pool back: see [Pool.Put].
func Put(b *Buffer) { defaultPool.Put(b) }
