package workload

// An rng is a generator of random numbers: splitmix64, a mixed counter.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9E3779B97F4A7C15
	return mix(uint64(*r))
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * mixFactor
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

const mixFactor = 0xBF58476D1CE4E5B9

// below returns a number less than n, which is less than 2^32.
func (r *rng) below(n uint64) uint64 { return r.next() >> 32 * n >> 32 }
