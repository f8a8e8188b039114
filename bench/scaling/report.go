package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"text/tabwriter"
)

// assumptions are the parameters that are not measured.
type assumptions struct {
	transfer float64 // ns; see lock.held
	factor   float64 // of holds
	pages    float64 // of visits to the lock of the pages
}

// A studied is a workload with its samples, in ascending order of Ps.
type studied struct {
	work    work
	alone   sample // of some threads on one P
	samples []sample
}

// demand returns the demand of the workload with the Ps of sample i.
func (s *studied) demand(i int, h *holds, a assumptions) demand {
	locks := s.locks(s.samples[i], h, a)
	locks[0].visits *= a.pages
	base := s.base(runtime.NumCPU())
	return newDemand(base.perP(), s.locks(base, h, a), locks)
}

// base returns the sample for the cost of an operation without contention: on one P, or on two Ps
// with a processor each if that was faster. Threads that take turns on one P sometimes pass more to
// one another than threads that run at once: in rptest, lists of blocks. The faster sample has the
// higher demand on the locks, so the prediction is cautious.
func (s *studied) base(cpus int) sample {
	for _, x := range s.samples {
		if x.Ps == 2 && cpus >= 2 && x.perP() < s.alone.perP() {
			return x
		}
	}
	return s.alone
}

// locks returns the locks as used in the sample, the lock of the pages first.
func (s *studied) locks(now sample, h *holds, a assumptions) []lock {
	locks := []lock{pagesLock(now, h, a)}
	for _, c := range now.Classes {
		k := h.centralFor(c.Size)
		each := k.each
		if s.work.inOrder {
			each = k.inOrder
		}
		locks = append(locks, lock{
			name: "centrals of " + strconv.Itoa(int(c.Size)) + " B", visits: c.Locks / now.Ops,
			hold: a.factor * (k.fixed + each*c.Blocks/c.Locks), spread: s.work.spread,
		})
	}
	return locks
}

// pagesLock returns the lock of the pages as used in the sample.
func pagesLock(s sample, h *holds, a assumptions) lock {
	l := lock{name: "pages", visits: s.PageLocks / s.Ops}
	if s.PageLocks > 0 && s.Taken > 0 {
		spans := min(s.Spans/s.Taken, 1)
		l.hold = a.factor * s.Runs / s.PageLocks * (spans*h.span + (1-spans)*h.large)
	}
	return l
}

func table() *tabwriter.Writer {
	return tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func printHolds(h holds) {
	fmt.Println("Upper bounds of the times for which locks are held, in ns (fixed + each * blocks for a batch)")
	t := table()
	fmt.Fprintln(t, "central, size\tfixed\teach\tif in order\tblocks in a batch\tits ns\t")
	for _, c := range h.centrals {
		fmt.Fprintf(t, "%d\t%.0f\t%.1f\t%.1f\t%.0f\t%.0f\t\n",
			c.size, c.fixed, c.each, c.inOrder, c.batch, c.fixed+c.each*c.batch)
	}
	t.Flush()
	fmt.Printf("pages: a span %.0f, a large block %.0f; ", h.span, h.large)
	fmt.Printf("a first call that creates a cache: %.0f, at most four times in a decay period for each P\n\n", h.equip)
}

func printCounts(all []*studied) {
	fmt.Println("Counts per 1000 operations")
	t := table()
	fmt.Fprintln(t, "workload\tPs\tCPUs\tns/op of a P\tcentrals locked\tnot free\tblocks each\t"+
		"pages locked\tnot free\tspans made\tadopted\tRSS/P\tGo memory/P\t")
	for _, s := range all {
		for i, x := range append([]sample{s.alone}, s.samples...) {
			c, k := x.centrals(), 1000/x.Ops
			ps := float64(x.Ps)
			name := strconv.Itoa(x.Ps)
			if i == 0 && !s.work.trace {
				name = fmt.Sprintf("%d for %d", x.Ps, aloneLike)
			}
			fmt.Fprintf(t, "%s\t%s\t%.1f\t%.1f\t%.2f\t%.1f%%\t%.0f\t%.3f\t%.1f%%\t%.3f\t%.4f\t%s\t%s\t\n",
				s.work.name, name, x.CPUs, x.perP(), c.Locks*k, percent(c.Waits, c.Locks), c.Blocks/max(c.Locks, 1),
				x.PageLocks*k, percent(x.PageWaits, x.PageLocks), c.Spans*k, c.Adopted*k, megabytes(x.Peak/ps),
				megabytes(x.Go/ps))
		}
	}
	t.Flush()
	fmt.Println()
}

// perP returns the time of an operation of a P on a processor.
func (s sample) perP() float64 { return s.Ns / s.Ops * float64(min(s.Ps, runtime.NumCPU())) }

func printPredictions(all []*studied, h holds, a assumptions) {
	fmt.Printf("Predicted time of an operation of a P if all ran at once, in ns, if a lock from another processor's cache\n"+
		"costs %.0f ns more, and is held %.1f times as long as measured\n", a.transfer, a.factor)
	t := table()
	fmt.Fprint(t, "workload\t")
	for _, x := range all[0].samples {
		fmt.Fprintf(t, "%d\t", x.Ps)
	}
	last := all[0].samples[len(all[0].samples)-1].Ps
	fmt.Fprintf(t, "waits at %d\tbusiest lock\tits load\tfirst saturated\twith Ps\t\n", last)
	for _, s := range all {
		fmt.Fprintf(t, "%s\t", s.work.name)
		for i, x := range s.samples {
			total, _ := s.demand(i, &h, a).cost(x.Ps, a.transfer)
			fmt.Fprintf(t, "%.1f\t", total)
		}
		d := s.demand(len(s.samples)-1, &h, a)
		total, waits := d.cost(last, a.transfer)
		sum := 0.0
		for _, w := range waits {
			sum += w
		}
		k, load := d.busiest(last, a.transfer)
		fmt.Fprintf(t, "%.0f%%\t%s\t%.2f\t", percent(sum, total), d.locks[k].name, load)
		if k, n, ok := d.saturation(a.transfer); ok {
			fmt.Fprintf(t, "%s\t%d\t\n", d.locks[k].name, n)
		} else {
			fmt.Fprintf(t, "none\t\t\n")
		}
	}
	t.Flush()
}

func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}

func megabytes(n float64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f MB", n/1e6)
}
