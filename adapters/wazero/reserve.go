package wazero

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc/internal/vm"
)

const (
	minReserve = 64 << 10 // a page of WebAssembly; no OS page is larger
	guardSize  = 64 << 10 // address space after the end of a reservation
	maxReserve = 1 << (bits.UintSize - 2)

	// shortAddresses is set where a reservation costs more than a few mappings.
	shortAddresses = bits.UintSize == 32 || vm.GoMemory
)

// defaultReserve is the default of Options.Reserve.
func defaultReserve() uint64 {
	if shortAddresses {
		return 64 << 20
	}
	return 4 << 30
}

// A reservation is the address space of one memory: 1<<log bytes and guardSize more, all Reserved
// in the sense of package vm. Its base is nil if there is none.
type reservation struct {
	base unsafe.Pointer
	log  uint8
}

func (r reservation) bytes() uintptr {
	if r.base == nil {
		return 0
	}
	return 1 << r.log
}

// spares are the reservations of freed memories, without memory, by their log. They are not
// returned to the system, which could use them for the Go heap: a stale pointer into them would
// then crash the program in the garbage collector.
var spares struct {
	mu    sync.Mutex
	bases [bits.UintSize][]unsafe.Pointer
}

// reserve returns a reservation of at least n bytes, or as much as the system grants. If n is 0, or
// it grants nothing, the base is nil.
func reserve(n uint64) (r reservation) {
	if n == 0 {
		return r
	}
	n = min(max(n, minReserve), maxReserve)
	for r.log = uint8(bits.Len64(n - 1)); r.base == nil && 1<<r.log >= minReserve; r.log-- {
		if r.base = spare(r.log); r.base == nil {
			align := min(1<<r.log, max(vm.HugePageSize(), minReserve))
			r.base, _ = vm.Reserve(1<<r.log+guardSize, align)
		}
		if r.base != nil {
			return r
		}
	}
	return reservation{}
}

func spare(log uint8) unsafe.Pointer {
	spares.mu.Lock()
	defer spares.mu.Unlock()
	s := spares.bases[log]
	if len(s) == 0 {
		return nil
	}
	spares.bases[log] = s[:len(s)-1]
	return s[len(s)-1]
}

// retire releases the memory of r, whose first committed bytes are Ready, and keeps the address
// space.
func (r reservation) retire(committed uintptr) {
	if r.base == nil {
		return
	}
	// In the port of Go memory the garbage collector frees it, when no pointer leads to it.
	if vm.GoMemory || committed != 0 && vm.Decommit(r.base, committed) != nil {
		_ = vm.Release(r.base, 1<<r.log+guardSize)
		return
	}
	spares.mu.Lock()
	defer spares.mu.Unlock()
	spares.bases[r.log] = append(spares.bases[r.log], r.base)
}
