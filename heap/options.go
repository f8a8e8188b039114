package heap

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/engine"
)

// Options says how a heap is to be. The zero value is a good default.
type Options struct {
	// Decay is about how long memory that has been freed stays with the heap, so that it
	// can be used again without asking the system for it, which costs a page fault per
	// page. 0 stands for one second. If it is negative, memory goes back by Trim and Close
	// alone, and under pressure of a limit. Otherwise it is at least a millisecond.
	Decay time.Duration

	// Purge is how memory goes back.
	Purge PurgeMode

	// HugePages makes memory go back only in whole huge pages (mostly of 2 MiB), so that
	// the kernel need not split those that it has put together. The footprint then is
	// somewhat larger, and access faster, where the system has transparent huge pages
	// switched on.
	HugePages bool

	// Checked does without caches, so that every mistake that the heap can see is reported
	// at the very call. Each call then takes a lock: some 50 ns in place of some 5.
	Checked bool

	// HardLimit is the most memory, in bytes of footprint, that the heap may have: see
	// [Stats.Footprint]. An allocation beyond it fails, after the heap has given back all
	// it can. 0 stands for no limit. The heap needs some 400 KiB for itself.
	HardLimit uintptr

	// SoftLimit is the footprint in bytes beyond which the heap gives back all that is not
	// in use, without waiting for it to decay. If that is not enough, it calls OnSoftLimit.
	// 0 stands for no limit.
	SoftLimit uintptr

	// OnSoftLimit is told the footprint, in bytes, when that exceeds SoftLimit: once, then
	// again each time it has grown by another 16th of the limit, or has been below it
	// meanwhile. It runs in the goroutine whose allocation was one too many, before that
	// allocation returns. It may free blocks, allocate, and change the limits; while it
	// runs, it is not called again.
	OnSoftLimit func(footprint uintptr)

	// OnMisuse is called when a block has been given back in a way that cannot be obeyed.
	// If it returns, the call that found out goes on, as if the block had not been given
	// back. The default panics with the Misuse: in the goroutine that found out, which may
	// not be the one that is to blame, or in one that nobody can recover, ending the
	// program. OnMisuse must not call methods of the heap.
	OnMisuse func(Misuse)
}

// PurgeMode is how memory goes back to the operating system.
type PurgeMode uint8

const (
	// PurgeNow takes the memory away from the process at once (MADV_DONTNEED on Linux).
	PurgeNow PurgeMode = iota
	// PurgeLazy lets the system take the memory when it is short of it (MADV_FREE). That
	// costs less, and nothing at all for what is soon used again; but the process seems to
	// keep the memory until then. Where the system does not know that, it is as PurgeNow.
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
		return fmt.Errorf("galloc/heap: Decay is %v: make it %v or more, 0 for the default, or negative for never", o.Decay, engine.MinDecay)
	}
	if o.Purge > PurgeLazy {
		return fmt.Errorf("galloc/heap: Purge is %v: make it PurgeNow or PurgeLazy", o.Purge)
	}
	return checkLimits(o.SoftLimit, o.HardLimit, o.OnSoftLimit)
}

func checkLimits(soft, hard uintptr, onSoft func(uintptr)) error {
	switch {
	case soft > math.MaxInt || hard > math.MaxInt:
		return errors.New("galloc/heap: a limit exceeds math.MaxInt, as a negative number does once converted: make it 0 for no limit")
	case hard != 0 && soft > hard:
		return fmt.Errorf("galloc/heap: SoftLimit %d exceeds HardLimit %d, and would never be reached: make it less", soft, hard)
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
		Decay:    o.Decay,
		Lazy:     o.Purge == PurgeLazy,
		Huge:     o.HugePages,
		Checked:  o.Checked,
		OnMisuse: func(m engine.Misuse) { onMisuse(newMisuse(m)) },
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
	if with == nil {
		return "galloc heap of its own"
	}
	return "galloc heap of its own (" + strings.Join(with, ", ") + ")"
}
