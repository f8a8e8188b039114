package vm

import (
	"strconv"
	"sync/atomic"
)

// An Op is an operation that the operating system can refuse, for [Inject].
type Op uint8

// The operations, each named after its function.
const (
	OpReserve Op = iota
	OpCommit
	OpPurge
	OpPurgeLazy
	OpMove
	OpRelease
	OpGuard
	OpUnguard
	OpDecommit
)

var opNames = [...]string{"Reserve", "Commit", "Purge", "PurgeLazy", "Move", "Release", "Guard", "Unguard", "Decommit"}

// String returns the name of the function.
func (op Op) String() string {
	if int(op) < len(opNames) {
		return opNames[op]
	}
	return "Op(" + strconv.Itoa(int(op)) + ")"
}

// injected is the function that Inject has set, or nil.
var injected atomic.Pointer[func(Op, uintptr) error]

// Inject makes operations fail, for tests of packages that use this one. From now on f is called
// before each operation of the whole process, after the check for misuse, with the size in bytes
// rounded up to whole pages; a request that is refused with [ErrTooLarge] is no operation. If f
// returns an error, the operation is not performed but returns that error, and the pages are in the
// state that a refusal by the operating system leaves:
//
//   - Reserve, Commit, PurgeLazy, Release, Guard, Unguard and Decommit have changed nothing.
//   - Purge has taken the pages to Reserved, on every system including Linux: the memory is
//     released, and an access before the next Commit crashes the program, unless the pages are Go
//     memory.
//   - Move has changed nothing at from, nor at to (which Move does not promise).
//
// If f returns nil, the operation is performed. If f is nil, all are. f is called in the goroutine
// that calls the operation, by several at the same time; it may call this package, and is then
// called for that operation too.
//
// restore restores the function that was set when Inject was called, so calls may nest: the last to
// inject is the first to restore. An operation that began before Inject or restore may still call
// the earlier f. Without Inject, the price is a load for each system call.
func Inject(f func(op Op, n uintptr) error) (restore func()) {
	next := &f
	if f == nil {
		next = nil
	}
	last := injected.Swap(next)
	return func() { injected.Store(last) }
}

// fault returns the injected error that the operation must return, or nil.
func fault(op Op, n uintptr) error {
	if f := injected.Load(); f != nil {
		return (*f)(op, n)
	}
	return nil
}
