package replay

import (
	"math/rand/v2"

	"github.com/galloc-go/galloc/trace"
)

// randomOps returns a possible trace of n events on at most the given number of threads, with every
// kind, zero sizes, and frees across threads.
func randomOps(rng *rand.Rand, n, threads int) []trace.Op {
	var (
		ops  []trace.Op
		live []uint64
		next = uint64(1)
		seen = 0
	)
	size := func() uint64 {
		switch rng.IntN(8) {
		case 0:
			return uint64(rng.IntN(3)) // 0 and the smallest
		case 1:
			return uint64(14 + rng.IntN(4)) // where the alignment changes
		case 2:
			return uint64(rng.IntN(1 << 20))
		}
		return uint64(1 + rng.IntN(300))
	}
	give := func(op trace.Op) trace.Op {
		op.ID = next
		live = append(live, next)
		next++
		return op
	}
	take := func() uint64 {
		// Mostly a recent object, as in real programs.
		i := len(live) - 1 - min(rng.IntN(8), len(live)-1)
		if rng.IntN(4) == 0 {
			i = rng.IntN(len(live))
		}
		id := live[i]
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		return id
	}
	for len(ops) < n {
		thread := rng.IntN(min(threads, seen+1))
		op := trace.Op{Thread: thread}
		switch r := rng.IntN(20); {
		case r < 8 && len(live) > 0:
			op.Kind, op.ID = trace.Free, take()
		case r < 11 && len(live) > 0:
			op.Kind, op.Old, op.Size = trace.Realloc, take(), size()
			op = give(op)
		case r == 11:
			op.Kind, op.Size = trace.Realloc, size()
			op = give(op)
		case r == 12:
			op.Kind, op.Size, op.Align = trace.Aligned, size(), 1<<rng.IntN(13)
			op = give(op)
		case r < 15:
			op.Kind, op.Size = trace.Calloc, size()
			op = give(op)
		default:
			op.Kind, op.Size = trace.Malloc, size()
			op = give(op)
		}
		seen = max(seen, thread+1)
		ops = append(ops, op)
	}
	return ops
}
