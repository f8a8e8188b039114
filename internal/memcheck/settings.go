// Options in text form, for GALLOC=debug. See memcheck.go for overview.

package memcheck

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/alarm"
	"github.com/galloc-go/galloc/internal/block"
	"github.com/galloc-go/galloc/internal/setting"
	"github.com/galloc-go/galloc/internal/stacks"
	"github.com/galloc-go/galloc/internal/vm"
)

// Settings are the settings of a program that is checked without being changed.
type Settings struct {
	Options
	Leaks time.Duration // interval at which leaks are written to standard error: 0 is never
	Check time.Duration // interval at which all blocks are verified: 0 is never
}

// options returns the options of Parse.
func (s *Settings) options() []setting.Option {
	return []setting.Option{
		{Name: "sample", Form: "N", Set: setting.Count(&s.Sample, 1, math.MaxUint32)},
		{Name: "guard", Form: "end|start|either", Set: setting.Word(&s.Guard, GuardEnd, "end", "start", "either")},
		{Name: "guardmin", Form: "SIZE", Set: setting.Size(&s.GuardMin, 1)},
		{Name: "guardmax", Form: "SIZE", Set: setting.Size(&s.GuardMax, 1)},
		{Name: "guardgap", Form: "SIZE", Set: setting.Size(&s.GuardGap, 1)},
		{Name: "guardlimit", Form: "N", Set: setting.Count(&s.GuardLimit, 1, math.MaxInt)},
		{Name: "guardspace", Form: "SIZE", Set: setting.Size(&s.GuardSpace, 1)},
		{Name: "redzone", Form: "SIZE", Set: noneIsNegative(&s.RedZone, redZone(&s.RedZone))},
		{Name: "quarantine", Form: "SIZE", Set: noneIsNegative(&s.Quarantine, quarantineSize(&s.Quarantine))},
		{Name: "stackdepth", Form: "N", Set: noneIsNegative(&s.StackDepth, setting.Count(&s.StackDepth, 0, stacks.MaxDepth))},
		{Name: "leaks", Form: "DURATION", Set: setting.Duration(&s.Leaks, time.Millisecond)},
		{Name: "check", Form: "DURATION", Set: setting.Duration(&s.Check, time.Millisecond)},
	}
}

// redZone returns a Set that reads a size of at most maxRedZone.
func redZone(n *int) func(string) error {
	set := setting.Size(n, 0)
	return func(value string) error {
		err := set(value)
		if err == nil && *n > maxRedZone {
			err = fmt.Errorf("too large: write at most %d bytes", maxRedZone)
		}
		return err
	}
}

const maxRedZone = 1 << 20

// quarantineSize returns a Set that reads a size in which a quarantine can keep a block.
func quarantineSize(n *int) func(string) error {
	set := setting.Size(n, 0)
	return func(value string) error {
		err := set(value)
		if err == nil && 0 < *n && *n < minQuarantine {
			err = fmt.Errorf("too small to keep a block: write %dB or more, or 0 for none", minQuarantine)
		}
		return err
	}
}

const minQuarantine = 4 << 10

// noneIsNegative returns a Set that calls set, which sets n, and makes a 0 the negative number that
// means none in Options.
func noneIsNegative(n *int, set func(string) error) func(string) error {
	return func(value string) error {
		err := set(value)
		if err == nil && *n == 0 {
			*n = -1
		}
		return err
	}
}

// Known lists the options that Parse reads.
var Known = setting.List(new(Settings).options())

// Parse reads a list of options, such as "sample=5000,stackdepth=8". For redzone, quarantine and
// stackdepth, 0 means none. The empty text has no options.
func Parse(text string) (Settings, error) {
	var s Settings
	err := setting.Parse(text, s.options())
	if err == nil {
		if why := s.Flaw(); why != "" {
			err = errors.New(inSettings.Replace(why))
		}
	}
	if err == nil && s.RedZone < 0 && !s.guards() {
		err = errors.New("redzone is 0 and no block is guarded, so that no overflow is found: " +
			"write 1 or more, or add guard or sample")
	}
	if err != nil {
		return Settings{}, err
	}
	return s, nil
}

// inSettings replaces the names of fields by the names of the options of Parse.
var inSettings = strings.NewReplacer("GuardMin", "guardmin", "GuardMax", "guardmax", "GuardGap", "guardgap",
	"GuardSpace", "guardspace", "Guard", "guard", "Sample", "sample")

// guards reports whether blocks are guarded.
func (o *Options) guards() bool { return o.Guard != NoGuard || o.Sample != 0 }

// Flaw says why no block could ever be guarded, although there are options of guarded blocks, or
// returns "".
func (o *Options) Flaw() string {
	page := vm.PageSize()
	space := block.RoundUp(o.GuardSpace, step)
	if space == 0 {
		space = o.defaultSpace()
	}
	gap := max(block.RoundUp(o.GuardGap, page), page)
	switch {
	case !o.guards():
		if o.GuardMin != 0 || o.GuardMax != 0 || o.GuardGap != 0 || o.GuardLimit != 0 || o.GuardSpace != 0 {
			return "there are options of guarded blocks, but no block is guarded: add Guard or Sample"
		}
	case o.GuardMax != 0 && o.GuardMin > o.GuardMax:
		return fmt.Sprintf("GuardMin is more than GuardMax (%d > %d), so that no block is guarded: make it less",
			o.GuardMin, o.GuardMax)
	case o.GuardGap > space || 2*gap+page > space:
		return fmt.Sprintf("GuardGap %d leaves no room for a block in a GuardSpace of %d, so that no block is guarded: "+
			"make it at most %d, or GuardSpace larger", o.GuardGap, space, (space-page)/2&^(page-1))
	case o.GuardMin > space-2*gap || o.GuardMin > space/2:
		return fmt.Sprintf("GuardMin %d leaves no room for a block in a GuardSpace of %d, so that no block is guarded: "+
			"make it less, or GuardSpace larger", o.GuardMin, space)
	}
	return ""
}

// defaultSpace returns the GuardSpace that 0 means, if there is as much.
func (o *Options) defaultSpace() uintptr {
	const least = 16 << 20
	switch {
	case is32Bit || vm.GoMemory:
		return least
	case o.Sample != 0:
		return 64 << 20
	}
	return least << (10 * (^uint(0) >> 63)) // a constant of 64 bits does not compile for 32
}

// Watch writes leaks to w and verifies all blocks at the intervals of s, until the program ends.
func (c *Checker) Watch(s Settings, w io.Writer) {
	every := func(t time.Duration, f func()) {
		if t > 0 {
			var a *alarm.Alarm
			a = alarm.New(func() {
				f()
				a.Reset(t)
			})
			a.Reset(t)
		}
	}
	every(s.Check, func() { c.CheckAll() })
	every(s.Leaks, func() { _, _ = io.WriteString(w, LeakText(c.Leaks(0))) })
}
