package galloc

import (
	"fmt"
	"runtime"
	rtdebug "runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/engine"
)

// GlobalAlloc is an allocator that can be registered as the global one. It is the
// minimum: two methods; see [GlobalAllocZeroed] and [GlobalRealloc] for what it may
// do better than the defaults, and [AsAllocator] to use it where an [Allocator] is
// wanted.
//
// Both methods may be called from any goroutine at any time. They must not panic,
// and must not use the global allocator, directly or through [Global]: that would
// call them again. They are never called with a size of 0. They should not allocate
// on the Go heap, so as to be usable where that would be wrong or slow.
//
// A block is currently allocated from the time a method returns it until it is
// passed to Dealloc, or to a Realloc that does not return nil. While it is, the
// allocator must not touch its bytes, and no other block may overlap it.
type GlobalAlloc interface {
	// Alloc returns a block of l.Size() bytes at a multiple of l.Align(), or nil
	// if memory is exhausted or l is not supported. Its content is undefined. The
	// caller owns it until it is deallocated.
	Alloc(l Layout) unsafe.Pointer

	// Dealloc takes back the block at p, which must be currently allocated by this
	// allocator with exactly the layout l. It cannot fail.
	Dealloc(p unsafe.Pointer, l Layout)
}

// GlobalAllocZeroed is a GlobalAlloc that can do better than allocate and clear,
// for example because fresh memory is known to be zero.
type GlobalAllocZeroed interface {
	GlobalAlloc
	// AllocZeroed is Alloc with all l.Size() bytes zero.
	AllocZeroed(l Layout) unsafe.Pointer
}

// GlobalRealloc is a GlobalAlloc that can do better than allocate, copy and
// deallocate, for example because it can grow some blocks where they are.
type GlobalRealloc interface {
	GlobalAlloc
	// Realloc makes the block at p, currently allocated with layout l, newSize
	// bytes large, keeping the alignment and the first min(l.Size(), newSize)
	// bytes. newSize is not 0 and is valid with l.Align(). The returned block
	// replaces the old one, which is deallocated even if the address is the same.
	// If Realloc returns nil, the old block is still allocated, and untouched.
	Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer
}

// DefaultAllocZeroed is AllocZeroed for an allocator without that method: Alloc,
// then clear.
func DefaultAllocZeroed(a GlobalAlloc, l Layout) unsafe.Pointer {
	p := a.Alloc(l)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), l.size))
	}
	return p
}

// DefaultRealloc is Realloc for an allocator without that method: Alloc, copy,
// Dealloc.
func DefaultRealloc(a GlobalAlloc, p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	q := a.Alloc(newLayout(newSize, l.lg))
	if q != nil {
		copyBytes(q, p, min(l.size, newSize))
		a.Dealloc(p, l)
	}
	return q
}

// Alloc allocates a block of l.Size() bytes at a multiple of l.Align() from the
// global allocator. It returns nil if that fails: the caller decides what to do,
// see [HandleAllocError]. The content is undefined. A size of 0 never fails and
// allocates nothing: the result is l.Dangling(). Safe for concurrent use, as are
// the three functions below; together they are to the global allocator what
// malloc, calloc, realloc and free are to C.
//
// The block must be given back by [Dealloc] or [Realloc], and not by a method of
// the registered allocator.
func Alloc(l Layout) unsafe.Pointer { return engine.FastAlloc(l.size, l.lg, l.class) }

func init() { engine.Slow(allocSlow, deallocSlow) }

// allocSlow is Alloc of Layout{size, lg, class} where the cache of the heap in force has no block, and where no heap is in force.
func allocSlow(size uintptr, lg, class uint32) unsafe.Pointer {
	l := Layout{size, lg, class}
	if size == 0 {
		return l.Dangling()
	}
	switch r := current(); {
	case r.heap != nil:
		return r.heap.AllocSlow(size, l.Align())
	case r.system:
		return platform{}.Alloc(l)
	default:
		return r.alloc.Alloc(l)
	}
}

// AllocZeroed is Alloc with all bytes of the block zero.
func AllocZeroed(l Layout) unsafe.Pointer {
	if l.size == 0 {
		return l.Dangling()
	}
	r := current()
	switch {
	case r.heap == nil && (r.sampled == nil || l.class == 0):
		return r.zeroed.AllocZeroed(l)
	case l.class == 0:
		return r.heap.AllocZeroed(l.size, l.Align())
	}
	p := Alloc(l)
	if p != nil {
		clear(unsafe.Slice((*byte)(p), l.size))
	}
	return p
}

