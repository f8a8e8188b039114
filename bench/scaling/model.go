package main

import "math"

// The model. n Ps perform operations, each one after the other. An operation thinks for a time Z,
// without locks, and visits lock k V_k times, holding it for S_k. This is a closed queueing network
// with n customers. Mean value analysis computes the time of an operation exactly, from 1 customer
// to n (M. Reiser, S. S. Lavenberg: Mean-value analysis of closed multichain queuing networks, JACM
// 27, 1980):
//
//	R_k(n) = S_k * (1 + Q_k(n-1))           an arriving customer finds the mean queue of the network without it
//	X(n)   = n / (Z + Σ V_k * R_k(n))       operations of all per time (Little)
//	Q_k(n) = X(n) * V_k * R_k(n)            customers at the lock, waiting or holding it (Little)
//
// With one lock it is the machine repairman model. The network is closed, unlike an open queue such
// as M/D/1, because a P that waits sends no further requests: a saturated lock makes operations
// slower, not infinitely slow. The hold times are assumed exponential; with constant ones, waits
// below saturation are up to half as long, and at saturation equally long.
//
// A lock saturates where n * V_k * S_k >= Z + Σ V_k * S_k: more Ps do no more work (E. Lazowska et
// al., Quantitative System Performance, 1984, ch. 5).

// A lock is a set of equivalent locks: the lock of the pages, or the locks of the centrals of one
// class.
type lock struct {
	name   string
	visits float64 // per operation, to all locks of the set
	hold   float64 // ns
	spread float64 // number of locks per P, visited equally; 0: one lock in all
}

// copies returns the number of locks with n Ps.
func (l lock) copies(n int) float64 { return max(l.spread*float64(n), 1) }

// held returns the hold time with n Ps: the data come from another processor's cache, unless the
// same processor held the lock last.
func (l lock) held(n int, transfer float64) float64 { return l.hold + transfer*(1-1/float64(n)) }

// A demand is the demand of one customer, that is, of a workload on one P.
type demand struct {
	think float64 // ns per operation without any lock
	locks []lock
}

// newDemand returns the demand of a workload that visits locks, and whose operations take alone ns
// on one P, where they visit aloneLocks.
func newDemand(alone float64, aloneLocks, locks []lock) demand {
	d := demand{think: alone, locks: locks}
	for _, l := range aloneLocks {
		d.think -= l.visits * l.hold
	}
	// Hold times are upper bounds, and their sum may exceed the total. Keep some time to think.
	d.think = max(d.think, alone/10)
	return d
}

// cost returns the time of an operation with n Ps at once, in ns, and its parts spent waiting for
// each lock.
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

// load returns the part of the time for which lock k would be held if n Ps never waited: 1 or more
// is saturation.
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

const maxPs = 1 << 14

// saturation returns the least number of Ps that saturates a lock, and the lock; ok is false if
// there is none up to maxPs.
func (d demand) saturation(transfer float64) (k, n int, ok bool) {
	for n = 1; n <= maxPs; n++ {
		if k, load := d.busiest(n, transfer); load >= 1 {
			return k, n, true
		}
	}
	return 0, 0, false
}
