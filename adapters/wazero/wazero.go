// Package wazero has an allocator of linear memories for wazero. A WebAssembly module gets its
// address space when it is instantiated, and memory as it grows:
//
//	a := wazero.New(wazero.Options{})
//	ctx = experimental.WithMemoryAllocator(ctx, a)
//	module, err := runtime.InstantiateWithConfig(ctx, binary, config)
//
// By default wazero keeps linear memories on the Go heap. There a memory that grows is copied, and
// it counts for the garbage collector.
//
// # A linear memory
//
// A memory is a reservation of address space, a power of two that holds the module's maximum, and
// at least 64 KiB more:
//
//	base                base+size                base+reserved        base+reserved+64 KiB
//	│ ready, zero at first │ not accessible: an access crashes the program │
//
// To grow is to make more pages accessible. It costs a system call, copies nothing, and does not
// change the address, so a memory can be shared. Free returns the memory to the system. The address
// space is kept for the next module, as everywhere in galloc, because the Go heap must never get an
// address to which there may still be a pointer.
//
// If the system has not enough address space, a memory gets half as much, and so on. It can then
// not grow to its maximum. See Options.Reserve for systems where that is the rule.
//
// # Failure
//
// If a module cannot grow because of the limit or the system, its memory.grow returns -1, as
// WebAssembly demands. If it cannot begin, the allocator panics with an error, since wazero's
// interface has no other way: [Catch] makes it an error again.
//
// # Rules
//
// After a module is closed, nothing may access its memory, and the slices that api.Memory.Read has
// returned are views of it: an access crashes the program, or sees the memory of a later module. On
// the Go heap it would see the old bytes.
//
// wazero frees the memory when any module that uses it is closed, also one that imports it. Close
// modules that share a memory together, by Runtime.Close. A module must not be closed while a
// function of it runs, apart from the function itself and a context that is done
// (WithCloseOnContextDone).
//
// If the program forgets to close a module, its memory is freed after the garbage collector has
// found the module.
package wazero

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/tetratelabs/wazero/experimental"
)

var _ experimental.MemoryAllocator = (*Allocator)(nil)

// Options configures an Allocator. The zero value is a good default.
type Options struct {
	// Limit bounds the sum of the sizes of all memories, in bytes. 0 means no limit.
	Limit uint64

	// Reserve bounds the address space of one memory, in bytes. It is rounded up to a power of two
	// of at least 64 KiB. A module whose maximum is larger cannot grow beyond it. 0 means 4 GiB,
	// the maximum of WebAssembly; or 64 MiB where address space is short, on 32 bits, on
	// WebAssembly, and in programs that are built with -race, which keep all memory on the Go heap.
	// There a module that begins with more gets what it begins with.
	Reserve uint64

	// HugePages asks the system for huge pages (mostly of 2 MiB), which Linux grants if
	// /sys/kernel/mm/transparent_hugepage/enabled is "always" or "madvise". The first touch of a
	// large memory is faster, but the memory that the system commits is up to one huge page more.
	HugePages bool
}

// Allocator implements experimental.MemoryAllocator. All modules that are instantiated with it
// share its limit. It is safe for concurrent use.
type Allocator struct {
	limit   atomic.Uint64
	reserve uint64
	huge    bool

	memories, size, peak, reserved  atomic.Int64
	grows, refusedLimit, refusedSys atomic.Uint64
}

// Stats are the figures of an Allocator. Sizes are in bytes.
type Stats struct {
	Memories      int64  // memories that are not freed
	Size          int64  // the sum of their sizes
	Peak          int64  // the largest Size so far
	Reserved      int64  // the sum of their address space
	Grows         uint64 // calls that made a memory larger, the first one included
	RefusedLimit  uint64 // calls that the limit refused
	RefusedSystem uint64 // calls that the system refused, or the end of the address space
}

// New returns an Allocator. It takes no memory.
func New(o Options) *Allocator {
	a := &Allocator{reserve: o.Reserve, huge: o.HugePages}
	a.limit.Store(o.Limit)
	return a
}

// SetLimit changes Options.Limit. Memories that exceed a lower limit stay as they are.
func (a *Allocator) SetLimit(n uint64) { a.limit.Store(n) }

// Stats returns the figures now. While modules grow, they may not agree with each other.
func (a *Allocator) Stats() Stats {
	return Stats{
		Memories: a.memories.Load(), Size: a.size.Load(), Peak: a.peak.Load(), Reserved: a.reserved.Load(),
		Grows: a.grows.Load(), RefusedLimit: a.refusedLimit.Load(), RefusedSystem: a.refusedSys.Load(),
	}
}

