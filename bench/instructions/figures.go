package main

import (
	"errors"
	"fmt"
	"go/version"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

const (
	platform  = "linux/amd64"
	tolerance = 0.05

	recordAgain = "record the figures again: make instructions ARGS=-record"
	whatToDo    = "Find out why (valgrind --tool=callgrind shows the functions). If the change is meant, " +
		recordAgain + ", and say why in the commit."
)

// counts maps the name of a loop to the instructions that one of its operations takes.
type counts map[string]float64

// figures is the contents of figures.txt: counts for each language version of Go, such as go1.26,
// that builds the program. Patch releases hardly change the code.
type figures map[string]counts

// goVersion returns the version of Go as figures has it.
func goVersion() string { return version.Lang(runtime.Version()) }

// String returns the text of the file. .ci/test reads its version lines too.
func (f figures) String() string {
	var b strings.Builder
	b.WriteString("# Instructions of one operation on " + platform +
		", by version of Go. loops.go has the operations.\n")
	b.WriteString("# If they change, " + recordAgain + ", with each version.\n")
	for _, v := range slices.SortedFunc(maps.Keys(f), version.Compare) {
		fmt.Fprintf(&b, "\nversion %s\n", v)
		for _, l := range loops {
			fmt.Fprintf(&b, "%s %.1f\n", l.name, f[v][l.name])
		}
	}
	return b.String()
}

// parseFigures reads the text that String returns. Each version must have a figure for every loop:
// the figures returned beside an error are the versions that have.
func parseFigures(text string) (figures, error) {
	f := figures{}
	var errs []error
	var now counts
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		if name == "version" {
			if f[value] != nil || version.Lang(value) != value || value == "" {
				errs = append(errs, fmt.Errorf("%q is not a new version of Go", line))
			}
			now = counts{}
			f[value] = now
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n > 0) || math.IsInf(n, 1) {
			errs = append(errs, fmt.Errorf("%q is not a name and a number of instructions", line))
			continue
		}
		if now == nil {
			errs = append(errs, fmt.Errorf("no line before %q has the version of Go: %s", line, recordAgain))
			now = counts{}
		}
		now[name] = n
	}
	for v, now := range f {
		if err := now.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", v, err))
			delete(f, v)
		}
	}
	if len(f) == 0 {
		errs = append(errs, errors.New("no figures: "+recordAgain))
	}
	return f, errors.Join(errs...)
}

// check returns an error unless there is a figure for every loop, and no other.
func (c counts) check() error {
	for _, l := range loops {
		if c[l.name] == 0 {
			return fmt.Errorf("no figure for %s: %s", l.name, recordAgain)
		}
	}
	if len(c) != len(loops) {
		return errors.New("there are figures of loops that are not in loops.go: " + recordAgain)
	}
	return nil
}

// judge returns a complaint if the count differs from the recorded one, or "". A count that is too
// low is wrong as well: the figure must follow it, or a later rise would go unnoticed.
func judge(name string, now, recorded float64) string {
	change := now/recorded - 1
	switch {
	case change > tolerance:
		return fmt.Sprintf("%s takes %.1f instructions, %.1f %% more than the %.1f recorded.",
			name, now, 100*change, recorded)
	case change < -tolerance:
		return fmt.Sprintf("%s takes %.1f instructions, %.1f %% less than the %.1f recorded: the figure must follow.",
			name, now, -100*change, recorded)
	}
	return ""
}
