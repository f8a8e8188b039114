package main

import (
	"context"
	"time"
)

// plan is a set of measurements.
type plan struct {
	rows   []row
	allocs []*allocator
	reps   int // repetitions; half as many for brief allocators
	// Also measure latency, in latencyRuns of the repetitions, and settling in the first.
	latency  bool
	budget   time.Duration // no repetition begins that would end after this time
	patience time.Duration // a run that takes longer is not repeated
	cheap    time.Duration // rows of which every run takes less are measured often
}

// jobs returns the jobs of repetition rep: for each row all allocators in turn, beginning with
// another allocator each time, so that disturbances of the machine affect all of them, and none is
// always the first.
func (p plan) jobs(rep int, latency bool) []job {
	var all []job
	for i, r := range p.rows {
		if latency && !r.Latency {
			continue
		}
		var here []*allocator
		for _, a := range p.allocs {
			if a.applies(r) && (!latency || a.Listen) && (!a.Brief || rep%2 == 0) {
				here = append(here, a)
			}
		}
		for k := range here {
			all = append(all,
				job{row: r, alloc: here[(k+rep+i)%len(here)], latency: latency, settle: latency && rep == 0})
		}
	}
	return all
}

const latencyRuns = 3

// all returns the jobs of each pass: the first repetition, the first one for latency, and the other
// repetitions, some followed by one for latency. So every cell is measured early, and the budget
// only limits repetitions.
func (p plan) all() [][]job {
	var passes [][]job
	add := func(jobs []job) {
		// There may be no rows for latency, or only allocators that skip this repetition.
		if len(jobs) > 0 {
			passes = append(passes, jobs)
		}
	}
	for rep := range p.reps {
		add(p.jobs(rep, false))
		if rep < latencyRuns && p.latency {
			add(p.jobs(rep, true))
		}
	}
	return passes
}

// often is how many times a pass measures a cheap row, once it is known to be cheap.
const often = 4

// repeated returns the jobs, with cheap rows several times. The allocators still take turns.
func (p plan) repeated(jobs []job, took map[string]time.Duration) (all []job) {
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].row.id() == jobs[0].row.id() {
			n++
		}
		times := often
		for _, j := range jobs[:n] {
			if t, known := took[j.String()]; !known || t >= p.cheap || j.latency {
				times = 1
			}
		}
		for range times {
			all = append(all, jobs[:n]...)
		}
		jobs = jobs[n:]
	}
	return all
}

// carryOut does the jobs, and returns the samples and the number of repetitions.
func (p plan) carryOut(ctx context.Context, run func(context.Context, job) sample, now func() time.Time,
	bar *bar,
) (samples []sample, reps int) {
	began := now()
	took := map[string]time.Duration{} // time of the last run, by job
	impatient := map[string]bool{}     // jobs that are not repeated
	passes := p.all()
	for n, pass := range passes {
		var todo []job
		var expected time.Duration
		for _, j := range p.repeated(pass, took) {
			if !impatient[j.String()] {
				todo = append(todo, j)
				expected += took[j.String()]
			}
		}
		if reps > 0 && !pass[0].settle && now().Add(expected).Sub(began) > p.budget {
			break
		}
		for i, j := range todo {
			bar.show(j.String(), float64(i)/float64(len(todo)), n+1, len(passes),
				estimate(todo[i:], passes[n+1:], took))
			start := now()
			s := run(ctx, j)
			if ctx.Err() != nil {
				return samples, reps
			}
			samples = append(samples, s)
			took[j.String()] = now().Sub(start)
			if took[j.String()] > p.patience || s.Answer.Error != "" {
				impatient[j.String()] = true
			}
		}
		if !pass[0].latency {
			reps++
		}
	}
	return samples, reps
}

// estimate returns the expected time of the jobs: the time of the last run, or the mean of all jobs
// for a job that has not run yet.
func estimate(rest []job, passes [][]job, took map[string]time.Duration) time.Duration {
	var known, sum time.Duration
	for _, t := range took {
		known += t
	}
	mean := known / time.Duration(max(len(took), 1))
	add := func(jobs []job) {
		for _, j := range jobs {
			if t, done := took[j.String()]; done {
				sum += t
			} else {
				sum += mean
			}
		}
	}
	add(rest)
	for _, p := range passes {
		add(p)
	}
	return sum
}
