package heap

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/engine"
)

// Options configures a heap. The zero value is a good default.
type Options struct {
	// Decay is about how long the heap keeps freed memory, so that it can be used again without a
	// system call and a page fault for each page. 0 means one second. If Decay is negative, memory
	// is released only by Trim and Close, and if a limit is reached. Otherwise it must be at least
	// a millisecond.
	Decay time.Duration

	// Purge chooses how memory is returned to the system.
	Purge PurgeMode

	// HugePages asks the system for huge pages (mostly of 2 MiB), which Linux grants if
	// /sys/kernel/mm/transparent_hugepage/enabled is "always" or "madvise". Access to a large heap
	// is faster, and so is the first touch of a large block. The heap returns memory in whole huge
	// pages, and splits others only if the unused memory in them exceeds 16 MiB, or a quarter of
	// the memory in use if that is more. A huge page has memory as a whole, so the resident memory
	// can exceed the footprint, and a limit of it, by up to one huge page for each that the heap
	// uses in part.
	//
	// By default the heap asks for small pages, also if the system is set to "always": its resident
	// memory never exceeds the footprint.
	HugePages bool

	// Overcommit permits a block that is larger than the memory of the machine, swap space
	// included. It is for tables that the program touches only in part, since pages cost memory
	// only when they are touched. Without it, such an allocation fails on Linux, as it does with
	// C's malloc and with Go's make, unless vm.overcommit_memory is 1. Other systems have their own
	// rules. The blocks of a program together may exceed the memory of the machine in any case.
	Overcommit bool

	// Checked makes the heap work without caches, so that it reports every misuse that it can
	// detect in the very call. Each call takes a lock: it costs some 50 ns instead of some 5.
	Checked bool

	// HardLimit bounds the footprint, in bytes: see [Stats.Footprint]. An allocation that would
	// exceed it fails, after the heap has returned all the memory it can. It must be at least 512
	// KiB, since the heap needs some 400 for itself. 0 means no limit.
	HardLimit uintptr

	// SoftLimit is the footprint, in bytes, above which the heap returns all unused memory at once,
	// without waiting for it to decay. If that does not suffice, it calls OnSoftLimit. It must be
	// at least 1 MiB. 0 means no limit.
	SoftLimit uintptr

	// OnSoftLimit is called with the footprint, in bytes, when the footprint exceeds SoftLimit:
	// once, then again each time the footprint has grown by another 16th of the limit, or has been
	// below the limit in between. It is also called when HardLimit refuses an allocation, at most
	// once in a millisecond.
	//
	// It runs in a separate goroutine, one call at a time. The allocation that caused it does not
	// wait for it, except that it yields the processor for up to 200 µs. So it may free blocks,
	// allocate, and change the limits. It may lock what the program holds while it allocates, and
	// must, if it changes what other goroutines use: it is the place for a cache to evict entries
	// from itself, under the mutex of the cache. After it returns, the heap returns unused memory
	// to the system if the footprint is still too large. A call may still be running, or begin,
	// after the limits have been changed. A panic in it ends the program.
	OnSoftLimit func(footprint uintptr)

	// OnMisuse is called when the heap detects an invalid free. If it returns, the call that
	// detected the misuse continues as if the block had not been freed. By default the heap panics
	// with the Misuse. The panic may be in another goroutine than the misuse, and in one where no
	// function can recover it, so that the program ends. OnMisuse must not call methods of the
	// heap.
	OnMisuse func(Misuse)
}

// PurgeMode is a way to return memory to the operating system.
type PurgeMode uint8

const (
	// PurgeNow takes the memory away from the process at once (MADV_DONTNEED on Linux).
	PurgeNow PurgeMode = iota
	// PurgeLazy lets the system take the memory when it needs some (MADV_FREE). That costs less,
	// and nothing at all for memory that is soon used again, but until then the memory counts as
	// the process's. On systems without it, PurgeLazy is PurgeNow.
	PurgeLazy
)

// String returns the name of the constant.
func (m PurgeMode) String() string {
	switch m {
	case PurgeNow:
		return "PurgeNow"
	case PurgeLazy:
		return "PurgeLazy"
	}
	return fmt.Sprintf("PurgeMode(%d)", uint8(m))
}

// check returns an error that says what to change, or nil.
func (o *Options) check() error {
	if 0 < o.Decay && o.Decay < engine.MinDecay {
		return fmt.Errorf("galloc/heap: Decay is %v: make it %v or more, 0 for the default, or negative for never",
			o.Decay, engine.MinDecay)
	}
	if o.Purge > PurgeLazy {
		return fmt.Errorf("galloc/heap: Purge is %v: make it PurgeNow or PurgeLazy", o.Purge)
	}
	if err := checkLimits(o.SoftLimit, o.HardLimit, o.OnSoftLimit); err != nil {
		return err
	}
	for _, l := range []struct {
		name  string
		bytes uintptr
	}{{"HardLimit", o.HardLimit}, {"SoftLimit", o.SoftLimit}} {
		if 0 < l.bytes && l.bytes < engine.MinLimit {
			return fmt.Errorf("galloc/heap: %s %d is less than a heap without blocks takes: make it %d or more, or 0 for no limit",
				l.name, l.bytes, engine.MinLimit)
		}
	}
	return nil
}

func checkLimits(soft, hard uintptr, onSoft func(uintptr)) error {
	switch {
	case soft > math.MaxInt || hard > math.MaxInt:
		return errors.New("galloc/heap: a limit exceeds math.MaxInt, perhaps negative: make it 0 for no limit")
	case hard != 0 && soft > hard:
		return fmt.Errorf("galloc/heap: SoftLimit %d exceeds HardLimit %d and would never be reached: make it less",
			soft, hard)
	case onSoft != nil && soft == 0:
		return errors.New("galloc/heap: OnSoftLimit would never be called: set SoftLimit too")
	}
	return nil
}

func (o *Options) config() engine.Config {
	onMisuse := o.OnMisuse
	if onMisuse == nil {
		onMisuse = func(m Misuse) { panic(m) }
	}
	return engine.Config{
		Decay:      o.Decay,
		Lazy:       o.Purge == PurgeLazy,
		Huge:       o.HugePages,
		Overcommit: o.Overcommit,
		Checked:    o.Checked,
		OnMisuse:   func(m engine.Misuse) { onMisuse(newMisuse(m)) },
	}
}

// String returns the name of a heap with these options.
func (o *Options) String() string {
	var with []string
	if o.Checked {
		with = append(with, "checked")
	}
	if o.Decay < 0 {
		with = append(with, "never decaying")
	} else if o.Decay > 0 {
		with = append(with, "decay "+o.Decay.String())
	}
	if o.Purge != PurgeNow {
		with = append(with, o.Purge.String())
	}
	if o.HugePages {
		with = append(with, "huge pages")
	}
	if o.Overcommit {
		with = append(with, "overcommit")
	}
	if with == nil {
		return "separate galloc heap"
	}
	return "separate galloc heap (" + strings.Join(with, ", ") + ")"
}
