package main

import (
	"context"
	"time"
)

// plan is what is to be measured, and how often.
type plan struct {
	rows     []row
	allocs   []*allocator
	reps     int           // repetitions; of brief allocators half as many
	latency  bool          // latency too, in latencyRuns of the repetitions, and settling in the first
	budget   time.Duration // no repetition is begun that would not be done by then
	patience time.Duration // what takes an allocator longer is not repeated
}

// jobs returns those of repetition rep: for each row all allocators one after the other, beginning with another one each time, so
// that whatever the machine does besides hits all of them, and none always comes first.
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
			all = append(all, job{row: r, alloc: here[(k+rep+i)%len(here)], latency: latency, settle: latency && rep == 0})
		}
	}
	return all
}

const latencyRuns = 3

// all returns the jobs of each pass: the first repetition, that for latency, and the other repetitions, some with one for latency. So all
// that can be known is known early, and what the time does not suffice for is only more of the same.
func (p plan) all() [][]job {
	var passes [][]job
	add := func(jobs []job) {
		if len(jobs) > 0 { // there may be no rows for latency, and only allocators that skip this repetition
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

// carryOut does the jobs, and returns the samples and how many repetitions there are of what was repeated.
func (p plan) carryOut(ctx context.Context, run func(context.Context, job) sample, now func() time.Time, bar *bar) (samples []sample, reps int) {
	began := now()
	took := map[string]time.Duration{} // the last time, by job
	impatient := map[string]bool{}     // jobs that are not repeated
	passes := p.all()
	for n, pass := range passes {
		var todo []job
		var expected time.Duration
		for _, j := range pass {
			if !impatient[j.String()] {
				todo = append(todo, j)
				expected += took[j.String()]
			}
		}
		if reps > 0 && !pass[0].settle && now().Add(expected).Sub(began) > p.budget {
			break
		}
		for i, j := range todo {
			bar.show(j.String(), float64(i)/float64(len(todo)), n+1, len(passes), estimate(todo[i:], passes[n+1:], took))
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

// estimate says how long the jobs will take: as long as the last time, and those that have not been done as long as the mean of the others.
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
