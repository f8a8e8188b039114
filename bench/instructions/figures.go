package main

import (
	"errors"
	"fmt"
	"go/version"
	"math"
	"runtime"
	"strconv"
	"strings"
)

const (
	platform  = "linux/amd64"
	tolerance = 0.05

	recordAnew = "record anew by make instructions ARGS=-record"
	whatToDo   = "Find out why (valgrind --tool=callgrind tells the functions). If it is meant, " + recordAnew + ", and say why in the commit."
)

// figures is what figures.txt holds: how many instructions an operation of each loop takes, in programs that a version of Go has built.
type figures struct {
	version string // such as go1.26: patches do not change the code much
	counts  map[string]float64
}

// goVersion returns the version of Go as it stands in figures.
func goVersion() string { return version.Lang(runtime.Version()) }

// String returns the text of the file. The first line that is no comment is the version; .ci/test reads it too.
func (f figures) String() string {
	var b strings.Builder
	b.WriteString("# Instructions of one operation on " + platform + ", as loops.go says. If they change, " + recordAnew + ".\n")
	fmt.Fprintf(&b, "version %s\n", f.version)
	for _, l := range loops {
		fmt.Fprintf(&b, "%s %.1f\n", l.name, f.counts[l.name])
	}
	return b.String()
}

// parseFigures reads what String has written. Every loop must have a figure.
func parseFigures(text string) (figures, error) {
	f := figures{counts: map[string]float64{}}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, " ")
		if name == "version" {
			f.version = value
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || !(n > 0) || math.IsInf(n, 1) {
			return f, fmt.Errorf("%q is not a name and a number of instructions", line)
		}
		f.counts[name] = n
	}
	if f.version == "" {
		return f, errors.New("no line says the version of Go: " + recordAnew)
	}
	for _, l := range loops {
		if f.counts[l.name] == 0 {
			return f, fmt.Errorf("no figure for %s: %s", l.name, recordAnew)
		}
	}
	if len(f.counts) != len(loops) {
		return f, errors.New("there are figures of loops that are not in loops.go: " + recordAnew)
	}
	return f, nil
}

// judge returns a complaint if the count is not as recorded, or "". A count that is too low is wrong as well: what was won is held only if
// the figure follows it down.
func judge(name string, now, recorded float64) string {
	change := now/recorded - 1
	switch {
	case change > tolerance:
		return fmt.Sprintf("%s takes %.1f instructions, %.1f %% more than the %.1f recorded.", name, now, 100*change, recorded)
	case change < -tolerance:
		return fmt.Sprintf("%s takes %.1f instructions, %.1f %% less than the %.1f recorded, which do not hold it there.", name, now, -100*change, recorded)
	}
	return ""
}
