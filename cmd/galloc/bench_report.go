package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/galloc-go/galloc/internal/workload"
)

// printBenchHead prints what stands before the lines, as go test -bench does, and tells benchstat what is better.
func printBenchHead(w io.Writer, o benchOptions) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/galloc-go/galloc/internal/workload\n", runtime.GOOS, runtime.GOARCH)
	if cpu := cpuName(); cpu != "" {
		fmt.Fprintf(&b, "cpu: %s\n", cpu)
	}
	if !o.latency {
		b.WriteString("Unit ops/s better=higher\n")
	}
	b.WriteString("Unit peak-B better=lower\n")
	_, err := io.WriteString(w, b.String())
	return printed(err)
}

// printBenchLine prints one run. In the name are all parameters that are not the default ones.
func printBenchLine(w io.Writer, o benchOptions, c benchCell, r workload.Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Benchmark%s/alloc=%s/threads=%d", benchName(c.workload), c.alloc, c.threads)
	for _, s := range o.settings {
		b.WriteString("/" + s)
	}
	b.WriteString(procs())
	if o.latency {
		fmt.Fprintf(&b, "\t%10d", r.Calls)
		value(&b, r.P50, "p50-ns")
		value(&b, r.P99, "p99-ns")
		value(&b, r.P999, "p99.9-ns")
		value(&b, r.Max, "max-ns")
	} else {
		fmt.Fprintf(&b, "\t%10d", r.Ops)
		value(&b, float64(r.Ns)/float64(r.Ops), "ns/op")
		value(&b, float64(r.Ops)/float64(max(r.Ns, 1))*1e9, "ops/s")
	}
	if r.PeakRSS != nil {
		fmt.Fprintf(&b, "\t%10d peak-B", *r.PeakRSS)
	}
	_, err := fmt.Fprintln(w, b.String())
	return printed(err)
}

// value writes v with four digits or more.
func value(b *strings.Builder, v float64, unit string) {
	decimals := 0
	for limit := 1000.0; v < limit && decimals < 4; limit /= 10 {
		decimals++
	}
	fmt.Fprintf(b, "\t%10s %s", strconv.FormatFloat(v, 'f', decimals, 64), unit)
}

// benchName turns the name of a workload into one for a benchmark: xmalloc-test into XmallocTest.
func benchName(workload string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(workload, "-") {
		r := []rune(part)
		r[0] = unicode.ToUpper(r[0])
		b.WriteString(string(r))
	}
	return b.String()
}

// cpuName returns what the processor calls itself, or "" where the system does not tell it in the way of Linux.
func cpuName() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(info) {
		if key, name, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(key)) == "model name" {
			return string(bytes.TrimSpace(name))
		}
	}
	return ""
}
