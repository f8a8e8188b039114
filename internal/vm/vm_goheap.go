//go:build race || !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows)

// Pages from the Go heap, for the race detector and for systems without virtual memory. See vm.go
// for the states.
//
//	None      not allocated, or garbage
//	Reserved  part of a byte slice in the table, zero
//	Ready     the same
//
// Reserved and Ready pages do not differ, so an access before Commit goes unnoticed. The garbage
// collector does not scan a byte slice: pointers stored in these pages keep nothing alive, as with
// pages of the operating system.

package vm

import (
	"errors"
	"math/bits"
	"runtime"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/block"
)

const goMemory = true

// A request that the Go heap cannot meet ends the program, so larger requests than these are
// refused. Where addresses are short (WebAssembly has a 64-bit uintptr and a 32-bit memory) the sum
// of all reservations is limited, too.
const (
	short     = bits.UintSize == 32 || runtime.GOARCH == "wasm"
	shortEach = 256 << 20
	shortSum  = 1 << 30
	longEach  = 1 << 30
)

var (
	errLimit = errors.New("vm: larger than a reservation in Go memory may be")
	errPart  = errors.New("vm: Release of a part of a reservation: Go memory is released as a whole")
)

// table holds the reservations.
//
//	sum == Σ len(memory) over blocks
var table struct {
	mu     sync.Mutex
	blocks map[unsafe.Pointer]reservation // by the address that Reserve returned
	sum    uintptr                        // bytes
}

// A reservation is one byte slice.
type reservation struct {
	memory []byte  // keeps the Go memory alive
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
	// SAFETY: the offset is less than align, so the n bytes from there lie in memory. Go's heap
	// does not move.
	p := unsafe.Pointer(&memory[-uintptr(unsafe.Pointer(&memory[0]))&(align-1)])
	if table.blocks == nil {
		table.blocks = make(map[unsafe.Pointer]reservation)
	}
	table.blocks[p] = reservation{memory, n}
	table.sum += size
	return p, nil
}

func commit(unsafe.Pointer, uintptr) error {
	return nil // Reserved pages read zero already
}

func purge(p unsafe.Pointer, n uintptr) error {
	block.Clear(p, n)
	return nil
}

func purgeLazy(unsafe.Pointer, uintptr) error {
	return nil // the contents stay
}

// decommit takes pages from Ready to Reserved, where they read zero.
func decommit(p unsafe.Pointer, n uintptr) error {
	return purge(p, n)
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