// Realloc changes the size of the block at p, which must be currently allocated
// by the global allocator with layout l, to newSize bytes, and returns where it
// now is. The alignment and the first min(l.Size(), newSize) bytes are kept; bytes
// beyond l.Size() are undefined. The new layout is (newSize, l.Align()), and p is
// invalidated even if the block did not move.
//
// If memory is exhausted, or if newSize is too large for any Layout, Realloc
// returns nil, and the block stays as and where it was. Growing from size 0
// allocates; shrinking to size 0 deallocates.
func Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	if newSize > maxSize(l.Align()) {
		return nil
	}
	n := newLayout(newSize, l.lg)
	switch {
	case l.size == 0:
		deallocZero(p, l.Align())
		return Alloc(n)
	case newSize == 0:
		Dealloc(p, l)
		return n.Dangling()
	}
	r := current()
	switch {
	case r.heap == nil && (r.sampled == nil || !r.sampled.d.Passes(p) || n.class == 0):
		return r.realloc.Realloc(p, l, newSize)
	case l.class == n.class && l.class != 0:
		return p
	case l.class == n.class:
		return r.heap.Realloc(p, l.size, l.Align(), newSize)
	}
	q := Alloc(n)
	if q != nil {
		copyBytes(q, p, min(l.size, newSize))
		Dealloc(p, l)
	}
	return q
}

// Dealloc gives the block at p back to the global allocator. It must be currently
// allocated by it with exactly the layout l: the same size and the same alignment. It
// cannot fail. With a size of 0, Dealloc does nothing, whatever p is.
func Dealloc(p unsafe.Pointer, l Layout) { engine.FastFree(p, l.size, l.lg, l.class) }

// deallocSlow is Dealloc of Layout{size, lg, class} where the cache of the heap in force has no room, and where no heap is in force.
func deallocSlow(p unsafe.Pointer, size uintptr, lg, class uint32) {
	l := Layout{size, lg, class}
	if size == 0 {
		deallocZero(p, l.Align())
		return
	}
	switch r := current(); {
	case r.heap != nil:
		r.heap.FreeSlow(p, size, l.Align())
	case r.system:
		platform{}.Dealloc(p, l)
	default:
		r.alloc.Dealloc(p, l)
	}
}

// deallocZero is the end of a block of size 0 at p: nothing, but where mistakes are looked for.
func deallocZero(p unsafe.Pointer, align uintptr) {
	if r := inForce.Load(); r != nil && r.debugger != nil {
		r.debugger.FreeZero(p, align)
	}
}

// Global is the global allocator as a value: a [GlobalAlloc] with AllocZeroed and
// Realloc whose methods are the functions of the same names, and an [Allocator] with
// AllocateZeroed, Grow, GrowZeroed and Shrink on top of them. Blocks may go both
// ways. Which allocator is behind it is settled by [RegisterGlobal], or by the first
// use; see [GlobalName]. Safe for concurrent use.
var Global global

var (
	_ fullGlobal      = Global
	_ ZeroedAllocator = Global
	_ Grower          = Global
	_ Shrinker        = Global
)

type global struct {
	freeFunctions
	face[freeFunctions]
}

func (global) String() string { return "galloc.Global" }

// freeFunctions is the four functions as methods.
type freeFunctions struct{}

func (freeFunctions) Alloc(l Layout) unsafe.Pointer       { return Alloc(l) }
func (freeFunctions) AllocZeroed(l Layout) unsafe.Pointer { return AllocZeroed(l) }
func (freeFunctions) Dealloc(p unsafe.Pointer, l Layout)  { Dealloc(p, l) }
func (freeFunctions) Realloc(p unsafe.Pointer, l Layout, newSize uintptr) unsafe.Pointer {
	return Realloc(p, l, newSize)
}

// A registration is an allocator in force as the global one. It is immutable. Whatever has chosen it, it is made by newRegistration: what
// is to be put around every global allocator belongs there.
type registration struct {
	resolved
	heap      *engine.Heap    // if it is a heap, which is called without the detour over an interface
	sampled   *sampledHeap    // if it is a heap that is sampled
	system    bool            // it is System, and so is that
	debugger  *debug.Debugger // what looks after its blocks, if anything does
	why       string          // for GlobalName
	place     string          // file:line of the call of RegisterGlobal or, of a default, of the first use
	explicit  bool            // by RegisterGlobal
	selection *Selection      // if it is by that
}

