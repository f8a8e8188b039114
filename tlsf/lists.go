package tlsf

import "math/bits"

// class returns the list of free blocks of n granules. In row 0, each n below steps has its own
// list. Row i > 0 divides the range from 1<<(i+lgSteps-1) to twice that into equal steps. Here and
// below, &31 changes nothing: it shows the compiler that a shift is below 32, which saves tests.
func class(n uint32) (i, j uint) {
	if n < steps {
		return 0, uint(n)
	}
	lg := uint(bits.Len32(n)) - 1
	return lg - lgSteps + 1, uint(n>>((lg-lgSteps)&31)) - steps
}

// put makes the n granules from f on a free block, at the front of its list. The caller need not
// set its first or last word.
func (r *Region) put(f, n uint32) {
	i, j := class(n)
	next := r.head[i][j]
	block := r.table[f : f+n : f+n]
	block[n-1] = n<<2 | last
	block[0], block[1], block[2] = n<<2|free, next<<2, 0
	if next != 0 {
		r.table[next+2] = f << 2
	}
	r.head[i][j] = f
	r.second[i] |= 1 << (j & 31)
	r.first |= 1 << (i & 31)
}

// take removes the free block f from its list. It leaves the first and last word of the block
// unchanged.
func (r *Region) take(f uint32) {
	block := r.table[f : f+3 : f+3]
	next, prev := block[1]>>2, block[2]>>2
	if next != 0 {
		r.table[next+2] = prev << 2
	}
	if prev != 0 {
		r.table[prev+1] = next << 2
		return
	}
	i, j := class(block[0] >> 2)
	r.head[i][j] = next
	if next == 0 {
		r.second[i] &^= 1 << (j & 31)
		if r.second[i] == 0 {
			r.first &^= 1 << (i & 31)
		}
	}
}

// search returns a free block of at least n granules, or 0: the first block of the first list whose
// blocks are all large enough. If there is none, it tries the first block of the list before.
func (r *Region) search(n uint32) uint32 {
	up := n
	if n >= steps {
		up += 1<<((uint(bits.Len32(n))-1-lgSteps)&31) - 1
	}
	if i, j := class(up); i < powers {
		row := r.second[i] >> (j & 31) << (j & 31)
		if row == 0 {
			rows := r.first &^ (2<<(i&31) - 1)
			if rows == 0 {
				return r.lastResort(n)
			}
			i = uint(bits.TrailingZeros32(rows))
			row = r.second[i]
		}
		return r.head[i][bits.TrailingZeros32(row)]
	}
	return r.lastResort(n)
}

// lastResort returns the first block of the list of n granules if it is large enough, or 0.
func (r *Region) lastResort(n uint32) uint32 {
	if n > r.granules() {
		return 0
	}
	i, j := class(n)
	if f := r.head[i][j]; f != 0 && r.table[f]>>2 >= n {
		return f
	}
	return 0
}
