//go:build race || !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows)

// Pages out of the Go heap, for the race detector and for systems without pages of their own. See vm.go for the states.
//
//	None      not allocated, or garbage
//	Reserved  part of a byte slice in the table, zero
//	Ready     the same
//
// Nothing but the table tells Reserved from Ready, so an access too early passes unseen. The garbage collector does not look
// into a byte slice: what is stored in these pages keeps nothing alive, as with pages of the operating system.

package vm

import (
	"errors"
	"math/bits"
	"runtime"
	"sync"
	"unsafe"
)

const goMemory = true

// A request that the Go heap cannot meet ends the program, so larger ones than these are refused. Where addresses are short
// (WebAssembly has a 64-bit uintptr and a 32-bit memory) the sum of all reservations is bounded as well.
const (
	short     = bits.UintSize == 32 || runtime.GOARCH == "wasm"
	shortEach = 256 << 20
	shortSum  = 1 << 30
	longEach  = 1 << 30
)

var (
	errLimit = errors.New("more than the Go heap port gives")
	errPart  = errors.New("not a whole reservation")
)

// table holds the reservations.
//
//	sum == Σ len(memory) over blocks
var table struct {
	mu     sync.Mutex
	blocks map[unsafe.Pointer]block // by the address that Reserve returned
	sum    uintptr                  // bytes
}

// A block is one reservation.
type block struct {
	memory []byte  // what keeps it alive
	n      uintptr // bytes reserved: memory without the padding for alignment
}

func reserve(n, align uintptr) (unsafe.Pointer, error) {
	size := n + align - 1 // overflow is excluded by Reserve
	table.mu.Lock()
	defer table.mu.Unlock()
	if short && (size > shortEach || size > shortSum-table.sum) || size > longEach {
		return nil, errLimit
	}
	memory := make([]byte, size)
	// SAFETY: the offset is below align, so the n bytes from there lie in memory. Go's heap does not move.
	p := unsafe.Pointer(&memory[-uintptr(unsafe.Pointer(&memory[0]))&(align-1)])
	if table.blocks == nil {
		table.blocks = make(map[unsafe.Pointer]block)
	}
	table.blocks[p] = block{memory, n}
	table.sum += size
	return p, nil
}

func commit(unsafe.Pointer, uintptr) error {
	return nil // Reserved pages read zero already, since no other transition leads there.
}

func purge(p unsafe.Pointer, n uintptr) error {
	// SAFETY: the n bytes at p belong to a reservation, and through it to one byte slice.
	clear(unsafe.Slice((*byte)(p), n))
	return nil
}

func purgeLazy(unsafe.Pointer, uintptr) error {
	return nil // The system has taken nothing yet, and never will.
}

// decommit takes pages from Ready to Reserved, where they read zero.
func decommit(p unsafe.Pointer, n uintptr) {
	_ = purge(p, n)
}

func move(_, _ unsafe.Pointer, _ uintptr) error {
	return ErrNoMove
}

func guard(unsafe.Pointer, uintptr) error { return ErrNoGuard }

func unguard(p unsafe.Pointer, n uintptr) error { return purge(p, n) }

func advise(unsafe.Pointer, uintptr, bool) {}

func hugePageSize() uintptr {
	return 0
}

func release(p unsafe.Pointer, n uintptr) error {
	table.mu.Lock()
	defer table.mu.Unlock()
	b, ok := table.blocks[p]
	if !ok || b.n != n {
		return errPart
	}
	delete(table.blocks, p)
	table.sum -= uintptr(len(b.memory))
	return nil
}
