// Package percpu provides access to data of the current P, without atomics and without locks.
//
// The Go runtime runs goroutines on Ps (processors, GOMAXPROCS of them), each with a number. Data
// of a P belongs to the goroutine that runs on that P, as long as the goroutine cannot be stopped:
// while the runtime can neither preempt it nor stop the world. During that time the goroutine must
// not panic, block, allocate Go memory, make a system call, or run for longer than a microsecond.
// There are two ways to get there.
//
// Slow paths pin. [Pin] keeps the goroutine on its P until [Unpin], and returns the number of the
// P. Both are functions that the runtime keeps for other packages; sync.Pool uses them in the same
// way.
//
// Fast paths cannot afford that: Pin and Unpin each change a counter in memory, and four of these
// in a row make up most of a pair of Alloc and Free. They use a section. The runtime stops a
// goroutine only at certain places: where a function checks whether it needs more stack, and at the
// instructions that the compiler has marked as safe points. A function marked go:nosplit has
// neither. (The compiler's liveness analysis says so, and the runtime's own code relies on it.) So
// code in a go:nosplit function, from a call of [ID] to the next call that is not inlined, is as
// good as pinned. Such code is called a section. The function must not be inlined into one that is
// not marked: mark it go:noinline too.
//
// A writer that wants data of another P takes it out of the place where its P finds it, and then
// waits for a grace period, [Grace]: until every section that had begun, and every pin, has ended.
// From then on the data belongs to the writer. (In the words of RCU, a section is a read-side
// critical section.)
//
// [Table] does all this for one value for each P. The caches of the heap (internal/engine) have
// their own tables.
//
// The race detector does not know that sections and pins order accesses. In race builds [Limit] is
// 0, so that no section trusts the number of the P, and a [RaceLock] guards the data.
package percpu

import (
	"runtime"
	"unsafe"
)

// MaxProcs is the number of Ps that can have data: P 0 to P MaxProcs-1. Callers treat all others as
// Ps without data.
const MaxProcs = 1024

// Pin pins the goroutine to its P until Unpin, and returns the number of the P.
func Pin() int { return procPin() }

// Unpin ends what the last Pin began.
func Unpin() { procUnpin() }

// Current returns the number of the P that the caller was on a moment ago.
func Current() int {
	p := procPin()
	procUnpin()
	return p
}

// ID returns the number of the P, in a section. Where Limit is 0, it returns any number; 0 in race
// builds and with an unknown version of Go.
//
//go:nosplit
func ID() uint32 {
	if Race || !known {
		return 0
	}
	// SAFETY: findP has seen that there is a pointer to the P at that offset in the runtime's m,
	// which getm returns. If findP has failed, the offset is 0, and m begins with a pointer (to g0)
	// to more than 4 bytes.
	return **(**uint32)(unsafe.Add(getm(), offsetOfP))
}

// Limit returns MaxProcs if ID returns the number of the P in a section. It returns 0 where that is
// not so: on architectures that this package does not know, with a runtime whose code it does not
// recognize, and in race builds. Then there are no sections, and callers must pin or lock.
//
//go:nosplit
func Limit() uint32 { return idLimit }

// OffsetOfP returns the offset of the pointer to the P in the runtime's m, whose first field is the
// number of the P, or 0 if Limit is 0. It is for code in assembly.
func OffsetOfP() uintptr { return offsetOfP }

// Grace returns after every section and every pin has ended that had begun when Grace was called.
// It stops the world for some 10 µs. In race builds it returns at once, since a [RaceLock] serves
// instead.
func Grace() {
	if !Race {
		// For all goroutines Stack stops the world, and with an empty buffer it does nothing else.
		runtime.Stack(nil, true)
	}
}

// offsetOfP and idLimit are what OffsetOfP and Limit return.
var offsetOfP, idLimit = func() (uintptr, uint32) {
	if Race {
		return 0, 0
	}
	if offset := findP(codeOf(procPin)); offset != 0 {
		return offset, MaxProcs
	}
	return 0, 0
}()

// codeOf returns the machine code of f, which must be at least that long.
func codeOf(f func() int) *[32]byte {
	// SAFETY: a function value is a pointer to a variable that begins with the address of the code.
	return **(***[32]byte)(unsafe.Pointer(&f))
}

//go:linkname procPin runtime.procPin
func procPin() int

//go:linkname procUnpin runtime.procUnpin
func procUnpin()

//go:linkname getm runtime.getm
func getm() unsafe.Pointer
