// Command scaling asks how galloc's heap would behave on machines with more processors than this one.
//
//	go -C bench run ./scaling
//
// What needs many processors is what they do to one another, and in this heap they meet at locks only. So three things are
// measured here, on whatever processors there are, and the fourth is computed:
//
//  1. how long each lock is held (hold.go), single-threaded and warm;
//  2. how often each lock is taken for an operation of a workload, with 1, 2, 8, 32 and 128 Ps: the counters of the heap say so
//     (sample.go);
//  3. what an operation costs a P without company: one that is alone and does the work of a few threads in turn, or two with a
//     processor each;
//  4. what it would cost if all the Ps ran at once, and which lock would be busy all the time first (model.go).
//
// What is counted with more Ps than processors is on the dark side: each P does little between two ticks of the heap, which take
// its cache away if it has not been on a processor, so magazines stay short and spans change hands.
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

// aloneLike is how many threads a workload has on the one P that tells what an operation costs without company: enough for what
// they do to one another, such as freeing the blocks of others, and few enough for the caches of one processor.
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
	transfer := flags.Duration("transfer", 100*time.Nanosecond, "assumed: what it costs that a lock was held by another processor last")
	factor := flags.Float64("holds", 1, "what the measured times that locks are held are multiplied with, for caches that are colder")
	pages := flags.Float64("pages", 1, "what the visits to the lock of the pages are multiplied with: what if there were fewer?")
	rounds := flags.Int("rounds", 3, "how often each is measured with 1 and 2 Ps; the least time counts")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 || *rounds < 1 || *factor <= 0 || *pages <= 0 || *transfer < 0 {
		return errors.New("no arguments, rounds of at least 1, and positive factors: see -h")
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

// parseCounts reads the numbers of Ps. The first is 1, since what an operation costs alone is needed.
func parseCounts(text string) ([]int, error) {
	var counts []int
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 || n > 1024 || len(counts) == 0 && n != 1 || len(counts) > 0 && n <= counts[len(counts)-1] {
			return nil, fmt.Errorf("-ps %s: give numbers from 1 to 1024 in ascending order, the first of which is 1", text)
		}
		counts = append(counts, n)
	}
	return counts, nil
}