func newRegistration(a GlobalAlloc, why, place string) *registration {
	if p := preset(); p != nil && p.debug != nil {
		if g, ok := a.(*debugged); ok { // selected by global/debug: it is as this says
			a = g.inner.alloc
		}
		a = newDebugged(a, *p.debug)
		why += ", with " + p.String()
	}
	if s := sampledHeapOf(a); s != nil {
		a = s
	}
	r := &registration{resolved: resolve(a), why: why, place: place, debugger: debuggerOf(a)}
	_, r.system = r.alloc.(platform)
	r.sampled, _ = r.alloc.(*sampledHeap)
	if h, ok := r.alloc.(interface{ Engine() *engine.Heap }); ok {
		r.heap = engineOf(h)
	}
	return r
}

// engineOf returns the heap that h is a handle of.
func engineOf(h interface{ Engine() *engine.Heap }) *engine.Heap {
	if e := h.Engine(); e != nil {
		return e
	}
	panic("galloc: the global allocator is to be a heap that has not been made yet: use heap.New, or heap.Default")
}

// enter lets the engine know that r is in force.
func (r *registration) enter() {
	if r.heap != nil {
		r.heap.PutInForce()
	}
	a := r.alloc
	if r.sampled != nil {
		r.sampled.enter()
		a = r.sampled.as
	}
	if g, ok := a.(*debugged); ok {
		g.watch()
	}
}

// inForce is the whole state of the global allocator. It is set once: nil, then a Selection if the
// program has one, or else what RegisterGlobal was given or, at the first use before that, the default.
var inForce atomic.Pointer[registration]

// current returns the registration in force, after settling it if need be.
func current() *registration {
	if r := inForce.Load(); r != nil {
		return r
	}
	return settle()
}

// settling is held by who puts a registration in force, from before it has looked whether there is one until it has entered.
var settling sync.Mutex

// settle puts the default in force, unless somebody else has settled it meanwhile.
func settle() *registration {
	settling.Lock()
	defer settling.Unlock()
	if r := inForce.Load(); r != nil {
		return r
	}
	a, why := defaultGlobal()
	r := newRegistration(a, why, callerOutside())
	r.enter()
	inForce.Store(r)
	return r
}

// defaultGlobal returns what is in force in a program that does not choose in code, and why: what GALLOC or -X says; or else the heap in
// an executable, and System in what is loaded into a program of another language, which may want to free what it gets, and where
// the build mode is not known.
func defaultGlobal() (a GlobalAlloc, why string) {
	mode := buildMode()
	switch s := preset(); {
	case s != nil && s.debug == nil:
		return s.alloc, "chosen by " + s.String()
	case isExecutable(mode):
		a = processHeap{}
	default:
		a = System
	}
	return a, "the default for -buildmode=" + mode
}

