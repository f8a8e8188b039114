// What the environment can say. See debug.go for overview.

package debug

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Settings are options, and what a program cannot ask for when it has not been changed to know a Debugger.
type Settings struct {
	Options
	Leaks time.Duration // after each such while, what is allocated is written to standard error: 0 is never
	Check time.Duration // after each such while, all blocks are verified: 0 is never
}

// Known says what Parse understands.
const Known = "sample=N, guard=end|start|either, guardmin=SIZE, guardmax=SIZE, guarded=N, gap=SIZE, pool=SIZE, redzone=SIZE, quarantine=SIZE, stacks=N, leaks=DURATION, check=DURATION"

// Parse reads options separated by commas, such as "sample=5000,stacks=8", each at most once. A SIZE is a number of bytes, with B,
// KiB, MiB, GiB or TiB behind it if need be, as in GOMEMLIMIT; for redzone, quarantine, and stacks 0 is none. A DURATION is as 10s
// or 5m. The empty text has no options.
func Parse(text string) (s Settings, err error) {
	if text == "" {
		return s, nil
	}
	seen := map[string]bool{}
	for field := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(field, "=")
		switch {
		case !ok || name == "" || value == "":
			err = errors.New("want option=value")
		case seen[name]:
			err = errors.New("given twice")
		default:
			seen[name] = true
			err = s.set(name, value)
		}
		if err != nil {
			return Settings{}, fmt.Errorf("%q: %w; known are %s", field, err, Known)
		}
	}
	for _, name := range [...]string{"guardmin", "guardmax", "guarded", "gap", "pool"} {
		if seen[name] && s.Guard == Nowhere && s.Sample == 0 {
			return Settings{}, fmt.Errorf("%q: no block is guarded: give guard or sample too; known are %s", name, Known)
		}
	}
	if s.GuardMax != 0 && s.GuardMin > s.GuardMax {
		return Settings{}, fmt.Errorf(`"guardmin": it is more than guardmax, so that no block is guarded; known are %s`, Known)
	}
	return s, nil
}

func (s *Settings) set(name, value string) (err error) {
	switch name {
	case "sample":
		var n uint64
		if n, err = strconv.ParseUint(value, 10, 32); err != nil || n == 0 {
			err = errors.New("1 of how many? give a number from 1 to 4294967295")
		}
		s.Sample = uint32(n)
	case "guard":
		switch value {
		case "end":
			s.Guard = AtEnd
		case "start":
			s.Guard = AtStart
		case "either":
			s.Guard = AtEither
		default:
			err = errors.New("want end, start or either")
		}
	case "guardmin":
		s.GuardMin, err = parseSize(value)
	case "guardmax":
		s.GuardMax, err = parseSize(value)
	case "gap":
		s.Gap, err = parseSize(value)
	case "pool":
		s.Pool, err = parseSize(value)
	case "redzone":
		s.RedZone, err = parseOrNone(value)
		if s.RedZone > 1<<20 {
			err = errors.New("at most 1MiB")
		}
	case "quarantine":
		s.Quarantine, err = parseOrNone(value)
	case "stacks":
		s.Stacks, err = strconv.Atoi(value)
		switch {
		case err != nil || s.Stacks < 0 || s.Stacks > maxStack:
			err = fmt.Errorf("want a number of calls from 0 to %d", maxStack)
		case s.Stacks == 0:
			s.Stacks = -1
		}
	case "guarded":
		s.MaxGuarded, err = strconv.Atoi(value)
		if err != nil || s.MaxGuarded < 1 {
			err = errors.New("want a number of blocks, 1 or more")
		}
	case "leaks":
		s.Leaks, err = parseDuration(value)
	case "check":
		s.Check, err = parseDuration(value)
	default:
		err = errors.New("no such option")
	}
	return err
}

func parseDuration(value string) (time.Duration, error) {
	d, err := time.ParseDuration(value)
	if err != nil || d <= 0 {
		return 0, errors.New("want a time as 10s or 5m")
	}
	return d, nil
}

// parseOrNone returns a size, or -1 for 0: see Options.
func parseOrNone(value string) (int, error) {
	n, err := parseSize(value)
	if n == 0 {
		return -1, err
	}
	return int(n), err
}

// parseSize reads a number of bytes.
func parseSize(value string) (uintptr, error) {
	digits, shift := strings.TrimSuffix(value, "B"), uint64(0)
	if i := strings.Index("KMGT", cutLast(strings.TrimSuffix(digits, "i"))); strings.HasSuffix(digits, "i") && i >= 0 {
		digits, shift = digits[:len(digits)-2], uint64(10*(i+1))
	}
	n, err := strconv.ParseUint(digits, 10, bits.UintSize)
	if err != nil || n > math.MaxInt>>shift || strings.HasSuffix(value, "i") {
		return 0, errors.New("want bytes as 300, 64KiB or 2GiB")
	}
	return uintptr(n) << shift, nil
}

// cutLast returns the last byte of s, or what is in no string.
func cutLast(s string) string {
	if s == "" {
		return "\x00"
	}
	return s[len(s)-1:]
}

// Watch does what s says is to be done after a while, as long as the program runs: it starts a goroutine for each.
func (d *Debugger) Watch(s Settings, w io.Writer) {
	every := func(t time.Duration, f func()) {
		if t > 0 {
			go func() {
				for range time.Tick(t) {
					f()
				}
			}()
		}
	}
	every(s.Check, func() { d.CheckAll() })
	every(s.Leaks, func() { _, _ = io.WriteString(w, LeakText(d.Leaks(0))) })
}
