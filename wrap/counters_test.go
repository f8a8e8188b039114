package wrap

import (
	"math/rand/v2"
	"testing"
)

// The counts of a P never differ from the flushed ones by more than flushAt, in either direction,
// and high is the maximum since the flush.
func TestCountsFlushInTime(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 5))
	var k counts
	k.flush() // the first free of a new one flushes
	var net, flushed, high int64
	drift := int64(1)
	for i := range 200_000 {
		if i%20_000 == 0 {
			drift = -drift
		}
		n := 1 + r.Int64N(3000)
		var flush bool
		switch {
		case r.IntN(10) == 0:
			m := 1 + r.Int64N(3000)
			flush = k.resize(uintptr(n), uintptr(m))
			net += m - n
		case r.IntN(4) == 0 == (drift > 0):
			flush = k.sub(uintptr(n))
			net -= n
		default:
			flush = k.add(uintptr(n))
			net += n
		}
		high = max(high, net)
		if far := net-flushed > flushAt || net-flushed < -flushAt; far != flush {
			t.Fatalf("step %d: net %d, flushed %d, to flush: %v", i, net, flushed, flush)
		}
		if flush {
			change, top := k.flush()
			if change != net-flushed || top != high-flushed {
				t.Fatalf("step %d: changed by %d, high %d; want %d, %d", i, change, top, net-flushed, high-flushed)
			}
			flushed, high = net, net
		}
	}
}
