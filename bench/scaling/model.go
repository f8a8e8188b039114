package main

import "math"

// The model. n Ps work on operations, one after the other. An operation thinks for some time, needing nobody else, and visits
// each lock so many times, holding it for some time. That is a closed queueing network with n customers, and mean value analysis
// gives the time of an operation exactly, from 1 customer to n (M. Reiser, S. S. Lavenberg: Mean-value analysis of closed
// multichain queuing networks, JACM 27, 1980):
//
//	R_k(n) = S_k * (1 + Q_k(n-1))           who comes finds on average what is there if he himself is not
//	X(n)   = n / (Z + Σ V_k * R_k(n))       operations per time, of all (Little)
//	Q_k(n) = X(n) * V_k * R_k(n)            who is at the lock, waiting or holding it (Little)
//
// with Z to think, V_k visits, S_k held. With one lock it is the machine repairman. A closed network is the right one, and not
// an open queue such as M/D/1, since a P that waits sends no further requests: what saturates becomes slower, not infinitely
// slow. The times that locks are held are taken as exponential, which they are not; with constant ones, waits below saturation
// are up to half as long, and at saturation as long.
//
// A lock saturates where n * V_k * S_k >= Z + Σ V_k * S_k: more Ps than that do no more work (E. Lazowska et al., Quantitative
// System Performance, 1984, ch. 5).

// A lock is a kind of locks that are alike: the lock of the pages, or those of the centrals of one class.
type lock struct {
	name   string
	visits float64 // per operation, to all of them
	hold   float64 // ns
	spread float64 // 0: there is one. Otherwise there are so many for each P, visited equally.
}

// copies returns how many there are with n Ps.
func (l lock) copies(n int) float64 { return max(l.spread*float64(n), 1) }

// held returns how long it is held with n Ps: what it guards comes from another processor's cache, unless the same had it last.
func (l lock) held(n int, transfer float64) float64 { return l.hold + transfer*(1-1/float64(n)) }

// A demand is a workload seen as one customer.
type demand struct {
	think float64 // ns per operation without any lock
	locks []lock
}

// newDemand returns the demand of a workload that visits locks, and whose operations take alone ns on one P, where they visit
// aloneLocks.
func newDemand(alone float64, aloneLocks, locks []lock) demand {
	d := demand{think: alone, locks: locks}
	for _, l := range aloneLocks {
		d.think -= l.visits * l.hold
	}
	// Holds are upper bounds, and may add up to more than there is. Something is left besides them.
	d.think = max(d.think, alone/10)
	return d
}

// cost returns the time of an operation with n Ps at once, in ns, and the part of it that is spent waiting for each lock.
func (d demand) cost(n int, transfer float64) (total float64, waits []float64) {
	queue := make([]float64, len(d.locks)) // at each copy
	waits = make([]float64, len(d.locks))
	for customers := 1; customers <= n; customers++ {
		total = d.think
		for k, l := range d.locks {
			s := l.held(n, transfer)
			waits[k] = l.visits * s * queue[k]
			total += l.visits*s + waits[k]
		}
		for k, l := range d.locks {
			queue[k] = float64(customers) / total * (l.visits*l.held(n, transfer) + waits[k]) / l.copies(n)
		}
	}
	return total, waits
}

// load returns what part of the time lock k would be held if n Ps never had to wait: 1 or more is saturation.
func (d demand) load(k, n int, transfer float64) float64 {
	free := d.think
	for _, l := range d.locks {
		free += l.visits * l.held(n, transfer)
	}
	l := d.locks[k]
	return float64(n) * l.visits * l.held(n, transfer) / l.copies(n) / free
}

// busiest returns the lock with the greatest load at n Ps.
func (d demand) busiest(n int, transfer float64) (k int, load float64) {
	load = math.Inf(-1)
	for i := range d.locks {
		if x := d.load(i, n, transfer); x > load {
			k, load = i, x
		}
	}
	return k, load
}

const mostPs = 1 << 14

// saturation returns the least number of Ps with which a lock is saturated, and which it is; ok is false if there is none up to
// mostPs.
func (d demand) saturation(transfer float64) (k, n int, ok bool) {
	for n = 1; n <= mostPs; n++ {
		if k, load := d.busiest(n, transfer); load >= 1 {
			return k, n, true
		}
	}
	return 0, 0, false
}
