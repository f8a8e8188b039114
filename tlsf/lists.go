package tlsf

import "math/bits"

// class returns the list for free blocks of n granules. Up to steps, each n has a list of its own, in
// the row 0; row i > 0 divides the n from 1<<(i+lgSteps-1) up to twice that into equal steps. Here and
// below, &31 changes nothing: it tells the compiler that a shift is less than 32, which saves tests.
func class(n uint32) (i, j uint) {
	if n < steps {
		return 0, uint(n)
	}
	lg := uint(bits.Len32(n)) - 1
	return lg - lgSteps + 1, uint(n>>((lg-lgSteps)&31)) - steps
}

// put makes the n granules from f a free block, at the front of its list. Neither its first word nor
// its last need be set.
func (a *Allocator) put(f, n uint32) {
	i, j := class(n)
	next := a.head[i][j]
	block := a.table[f : f+n : f+n]
	block[n-1] = n<<2 | last
	block[0], block[1], block[2] = n<<2|free, next<<2, 0
	if next != 0 {
		a.table[next+2] = f << 2
	}
	a.head[i][j] = f
	a.second[i] |= 1 << (j & 31)
	a.first |= 1 << (i & 31)
}

// take takes the free block f out of its list. Its first word and its last are left as they are.
func (a *Allocator) take(f uint32) {
	block := a.table[f : f+3 : f+3]
	next, prev := block[1]>>2, block[2]>>2
	if next != 0 {
		a.table[next+2] = prev << 2
	}
	if prev != 0 {
		a.table[prev+1] = next << 2
		return
	}
	i, j := class(block[0] >> 2)
	a.head[i][j] = next
	if next == 0 {
		a.second[i] &^= 1 << (j & 31)
		if a.second[i] == 0 {
			a.first &^= 1 << (i & 31)
		}
	}
}

// search returns a free block of at least n granules, or 0. It is the first one of the first list all of
// whose blocks are large enough; if there is none, the first one of the list before, in case that is.
func (a *Allocator) search(n uint32) uint32 {
	up := n
	if n >= steps {
		up += 1<<((uint(bits.Len32(n))-1-lgSteps)&31) - 1
	}
	if i, j := class(up); i < powers {
		row := a.second[i] >> (j & 31) << (j & 31)
		if row == 0 {
			rows := a.first &^ (2<<(i&31) - 1)
			if rows == 0 {
				return a.lastResort(n)
			}
			i = uint(bits.TrailingZeros32(rows))
			row = a.second[i]
		}
		return a.head[i][bits.TrailingZeros32(row)]
	}
	return a.lastResort(n)
}

func (a *Allocator) lastResort(n uint32) uint32 {
	if n > a.granules() {
		return 0
	}
	i, j := class(n)
	if f := a.head[i][j]; f != 0 && a.table[f]>>2 >= n {
		return f
	}
	return 0
}