// Allocate is called by wazero when it instantiates a module. It reserves address space for up to
// maximum bytes, and no memory. If there is none, the first Reallocate panics.
func (a *Allocator) Allocate(capacity, maximum uint64) experimental.LinearMemory {
	m := &memory{a: a, owned: &owned{}}
	m.max = max(maximum, capacity)
	most := a.reserve
	if most == 0 {
		most = defaultReserve()
		if shortAddresses {
			most = max(most, capacity)
		}
	}
	m.owned.reservation = reserve(min(most, m.max))
	if a.huge && m.owned.base != nil {
		vm.Huge(m.owned.base, m.owned.bytes())
	}
	a.memories.Add(1)
	a.reserved.Add(int64(m.owned.bytes()))
	m.cleanup = runtime.AddCleanup(m, func(o *owned) { o.free(a) }, m.owned)
	return m
}

// memory implements experimental.LinearMemory.
type memory struct {
	a       *Allocator
	owned   *owned
	cleanup runtime.Cleanup
	max     uint64 // what Allocate was asked for
	begun   bool   // whether the first Reallocate has succeeded
}

// owned is what must be freed. It is apart from the memory, for the cleanup.
//
//	size <= committed <= bytes()
type owned struct {
	reservation
	size      uint64 // as in the last Reallocate
	committed uintptr
	freed     bool
}

// Reallocate makes the memory size bytes long. The added bytes are zero. If the limit or the system
// refuses, it returns nil, or panics with an error if it is the first call, and the memory is
// unchanged.
func (m *memory) Reallocate(size uint64) []byte {
	if m.owned.freed {
		panic("galloc/adapters/wazero: Reallocate of a memory that is freed: the module is closed")
	}
	if err := m.resize(size); err != nil {
		if !m.begun {
			panic(err)
		}
		return nil
	}
	m.begun = true
	if m.owned.base == nil {
		return []byte{}
	}
	// SAFETY: the bytes are committed, and no Go memory. The capacity ends with them, so that
	// nothing appends to them.
	return unsafe.Slice((*byte)(m.owned.base), size)
}

func (m *memory) resize(size uint64) error {
	o, a := m.owned, m.a
	if size <= o.size { // WebAssembly has no smaller, but the interface has
		a.size.Add(-int64(o.size - size))
		if size < o.size {
			block.Clear(unsafe.Add(o.base, size), uintptr(o.size-size))
		}
		o.size = size
		return nil
	}
	if size > min(uint64(o.bytes()), m.max) {
		a.refusedSys.Add(1)
		return failure(galloc.ErrSystem, size)
	}
	more := int64(size - o.size)
	if !a.charge(more) {
		a.refusedLimit.Add(1)
		return failure(galloc.ErrLimit, size)
	}
	page := vm.PageSize()
	if to := (uintptr(size) + page - 1) &^ (page - 1); to > o.committed {
		// SAFETY: to <= bytes(), which is a multiple of the page size.
		if err := vm.Commit(unsafe.Add(o.base, o.committed), to-o.committed); err != nil {
			a.size.Add(-more)
			a.refusedSys.Add(1)
			return failure(galloc.ErrSystem, size)
		}
		o.committed = to
	}
	o.size = size
	a.grows.Add(1)
	return nil
}

// charge adds n bytes to the size, and reports whether the limit permits them.
func (a *Allocator) charge(n int64) bool {
	for {
		old, limit := a.size.Load(), a.limit.Load()
		size := old + n
		if limit != 0 && uint64(size) > limit {
			return false
		}
		if !a.size.CompareAndSwap(old, size) {
			continue
		}
		for {
			peak := a.peak.Load()
			if size <= peak || a.peak.CompareAndSwap(peak, size) {
				return true
			}
		}
	}
}

// Free returns the memory to the system. It panics if it is called twice.
func (m *memory) Free() {
	if m.owned.freed {
		panic("galloc/adapters/wazero: Free of a memory that is freed")
	}
	m.cleanup.Stop()
	m.owned.free(m.a)
}

// free ends the memory of o.
func (o *owned) free(a *Allocator) {
	o.freed = true
	a.memories.Add(-1)
	a.size.Add(-int64(o.size))
	a.reserved.Add(-int64(o.bytes()))
	o.retire(o.committed)
}

// Catch calls f and returns the error with which an Allocator has panicked in it, because there was
// no memory for a module to begin. Other panics pass through.
func Catch(f func() error) (err error) {
	defer func() {
		v := recover()
		e, _ := v.(error)
		var failed *galloc.AllocError
		switch {
		case v == nil:
		case errors.As(e, &failed):
			err = e
		default:
			panic(v)
		}
	}()
	return f()
}

// failure returns an error for a memory of size bytes.
func failure(reason *galloc.AllocError, size uint64) error {
	if size <= math.MaxInt {
		if l, err := galloc.NewLayout(uintptr(size), 1); err == nil {
			return reason.For(l)
		}
	}
	return fmt.Errorf("galloc/adapters/wazero: %d bytes: %w", size, reason)
}
