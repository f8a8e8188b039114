package vm

import (
	"strconv"
	"sync/atomic"
)

// An Op is an operation that the operating system can refuse, as [Inject] names it.
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
)

var opNames = [...]string{"Reserve", "Commit", "Purge", "PurgeLazy", "Move", "Release", "Guard", "Unguard"}

// String returns the name of the function.
func (op Op) String() string {
	if int(op) < len(opNames) {
		return opNames[op]
	}
	return "Op(" + strconv.Itoa(int(op)) + ")"
}

// injected is what Inject has set, or nil.
var injected atomic.Pointer[func(Op, uintptr) error]

// Inject makes operations fail, for the tests of what is built on this package. From now on f is asked before each operation of
// the whole process, after the check for misuse, with the size in bytes rounded up to whole pages; a request that is refused
// with [ErrTooLarge] is no operation. If f returns an error, the operation returns that error in place of being done, and the
// pages are in the state that a refusal by the operating system leaves:
//
//   - Reserve, Commit, PurgeLazy, Release, Guard and Unguard have changed nothing.
//   - Purge has taken the pages to Reserved, on every system, Linux too: the memory is gone, and an access before the next Commit
//     crashes the program, unless the pages are Go memory.
//   - Move has changed nothing at from. It leaves the contents at to as they were, of which its callers are promised nothing.
//
// If f returns nil, the operation is done. A nil f asks nobody. f is called in the goroutine that wants the operation, by
// several at the same time; it may call this package, and is then asked about that as well.
//
// restore puts back what was set when Inject was called, so calls may nest: the last to inject is the first to restore. An
// operation that began before Inject or restore may still ask the f of that time. Without Inject, the price is a load for each
// system call.
func Inject(f func(op Op, n uintptr) error) (restore func()) {
	next := &f
	if f == nil {
		next = nil
	}
	last := injected.Swap(next)
	return func() { injected.Store(last) }
}

// fault returns the error that the operation shall return in place of being done, or nil.
func fault(op Op, n uintptr) error {
	if f := injected.Load(); f != nil {
		return (*f)(op, n)
	}
	return nil
}
