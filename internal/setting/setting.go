// Package setting reads settings from the environment and from flags: lists of options such as
// "limit=64MiB,decay=10s", and their values. All errors are of one form: the option, what is wrong,
// and what to write instead.
package setting

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// An Option is an option that Parse knows.
type Option struct {
	Name string
	Form string                   // the form of the value, as in SIZE or on|off
	Set  func(value string) error // reads the value
}

// Parse reads a list of the options known, each at most once, as in "a=1,b=2". The empty text has
// none.
func Parse(text string, known []Option) error {
	if text == "" {
		return nil
	}
	seen := map[string]bool{}
	for field := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(field, "=")
		o := find(known, name)
		switch {
		case o == nil:
			return fmt.Errorf("option %q is unknown: known are %s", name, List(known))
		case !ok:
			return fmt.Errorf("option %q has no value: write it as %s=%s", name, o.Name, o.Form)
		case seen[name]:
			return fmt.Errorf("option %q is given twice: write it once", name)
		}
		seen[name] = true
		if err := o.Set(value); err != nil {
			return fmt.Errorf("option %q: %q: %w", name, value, err)
		}
	}
	return nil
}

func find(known []Option, name string) *Option {
	for i := range known {
		if known[i].Name == name {
			return &known[i]
		}
	}
	return nil
}

// List returns the names and forms of options, as in "limit=SIZE, decay=DURATION".
func List(known []Option) string {
	var b strings.Builder
	for i, o := range known {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(o.Name + "=" + o.Form)
	}
	return b.String()
}

// Size returns a Set that reads a size of at least least bytes into p. A size is written like that
// of GOMEMLIMIT: a whole number, with the unit B, KiB, MiB, GiB or TiB, or none.
func Size[T ~int | ~uintptr](p *T, least T) func(string) error {
	return func(s string) error {
		n, err := ParseSize(s)
		if err != nil {
			return err
		}
		if n < uintptr(least) {
			return fmt.Errorf("too small: write %dB or more", least)
		}
		*p = T(n)
		return nil
	}
}

// ParseSize reads a size.
func ParseSize(s string) (uintptr, error) {
	digits := strings.TrimRight(s, "BKMGTi")
	shift, ok := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}[s[len(digits):]]
	n, err := strconv.ParseUint(digits, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && ok || err == nil && ok && n > math.MaxInt>>shift:
		return 0, fmt.Errorf("too large: write at most %d bytes", math.MaxInt)
	case err != nil || !ok:
		return 0, errors.New("write a whole number of bytes, or one with B, KiB, MiB, GiB or TiB, as in 64MiB")
	}
	return uintptr(n << shift), nil
}

// Count returns a Set that reads a whole number from least to most into p.
func Count[T ~int | ~uint32](p *T, least, most T) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < int64(least) || n > int64(most) {
			return fmt.Errorf("write a number from %d to %d", least, most)
		}
		*p = T(n)
		return nil
	}
}

// maxDuration is a year. What happens less often than that does not happen.
const maxDuration = 365 * 24 * time.Hour

// Duration returns a Set that reads a duration from least to a year into p.
func Duration(p *time.Duration, least time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > maxDuration {
			return fmt.Errorf("write a duration from %v to %.0fh, as in 10s", least, maxDuration.Hours())
		}
		*p = d
		return nil
	}
}

// Or returns a Set that reads word as value into p, and anything else by set, as in Or(Duration(&d,
// 1), &d, "never", -1).
func Or[T any](set func(string) error, p *T, word string, value T) func(string) error {
	return func(s string) error {
		if s == word {
			*p = value
			return nil
		}
		if err := set(s); err != nil {
			return fmt.Errorf("%w, or %s", err, word)
		}
		return nil
	}
}

// Bool returns a Set that reads the words no as false and yes as true into p.
func Bool(p *bool, no, yes string) func(string) error {
	return func(s string) error {
		if s != no && s != yes {
			return fmt.Errorf("write %s or %s", no, yes)
		}
		*p = s == yes
		return nil
	}
}

// Word returns a Set that reads one of words into p: the first as first, the next as first+1, and
// so on.
func Word[T ~int | ~uint8](p *T, first T, words ...string) func(string) error {
	return func(s string) error {
		for i, w := range words {
			if s == w {
				*p = first + T(i)
				return nil
			}
		}
		return fmt.Errorf("write %s", join(words))
	}
}

// join returns words as in "a, b or c".
func join(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Printable returns s, quoted if it does not print as itself on one line.
func Printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}
