package galloc

import (
	"errors"
	"fmt"
	rtdebug "runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/caller"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/internal/memcheck"
)

// RegisterGlobal makes a the global allocator of the program. A program calls it at most once,
// before the first use of the global allocator: from an init function or at the start of main. A
// library should not call it. The package documentation lists the other ways to choose.
//
// RegisterGlobal panics if a is nil, a nil pointer or a zero heap.Heap, or contains one; if it
// contains [Global] (it would call itself); or if an allocator is already registered, selected by
// an import, or in use. The message names the places as file:line.
//
// The optional methods of a are looked up here, once. A heap is called directly; [System] costs one
// extra call; any other allocator costs an interface call.
func RegisterGlobal(a GlobalAlloc) {
	here := caller.Outside()
	if f := flaw(a); f != "" {
		panic("galloc: RegisterGlobal at " + here + " of " + f + alreadyAt())
	}
	if isGlobal(a) {
		panic("galloc: RegisterGlobal at " + here + " of an allocator made of galloc.Global, which would call itself" +
			alreadyAt())
	}
	registering.Lock()
	defer registering.Unlock()
	if registered.Load() != nil {
		panic("galloc: RegisterGlobal at " + here + alreadyAt())
	}
	r := newRegistration(a, "registered at "+here, here)
	r.explicit = true
	r.enter()
	registered.Store(r)
}

// alreadyAt returns the second half of the messages of RegisterGlobal, about the earlier choice.
func alreadyAt() string {
	switch r := registered.Load(); {
	case r == nil:
		return "; no other allocator is registered"
	case r.selection != nil:
		return "; the import of " + r.selection.Path + " selects the global allocator already: " +
			"drop one of the two (go mod why " + r.selection.Path + " shows the importer)"
	case r.explicit:
		return "; a global allocator is already registered at " + r.place
	default:
		return "; the global allocator is already in use since " + r.place + ": register before the first use"
	}
}

// DescribeGlobal describes the global allocator in words: its name, why it was chosen (the place of
// its registration as file:line, the import that selects it, the setting, or the build mode), and
// which settings were overridden. Before the first use it describes the default, without choosing
// it.
func DescribeGlobal() string {
	r := registered.Load()
	if r == nil {
		a, why := defaultGlobal()
		if c := chosen(); c != nil && c.debug != nil {
			return "memcheck(" + block.Name(a) + "), " + why + ", with " + c.String() + overridden(false)
		}
		return block.Name(a) + ", " + why + overridden(false)
	}
	return block.Name(r.alloc) + ", " + r.why + overridden(r.explicit || r.selection != nil)
}

// ReadStats returns the figures of the global allocator, if that is the heap or a [StatsReader], or
// a [Wrapper] of one. Otherwise the error wraps [errors.ErrUnsupported]. With a memory checker,
// they are the figures of the allocator inside: blocks in quarantine count as allocated, and blocks
// with their own pages do not count. It takes some microseconds for each P. Safe for concurrent
// use.
func ReadStats() (Stats, error) {
	r := current()
	if r.sampled != nil {
		return heapStats(r.sampled.heap), nil
	}
	return readStats(r.alloc)
}

// readStats returns the figures of an allocator, or of the first inside of it that knows them.
func readStats(a any) (Stats, error) {
	switch a := a.(type) {
	case StatsReader:
		return a.ReadStats(), nil
	case engine.Holder:
		return heapStats(a.Engine()), nil
	case asGlobal:
		return readStats(a.a)
	case face[resolved]:
		return readStats(a.g.alloc)
	case *checked:
		return readStats(a.inner.alloc)
	case Wrapper:
		if first, second := inside(a); second == nil {
			return readStats(first)
		}
	}
	return Stats{}, fmt.Errorf("galloc: ReadStats: %s has no statistics: %w", block.Name(a), errors.ErrUnsupported)
}

// globalHeap returns the heap that is the global allocator or inside it, or nil.
func globalHeap() (h *engine.Heap) {
	r := current()
	if r.sampled != nil {
		return r.sampled.heap
	}
	anyPart(r.alloc, func(a any) bool {
		holder, ok := a.(engine.Holder)
		if ok {
			h = holder.Engine()
		}
		return ok
	})
	return h
}

