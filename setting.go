package galloc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/galloc-go/galloc/internal/debug"
	"github.com/galloc-go/galloc/internal/engine"
)

// This file reads what GALLOC and -X say: NAME[,option=value...].

// parse finds out what s.text means, and sets the rest of s. An error says what is possible instead.
func (s *setting) parse() error {
	if s.text == "" {
		return nil
	}
	name, options, given := strings.Cut(s.text, ",")
	switch name {
	case "heap":
		s.alloc = processHeap{}
	case "system":
		s.alloc = System
	case "debug":
		if given && options == "" {
			return errors.New("there is nothing behind the comma: write debug alone, or with options " + debug.Known)
		}
		d, err := debug.Parse(options)
		s.debug = &d
		return err
	case "jemalloc", "mimalloc":
		s.named = named_jemalloc
		if name == "mimalloc" {
			s.named = named_mimalloc
		}
		if s.named == nil {
			return fmt.Errorf("this program has no %s: it would have to import %s/%[1]s, and be built with cgo and -tags galloc_%[1]s", name, packagePath)
		}
	default:
		return fmt.Errorf("no such allocator: known are %s", known())
	}
	if !given {
		return nil
	}
	if name != "heap" {
		return fmt.Errorf("%s has no options: write %[1]s alone", name)
	}
	return s.values.parse(options)
}

// known lists the allocators that parse knows in this program.
func known() string {
	text := "heap (options " + heapOptions + "), debug, system"
	if named_jemalloc != nil {
		text += ", jemalloc"
	}
	if named_mimalloc != nil {
		text += ", mimalloc"
	}
	return text
}

// heapValues is what options say about the heap of the process.
type heapValues struct {
	given      bool
	config     engine.Config
	soft, hard uintptr // limits in bytes
}

// heapOptions names the options of heap: those of package heap's Options that are not functions.
const heapOptions = "limit, softlimit, decay, purge, hugepages, checked"

// parse reads options, separated by commas.
func (v *heapValues) parse(options string) (err error) {
	v.given = true
	seen := map[string]bool{}
	for option := range strings.SplitSeq(options, ",") {
		name, value, ok := strings.Cut(option, "=")
		if !ok {
			return fmt.Errorf("option %q: write it as name=value; heap has %s", option, heapOptions)
		}
		if seen[name] {
			return fmt.Errorf("option %q: it is there twice", name)
		}
		seen[name] = true
		switch name {
		case "limit":
			v.hard, err = parseBytes(value)
		case "softlimit":
			v.soft, err = parseBytes(value)
		case "decay":
			v.config.Decay, err = parseDecay(value)
		case "purge":
			v.config.Lazy, err = either(value, "now", "lazy")
		case "hugepages":
			v.config.Huge, err = either(value, "off", "on")
		case "checked":
			v.config.Checked, err = either(value, "off", "on")
		default:
			return fmt.Errorf("option %q: heap has %s", name, heapOptions)
		}
		if err != nil {
			return fmt.Errorf("option %q: %q: %w", name, value, err)
		}
	}
	if v.hard != 0 && v.soft > v.hard {
		return errors.New("softlimit is more than limit, and would never be reached: make it less")
	}
	return nil
}

// configure makes the heap of the process as v says. Nobody has used it yet.
func (v *heapValues) configure() {
	if v.given {
		engine.Configure(v.config, v.soft, v.hard)
	}
}

// parseBytes reads a size as GOMEMLIMIT is written: a whole number, and a unit or none.
func parseBytes(s string) (uintptr, error) {
	digits := strings.TrimRight(s, "BKMGTi")
	shift, ok := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && ok && n > math.MaxInt>>shift:
		return 0, fmt.Errorf("make it at most %d bytes, which is the largest int", math.MaxInt)
	case err != nil || !ok:
		return 0, errors.New("write a whole number of bytes, or one with B, KiB, MiB, GiB or TiB, as in 64MiB")
	case n == 0:
		return 0, errors.New("make it more than 0, or leave it out for no limit")
	}
	return uintptr(n << shift), nil
}

func parseDecay(s string) (time.Duration, error) {
	if s == "never" {
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < engine.MinDecay {
		return 0, fmt.Errorf("write a duration of %v or more, as in 10s, or never", engine.MinDecay)
	}
	return d, nil
}

// either reports whether s is yes, rather than no.
func either(s, no, yes string) (bool, error) {
	if s != no && s != yes {
		return false, fmt.Errorf("write %s or %s", yes, no)
	}
	return s == yes, nil
}
