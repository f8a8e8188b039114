// Command scaling predicts how galloc's heap behaves on machines with more processors than this
// one.
//
//	go -C bench run ./scaling
//
// Processors affect one another only through the locks of the heap. So three things are measured,
// on any number of processors, and the fourth is computed:
//
//  1. the time for which each lock is held (hold.go), single-threaded and warm;
//  2. the number of times each lock is taken per operation of a workload, with 1, 2, 8, 32 and 128
//     Ps, from the counters of the heap (sample.go);
//  3. the cost of an operation without contention: on one P that does the work of a few threads in
//     turn, or on two with a processor each;
//  4. the cost of an operation if all the Ps ran at once, and the lock that saturates first
//     (model.go).
//
// The counts with more Ps than processors are pessimistic: each P does little between two ticks of
// the heap, which take away the cache of a P that has not run, so magazines stay short and spans
// change their owners.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

const childName = "child"

// aloneLike is the number of threads of a workload on one P, which measures the cost of an
// operation without contention: enough threads to interact, for example by freeing the blocks of
// others, and few enough for the caches of one processor.
const aloneLike = 4

func main() {
	if len(os.Args) > 1 && os.Args[1] == childName {
		os.Exit(child(os.Args[2:], os.Stdout))
	}
	if err := study(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "scaling:", err)
		os.Exit(1)
	}
}

func study(args []string) error {
	flags := flag.NewFlagSet("scaling", flag.ContinueOnError)
	ps := flags.String("ps", "1,2,8,32,128", "numbers of Ps, from 1 on, in ascending order")
	which := flags.String("run", "", "only workloads that match this `regexp`")
	transfer := flags.Duration("transfer", 100*time.Nanosecond,
		"assumed cost of taking a lock that another processor held last")
	factor := flags.Float64("holds", 1, "`factor` of the measured times for which locks are held, for colder caches")
	pages := flags.Float64("pages", 1, "`factor` of the visits to the lock of the pages")
	rounds := flags.Int("rounds", 3, "number of measurements with 1 and 2 Ps; the least time counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || *rounds < 1 || *factor <= 0 || *pages <= 0 || *transfer < 0 {
		return errors.New("there must be no arguments, at least 1 round, and positive factors: see -h")
	}
	counts, err := parseCounts(*ps)
	if err != nil {
		return err
	}
	match, err := regexp.Compile(*which)
	if err != nil {
		return err
	}

	fmt.Printf("%s, %s/%s, %d CPUs\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	h, err := measureHolds()
	if err != nil {
		return err
	}
	printHolds(h)
	assume := assumptions{transfer: float64(transfer.Nanoseconds()), factor: *factor, pages: *pages}
	var all []*studied
	for _, w := range works {
		if !match.MatchString(w.name) {
			continue
		}
		s := &studied{work: w}
		if s.alone, err = best(w, aloneLike, 1, *rounds); err != nil {
			return fmt.Errorf("%s alone: %w", w.name, err)
		}
		for _, p := range counts {
			n := 1
			if p <= 2 {
				n = *rounds
			}
			sample, err := best(w, p, p, n)
			if err != nil {
				return fmt.Errorf("%s with %d Ps: %w", w.name, p, err)
			}
			s.samples = append(s.samples, sample)
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		return fmt.Errorf("no workload matches %q", *which)
	}
	printCounts(all)
	printPredictions(all, h, assume)
	return nil
}

// parseCounts parses the numbers of Ps. The first must be 1, to measure the cost without
// contention.
func parseCounts(text string) ([]int, error) {
	var counts []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 1024 || len(counts) == 0 && n != 1 ||
			len(counts) > 0 && n <= counts[len(counts)-1] {
			return nil, fmt.Errorf("-ps %s: write numbers from 1 to 1024 in ascending order, beginning with 1", text)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