// RegisterGlobal makes a the global allocator of the program. It can be called once,
// before the first use of the global allocator: from an init function or at the start
// of main, and best by the program, not by a library. It panics, naming the places
// concerned as file:line, if a is nil, if it is called twice, if the global allocator
// has been used already, if a would call itself since it is made of [Global], and if an
// import selects an allocator.
//
// Whether a has AllocZeroed and Realloc is looked up here, once; if not, the defaults
// are used. The price of a call through the global allocator is a look for a heap's cache, a
// function call, and a call of an interface method; with System behind it, not the latter, and
// with a heap neither.
//
// # All ways to choose
//
// The first of these that there is decides, and [GlobalName] tells which:
//
//  1. The code of the program: RegisterGlobal, or else the import of a package below
//     global, or another [Selection], which is in force before any other package is
//     initialized, so that nobody can be earlier.
//  2. The environment variable GALLOC, but in executables only.
//  3. The flag -X of the linker, for the variable defaultAllocator of this package.
//  4. The build mode: the heap in executables, System in the rest.
//
// A plugin is part of the program that opens it, and has its allocator. The flag is set by
//
//	go build -ldflags='-X github.com/galloc-go/galloc.defaultAllocator=system'
//
// GALLOC and the flag are written NAME or, for heap, NAME,option=value,... where NAME is heap,
// system, or, in programs that have the package of that name, jemalloc or mimalloc. To be empty
// is to be unset. The options of heap are fields of package heap's Options, and are about the
// heap of the process, heap.Default(), even where another allocator is in force:
//
//	limit=64MiB      HardLimit: a whole number, with B, KiB, MiB, GiB, TiB or no unit
//	softlimit=48MiB  SoftLimit
//	decay=10s        Decay: a time.Duration, or never
//	purge=lazy       Purge: now or lazy
//	hugepages=on     HugePages: on or off
//	checked=on       Checked: on or off
//
// The name debug stands for no allocator, but for package wrap's Debug around the one that is chosen otherwise, also in code: each mistake in the
// use of the global allocator ends the program with a report. It has options too:
//
//	sample=100000           about one of so many blocks is looked after: for production; from 4096 on it costs a heap some percent of its time
//	guard=end               or start, or either: blocks get pages of their own
//	guardmin=1B,guardmax=1MiB,guarded=1000,gap=64KiB,pool=16GiB   which of them, how many, and where
//	redzone=64B,quarantine=256MiB,stacks=32   as wrap's options of these names
//	leaks=10s,check=10s     after each such while, list what is allocated, or verify all blocks
//
// GlobalChecks of package wrap is for programs that are to do so themselves when they are run that way, as when they end.
//
// If anything else is in there, the program says so on standard error and exits with status 2
// before it begins, even if it would choose in code.
func RegisterGlobal(a GlobalAlloc) {
	here := callerOutside()
	if a == nil {
		panic("galloc: RegisterGlobal(nil) at " + here + alreadyAt())
	}
	if isGlobal(a) {
		panic("galloc: RegisterGlobal at " + here + " of an allocator made of galloc.Global, which would call itself" + alreadyAt())
	}
	settling.Lock()
	defer settling.Unlock()
	if inForce.Load() != nil {
		panic("galloc: RegisterGlobal at " + here + alreadyAt())
	}
	r := newRegistration(a, "registered at "+here, here)
	r.explicit = true
	r.enter()
	inForce.Store(r)
}

// alreadyAt returns the second half of the messages above: what came first.
func alreadyAt() string {
	switch r := inForce.Load(); {
	case r == nil:
		return "; no other allocator is registered"
	case r.selection != nil:
		return "; the import of " + r.selection.Path + " selects the global allocator already: drop one of the two (go mod why " + r.selection.Path + " tells who imports it)"
	case r.explicit:
		return "; a global allocator is already registered at " + r.place
	default:
		return "; the global allocator is already in use since " + r.place + ": register before the first use"
	}
}

// GlobalName tells which allocator is the global one, and why, in words: the place of
// its registration as file:line, the import that selects it, what GALLOC or the linker's
// flag says, or that it is the default, and for which build mode. Then it tells which of
// these there are that are not obeyed. Before the first use it tells what the default
// would be, and does not settle it.
func GlobalName() string {
	r := inForce.Load()
	if r == nil {
		a, why := defaultGlobal()
		if p := preset(); p != nil && p.debug != nil {
			return "debug(" + allocatorName(a) + "), " + why + ", with " + p.String() + notObeyed(false)
		}
		return allocatorName(a) + ", " + why + notObeyed(false)
	}
	return allocatorName(r.alloc) + ", " + r.why + notObeyed(r.explicit || r.selection != nil)
}

// allocatorName returns the String of a, or its type if it has none.
func allocatorName(a any) string {
	if s, ok := a.(fmt.Stringer); ok {
		return s.String()
	}
	return fmt.Sprintf("%T", a)
}

// buildMode returns the -buildmode the program was built with, "unknown" where the
// build has not recorded it.
func buildMode() string {
	if info, ok := rtdebug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-buildmode" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// callerOutside returns the file:line of the nearest caller outside of this package.
func callerOutside() string {
	f := outside(callers())
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}

// callers returns the calls that led here, the nearest first.
func callers() []runtime.Frame {
	var pcs [64]uintptr
	var all []runtime.Frame
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		all = append(all, f)
	}
	return all
}

// outside returns the first frame that is not of this package, nor of those that allocate for their callers, or else the last.
func outside(frames []runtime.Frame) runtime.Frame {
	ours := func(f runtime.Frame) bool {
		for _, p := range []string{".", "/internal/engine.", "/collections."} {
			if strings.HasPrefix(f.Function, packagePath+p) {
				return true
			}
		}
		return false
	}
	for _, f := range frames {
		if !ours(f) {
			return f
		}
	}
	return frames[len(frames)-1]
}

const packagePath = "github.com/galloc-go/galloc"
