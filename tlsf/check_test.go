package tlsf

import "fmt"

// check returns an error if an invariant of Region does not hold.
func (a *Region) check() error {
	n := a.granules()
	if a.table[0] != used || a.table[n+1] != used {
		return fmt.Errorf("the ends of the table are %#x and %#x", a.table[0], a.table[n+1])
	}
	inList := map[uint32]bool{}
	for i := range uint(powers) {
		if (a.first>>i&1 != 0) != (a.second[i] != 0) {
			return fmt.Errorf("first is %#x, and second[%d] %#x", a.first, i, a.second[i])
		}
		for j := range uint(steps) {
			head := a.head[i][j]
			if (a.second[i]>>j&1 != 0) != (head != 0) {
				return fmt.Errorf("second[%d] is %#x, and head %d is %d", i, a.second[i], j, head)
			}
			for f, prev := head, uint32(0); f != 0; f, prev = a.table[f+1]>>2, f {
				if a.table[f+2] != prev<<2 || a.table[f+1]&kind != inside || inList[f] {
					return fmt.Errorf("block %d in list %d, %d: prev is %#x, want %d; or it is in two lists",
						f, i, j, a.table[f+2], prev)
				}
				inList[f] = true
				if k, l := class(a.table[f] >> 2); k != i || l != j || a.table[f]&kind != free {
					return fmt.Errorf("block %d (%#x) in list %d, %d", f, a.table[f], i, j)
				}
			}
		}
	}
	blocks, inUse, wasFree := 0, uintptr(0), false
	for f := uint32(1); f <= n; {
		w := a.table[f]
		size := w >> 2
		if size < minBlock || f+size > n+1 {
			return fmt.Errorf("block %d is %#x", f, w)
		}
		inner := a.table[f+1 : f+size]
		switch w & kind {
		case free:
			if wasFree || !inList[f] {
				return fmt.Errorf("block %d is free next to a free one, or in no list", f)
			}
			if inner[size-2] != size<<2|last {
				return fmt.Errorf("block %d of %d granules ends in %#x", f, size, inner[size-2])
			}
			delete(inList, f)
			inner = inner[:size-2]
		case used:
			blocks, inUse = blocks+1, inUse+uintptr(size)
		default:
			return fmt.Errorf("block %d is %#x", f, w)
		}
		for _, w := range inner {
			if w&kind != inside {
				return fmt.Errorf("inside of block %d is %#x", f, w)
			}
		}
		wasFree = w&kind == free
		f += size
	}
	if len(inList) != 0 || blocks != a.blocks || inUse != a.used {
		return fmt.Errorf("%d list entries are not blocks; %d blocks of %d granules are counted as %d of %d",
			len(inList), blocks, inUse, a.blocks, a.used)
	}
	return nil
}
