package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The CSV file of a run has one line per row and allocator. Lines before them that begin with # say
// when, where and how it was measured: "# key: value".

var csvHead = []string{
	"group", "name", "threads", "allocator", "runs", "median_ns", "least_ns", "greatest_ns",
	"peak_bytes", "p50_ns", "p99_ns", "p999_ns", "longest_ns", "end_bytes", "error",
}

// numbers returns the figures of a cell in the order of csvHead.
func (c *cell) numbers() []*float64 {
	return []*float64{&c.median, &c.least, &c.greatest, &c.peak, &c.p50, &c.p99, &c.p999, &c.longest, &c.end}
}

// csv returns the figures as a CSV file.
func (f *figures) csv() string {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "# %s: %s\n", key, oneLine(value)) }
	lines := func(key string, values []string) {
		for _, v := range values {
			line(key, v)
		}
	}
	line("date", f.Date)
	line("command", f.Command)
	line("repetitions", strconv.Itoa(f.Reps))
	line("processor", f.Machine.CPU)
	line("cpus", strconv.Itoa(f.Machine.CPUs))
	line("memory", f.Machine.Memory)
	line("system", f.Machine.System)
	lines("compiler", f.Versions)
	lines("missing", f.Missing)
	lines("fault", f.Faults)
	lines("note", f.Notes)
	for _, a := range f.Allocs {
		line("allocator "+a.Name, f.Calls[a.Name])
	}
	w := csv.NewWriter(&b)
	_ = w.Write(csvHead) // a Builder has no errors
	for _, r := range f.Rows {
		for _, a := range f.Allocs {
			c, ok := f.cells[[2]string{r.id(), a.Name}]
			if !ok {
				continue
			}
			record := []string{r.Group, r.Name, strconv.Itoa(r.Threads), a.Name, strconv.Itoa(c.runs)}
			for _, v := range c.numbers() {
				text := ""
				if !math.IsNaN(*v) {
					text = strconv.FormatFloat(math.Round(*v*1000)/1000, 'f', -1, 64)
				}
				record = append(record, text)
			}
			_ = w.Write(append(record, c.err))
		}
	}
	w.Flush()
	return b.String()
}

// readCSV returns the figures in a CSV file.
func readCSV(text []byte) (*figures, error) {
	f := &figures{Calls: map[string]string{}, cells: map[[2]string]cell{}}
	known := allocators()
	column := func(name string) {
		if slices.ContainsFunc(f.Allocs, func(a *allocator) bool { return a.Name == name }) {
			return
		}
		a := &allocator{Name: name}
		if i := slices.IndexFunc(known, func(a *allocator) bool { return a.Name == name }); i >= 0 {
			a = known[i]
		}
		f.Allocs = append(f.Allocs, a)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		key, value, ok := strings.Cut(strings.TrimPrefix(s.Text(), "# "), ": ")
		if !strings.HasPrefix(s.Text(), "# ") || !ok {
			continue
		}
		var err error
		switch key {
		case "date":
			f.Date = value
		case "command":
			f.Command = value
		case "repetitions":
			f.Reps, err = strconv.Atoi(value)
		case "processor":
			f.Machine.CPU = value
		case "cpus":
			f.Machine.CPUs, err = strconv.Atoi(value)
		case "memory":
			f.Machine.Memory = value
		case "system":
			f.Machine.System = value
		case "compiler":
			f.Versions = append(f.Versions, value)
		case "missing":
			f.Missing = append(f.Missing, value)
		case "fault":
			f.Faults = append(f.Faults, value)
		case "note":
			f.Notes = append(f.Notes, value)
		default:
			name, ok := strings.CutPrefix(key, "allocator ")
			if !ok {
				return nil, fmt.Errorf("unknown line %q", s.Text())
			}
			column(name)
			f.Calls[name] = value
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s.Text(), err)
		}
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.Comment = '#'
	r.FieldsPerRecord = len(csvHead)
	records, err := r.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(records) == 0 || !slices.Equal(records[0], csvHead) {
		return nil, fmt.Errorf("the first line must be %s", strings.Join(csvHead, ","))
	}
	for i, record := range records[1:] {
		threads, err := strconv.Atoi(record[2])
		row := row{Group: record[0], Name: record[1], Threads: threads}
		c := unknown()
		c.err = record[len(record)-1]
		if err == nil {
			c.runs, err = strconv.Atoi(record[4])
		}
		for k, v := range c.numbers() {
			if text := record[5+k]; text != "" && err == nil {
				*v, err = strconv.ParseFloat(text, 64)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		}
		column(record[3])
		if len(f.Rows) == 0 || f.Rows[len(f.Rows)-1].id() != row.id() {
			f.Rows = append(f.Rows, row)
		}
		f.cells[[2]string{row.id(), record[3]}] = c
	}
	return f, nil
}
