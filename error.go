package galloc

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/caller"
	"github.com/galloc-go/galloc/internal/libc"
)

// The kinds of failure, for [errors.Is]. Allocators return them as they are, or with a Layout: see
// [AllocError.For]. ErrUnsupported and ErrPointers are an [errors.ErrUnsupported] too.
var (
	// ErrOutOfMemory: no memory is available now. A limit is reached, or the system has no more.
	// ErrLimit and ErrSystem are ErrOutOfMemory too, and say which.
	ErrOutOfMemory = &AllocError{reason: "out of memory", recent: new(recentErrors)}
	// ErrLimit: a limit that the program has set would be exceeded, or the fixed region of an
	// allocator is full.
	ErrLimit = &AllocError{reason: "out of memory: a limit is reached", kind: ErrOutOfMemory, recent: new(recentErrors)}
	// ErrSystem: the operating system refused memory or address space.
	ErrSystem = &AllocError{reason: "out of memory: the system refused", kind: ErrOutOfMemory, recent: new(recentErrors)}
	// ErrUnsupported: this allocator has no blocks of such a size or alignment, at any time.
	ErrUnsupported = &AllocError{reason: "size or alignment not supported by this allocator", recent: new(recentErrors)}
	// ErrPointers: the type contains Go pointers, and the garbage collector does not scan the
	// memory. It could free what they point to.
	ErrPointers = &AllocError{reason: "the type contains Go pointers", recent: new(recentErrors)}
)

// recentErrors are errors that For has made of a sentinel, each in the slot of its Layout.
type recentErrors [64]atomic.Pointer[AllocError]

// AllocError is the error of an allocation that failed. It is immutable.
type AllocError struct {
	reason string
	layout Layout
	cause  error         // the error that For was called on; nil in the sentinels
	kind   *AllocError   // ErrOutOfMemory or ErrUnsupported, unless cause says it
	recent *recentErrors // in the sentinels
}

// Layout returns the Layout that was requested, or the zero Layout if the error has none.
func (e *AllocError) Layout() Layout { return e.layout }

// Error returns the reason, and the Layout if the error has one.
func (e *AllocError) Error() string {
	if e.layout == (Layout{}) {
		return "galloc: " + e.reason
	}
	return fmt.Sprintf("galloc: memory allocation of %d bytes (align %d) failed: %s",
		e.layout.size, e.layout.Align(), e.reason)
}

// Unwrap returns the cause of e: a sentinel, or the error of another allocator.
func (e *AllocError) Unwrap() error { return e.cause }

// Is reports whether target is [errors.ErrUnsupported] and e is ErrUnsupported or ErrPointers, or
// whether target is the kind of e. An allocator may return an error that is not, and does not wrap,
// an AllocError. The kind is ErrUnsupported if that is an [errors.ErrUnsupported], and otherwise
// ErrOutOfMemory.
func (e *AllocError) Is(target error) bool {
	if target == errors.ErrUnsupported {
		return e == ErrUnsupported || e == ErrPointers
	}
	return e.kind != nil && target == e.kind
}

// For returns an error with Layout l that wraps e. It allocates 64 bytes on the Go heap, unless l
// has failed recently: each sentinel caches up to 64 errors.
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

// forLayout returns err, the error of an Allocator, as an AllocError with a Layout.
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
	e := &AllocError{reason: err.Error(), layout: l, cause: err}
	if known := (*AllocError)(nil); !errors.As(err, &known) {
		e.kind = ErrOutOfMemory
		if errors.Is(err, errors.ErrUnsupported) {
			e.kind = ErrUnsupported
		}
	}
	return e
}

// Must returns v if err is nil, and panics with err otherwise, as in
//
//	p := galloc.Must(galloc.New[node](a))
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// HandleAllocError does not return: it ends the program, which cannot go on without a block of
// layout l. It calls the hook set by [SetAllocErrorHook]. If the hook returns, the process is
// aborted (SIGABRT on Unix); if the hook panics, so does HandleAllocError. The methods of package
// collections that allocate and return no error call it.
//
// With no hook set, it writes to standard error: "memory allocation of N bytes failed", on its own
// line; the function that failed and its file:line; and the stack of the goroutine, unless the
// environment has GOTRACEBACK=none.
func HandleAllocError(l Layout) {
	if hook := allocErrorHook.Load(); hook != nil {
		(*hook)(l)
	} else {
		printAllocError(l)
	}
	libc.Abort()
}

// SetAllocErrorHook sets the function that [HandleAllocError] calls, and returns the previous one.
// A nil hook is the default.
//
// The hook runs on the goroutine whose allocation failed, several at once if need be. It may log,
// exit, or panic, for example with ErrOutOfMemory.For(l): so a program unwinds instead of aborting.
// If it returns, the process is aborted. It stays set while it runs; if it calls HandleAllocError,
// that calls it again.
func SetAllocErrorHook(hook func(Layout)) (previous func(Layout)) {
	var old *func(Layout)
	if hook == nil {
		old = allocErrorHook.Swap(nil)
	} else {
		old = allocErrorHook.Swap(&hook)
	}
	if old == nil {
		return printAllocError
	}
	return *old
}

var allocErrorHook atomic.Pointer[func(Layout)]

// printAllocError is the default hook. Memory is short, so the buffer of the first line is
// allocated beforehand; the rest may fail.
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

// failedFrame returns the nearest caller of HandleAllocError outside of galloc. If another hook has
// called the default one, that hook is not meant.
func failedFrame() runtime.Frame {
	frames := caller.Frames()
	for i, f := range frames {
		if f.Function == packagePath+".HandleAllocError" {
			return caller.First(frames[i:])
		}
	}
	return caller.First(frames)
}

var printing struct {
	sync.Mutex
	buf [16 << 10]byte
}