func heapStats(h *engine.Heap) Stats {
	var s engine.Stats
	h.ReadStats(&s)
	return Stats{Live: s.Live, LiveBlocks: s.LiveBlocks, Footprint: s.Footprint}
}

// A registration is the global allocator and how it was chosen. It is immutable. All are made by
// newRegistration, which adds what every global allocator is wrapped in.
type registration struct {
	resolved
	heap      *engine.Heap      // if the allocator is a heap, which is called directly
	sampled   *sampledHeap      // if it is a heap with a memory checker that samples
	system    bool              // the allocator is System
	checker   *memcheck.Checker // the memory checker of its blocks, or nil
	collected bool              // its blocks are garbage collected: see GarbageCollected
	why       string            // for DescribeGlobal
	place     string            // file:line of the call of RegisterGlobal or of the first use
	explicit  bool              // by RegisterGlobal
	selection *Selection        // if it was chosen by one
}

func newRegistration(a GlobalAlloc, why, place string) *registration {
	if c := chosen(); c != nil && c.debug != nil {
		if g, ok := a.(*checked); ok { // selected by global/debug: the setting has the options
			a = g.inner.alloc
		}
		a = newChecked(a, *c.debug)
		why += ", with " + c.String()
	}
	if s := sampledHeapOf(a); s != nil {
		a = s
	}
	r := &registration{resolved: resolve(a), why: why, place: place, checker: checkerOf(a), collected: collected(a)}
	_, r.system = r.alloc.(platform)
	r.sampled, _ = r.alloc.(*sampledHeap)
	if h, ok := r.alloc.(engine.Holder); ok {
		r.heap = h.Engine()
	}
	return r
}

// enter starts what watches the allocator: the registration is now in force.
func (r *registration) enter() {
	a := r.alloc
	if r.sampled != nil {
		r.sampled.enter()
		a = r.sampled.as
	}
	if g, ok := a.(*checked); ok {
		g.watch()
	}
}

// registered is the state of the global allocator. It is nil at first and set once: by a Selection,
// by RegisterGlobal, or by the first use.
var registered atomic.Pointer[registration]

// settled is registered from its first use on; in a test, from the first after the log of go test
// has begun: see logged.
var settled atomic.Pointer[registration]

// registering is locked from a test of registered or settled until it is set.
var registering sync.Mutex

// current returns the registration. The first use of the global allocator registers the default.
func current() *registration {
	if r := settled.Load(); r != nil {
		return r
	}
	return settle()
}

// settle registers the default, unless an allocator is registered, and gives the fast path to the
// heap. Until settled is set, every operation of the global allocator comes here.
func settle() *registration {
	registering.Lock()
	defer registering.Unlock()
	r := registered.Load()
	if r == nil {
		a, why := defaultGlobal()
		r = newRegistration(a, why, caller.Outside())
		r.enter()
		registered.Store(r)
	}
	if logged() {
		if r.sampled != nil {
			r.sampled.heap.SetGlobal()
		} else if r.heap != nil {
			r.heap.SetGlobal()
		}
		settled.Store(r)
	}
	return r
}

// defaultGlobal returns the global allocator of a program that does not choose in code, and the
// reason: the setting in GALLOC or -X; otherwise the heap in an executable, and System in a
// library, whose host may want to free its blocks, and if the build mode is unknown.
func defaultGlobal() (a GlobalAlloc, why string) {
	mode := buildMode()
	switch c := chosen(); {
	case c != nil && c.debug == nil:
		return c.alloc, "chosen by " + c.String()
	case isExecutable(mode):
		a = defaultHeap{}
	default:
		a = System
	}
	return a, "the default for -buildmode=" + mode
}

// buildMode returns the -buildmode of the program, or "unknown" if the build has not recorded it.
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

// isExecutable reports whether a build mode makes programs, not libraries.
func isExecutable(buildMode string) bool { return buildMode == "exe" || buildMode == "pie" }

// The choice of the linker, GALLOC and -X is made here, before any package that imports galloc is
// initialized.
func init() {
	readChoices()
	c, selection := chosen(), multiple_global_allocators
	if c != nil {
		c.values.configure()
	}
	switch {
	case selection != nil:
		r := newRegistration(selection.make(), "selected by the import of "+selection.Path, "")
		r.selection = selection
		r.enter()
		registered.Store(r)
	case c != nil && c.named != nil:
		c.alloc = c.named.make()
	}
}
