package galloc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/libc"
)

// The kinds of failure, for [errors.Is]. Allocators return them as they are, or with the
// Layout concerned: see [AllocError.For].
var (
	// ErrOutOfMemory: the memory is not to be had now: a limit is reached, or the
	// allocator or the system has no more.
	ErrOutOfMemory = &AllocError{reason: "out of memory", recent: new(recentErrors)}
	// ErrUnsupported: this allocator never gives blocks of such a size or alignment.
	ErrUnsupported = &AllocError{reason: "size or alignment not supported by this allocator", recent: new(recentErrors)}
	// ErrPointers: the type has Go pointers in it, and the memory is not scanned by the
	// garbage collector, so that what they point to could be freed under them.
	ErrPointers = &AllocError{reason: "the type contains Go pointers", recent: new(recentErrors)}
)

// recentErrors is what a sentinel has been made into lately, each in the slot given by its
// Layout.
type recentErrors [64]atomic.Pointer[AllocError]

// AllocError says that memory could not be had, and which. Errors of this type are
// immutable.
type AllocError struct {
	reason string
	layout Layout
	cause  error         // what For was called on; nil in the sentinels
	recent *recentErrors // in the sentinels
}

// Layout returns what was asked for, or the zero Layout if the error does not say.
func (e *AllocError) Layout() Layout { return e.layout }

// Error returns the reason, with the Layout if there is one.
func (e *AllocError) Error() string {
	if e.layout == (Layout{}) {
		return "galloc: " + e.reason
	}
	return fmt.Sprintf("galloc: memory allocation of %d bytes (align %d) failed: %s", e.layout.size, e.layout.Align(), e.reason)
}

// Unwrap returns the sentinel, or the error of a foreign allocator, behind e.
func (e *AllocError) Unwrap() error { return e.cause }

// For returns e with the Layout that could not be had, such that [errors.Is] still finds
// e. It allocates 64 bytes on the Go heap, but not for a Layout that has failed lately: the
// sentinels keep up to 64 of the errors made of them.
func (e *AllocError) For(l Layout) *AllocError {
	if e.recent == nil {
		return &AllocError{reason: e.reason, layout: l, cause: e}
	}
	slot := &e.recent[(uint64(l.size)*0x9e3779b97f4a7c15>>58)^uint64(l.lg)]
	if r := slot.Load(); r != nil && r.layout == l {
		return r
	}
	r := &AllocError{reason: e.reason, layout: l, cause: e}
	slot.Store(r)
	return r
}

// forLayout returns err, which an Allocator has returned, as an AllocError with a Layout.
func forLayout(err error, l Layout) error {
	switch e := err.(type) {
	case *LayoutError:
		return e
	case *AllocError:
		if e.cause != nil {
			return e
		}
		return e.For(l)
	}
	return &AllocError{reason: err.Error(), layout: l, cause: err}
}

// Must returns v if err is nil. Otherwise it does not return: it calls
// [HandleAllocError] with the Layout in err, as the functions New, MakeSlice, GrowSlice and
// NewBox put it there, and it panics with err if that is the caller's bug (a *LayoutError,
// ErrPointers), or does not say a Layout. It is for programs that would not know what else
// to do, as in
//
//	p := galloc.Must(galloc.New[node](a))
func Must[T any](v T, err error) T {
	if err != nil {
		fail(err)
	}
	return v
}

func fail(err error) {
	var a *AllocError
	if errors.As(err, &a) && a.layout != (Layout{}) && !errors.Is(err, ErrPointers) {
		HandleAllocError(a.layout)
	}
	panic(err)
}

// HandleAllocError ends what cannot go on without a block of layout l. It calls the hook
// set by [SetAllocErrorHook]; should that return, the process is aborted (SIGABRT on
// Unix). It never returns, but panics if the hook does.
//
// With no hook set, it writes "memory allocation of N bytes failed" to standard error, on
// a line of its own, with N for the size; then the function that has failed, by name and
// file:line; then the goroutine's stack, unless the environment has GOTRACEBACK=none.
func HandleAllocError(l Layout) {
	if hook := allocErrorHook.Load(); hook != nil {
		(*hook)(l)
	} else {
		printAllocError(l)
	}
	libc.Abort()
}

// SetAllocErrorHook sets the function that [HandleAllocError] calls, in place of the one
// set before. It runs on the goroutine whose allocation has failed, and may be called by
// several at once. It may log, exit, or panic: so a program chooses to unwind rather than
// to abort by a hook that panics, with ErrOutOfMemory.For(l) for example. If it returns,
// the process is aborted. It stays set while it runs; if it fails to allocate and
// calls HandleAllocError, that calls it again. A nil hook stands for the default.
func SetAllocErrorHook(hook func(Layout)) {
	if hook == nil {
		allocErrorHook.Store(nil)
	} else {
		allocErrorHook.Store(&hook)
	}
}

// TakeAllocErrorHook returns the hook, or the default one if none is set, and sets the
// default in its place.
func TakeAllocErrorHook() func(Layout) {
	if hook := allocErrorHook.Swap(nil); hook != nil {
		return *hook
	}
	return printAllocError
}

var allocErrorHook atomic.Pointer[func(Layout)]

// printAllocError is the default hook. What it needs for its first line is allocated
// beforehand, since memory is short; the rest may come or not.
func printAllocError(l Layout) {
	printing.Lock()
	defer printing.Unlock()
	b := append(printing.buf[:0], "memory allocation of "...)
	b = strconv.AppendUint(b, uint64(l.size), 10)
	b = append(b, " bytes failed\n"...)
	_, _ = os.Stderr.Write(b)

	f := failedFrame()
	fmt.Fprintf(os.Stderr, "\tin %s at %s:%d\n", f.Function, f.File, f.Line)
	if t := os.Getenv("GOTRACEBACK"); t != "none" && t != "0" {
		fmt.Fprintf(os.Stderr, "\n%s", printing.buf[:runtime.Stack(printing.buf[:], false)])
	}
}

// failedFrame returns the nearest caller of HandleAllocError outside of this package: not the
// hook that has called the default one, if there is such a hook.
func failedFrame() runtime.Frame {
	frames := callers()
	for i, f := range frames {
		if f.Function == packagePath+".HandleAllocError" {
			return outside(frames[i:])
		}
	}
	return outside(frames)
}

var printing struct {
	sync.Mutex
	buf [16 << 10]byte
}
