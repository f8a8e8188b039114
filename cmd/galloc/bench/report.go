package bench

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"github.com/galloc-go/galloc/cmd/galloc/internal/cli"
	"github.com/galloc-go/galloc/internal/workload"
)

// printHead prints the lines before the runs, as go test -bench does. For benchstat, they say which
// direction is better.
func printHead(w io.Writer, o options) error {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: github.com/galloc-go/galloc/internal/workload\n",
		runtime.GOOS, runtime.GOARCH)
	if cpu := cpuName(); cpu != "" {
		fmt.Fprintf(&b, "cpu: %s\n", cpu)
	}
	if !o.latency {
		b.WriteString("Unit ops/s better=higher\n")
	}
	b.WriteString("Unit peak-B better=lower\n")
	_, err := io.WriteString(w, b.String())
	return cli.Printed(err)
}

// printLine prints one run. Its name has all parameters that were set.
func printLine(w io.Writer, o options, c cell, r workload.Result) error {
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
	return cli.Printed(err)
}

// value writes v with four digits or more.
func value(b *strings.Builder, v float64, unit string) {
	decimals := 0
	for limit := 1000.0; v < limit && decimals < 4; limit /= 10 {
		decimals++
	}
	fmt.Fprintf(b, "\t%10s %s", strconv.FormatFloat(v, 'f', decimals, 64), unit)
}

// benchName returns the name of a workload as the name of a benchmark: XmallocTest for
// xmalloc-test.
func benchName(workload string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(workload, "-") {
		r := []rune(part)
		r[0] = unicode.ToUpper(r[0])
		b.WriteString(string(r))
	}
	return b.String()
}

// cpuName returns the name of the processor, or "" if /proc/cpuinfo does not have it.
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
