package buddy

import "fmt"

// check returns an error if an invariant of Region or tree does not hold.
func (a *Region) check() error {
	seen := make([]bool, a.units)
	for k := range a.top + 1 {
		for i := range uintptr(len(a.free[k].level[0].words)) * 64 {
			free, used := a.free[k].has(i), a.used[k].has(i)
			if !free && !used {
				continue
			}
			if i >= a.blocks(k) {
				return fmt.Errorf("block %d of order %d extends past the region", i, k)
			}
			for u := i << k; u < (i+1)<<k; u++ {
				if seen[u] || free && used {
					return fmt.Errorf("unit %d is in several blocks, such as %d of order %d", u, i, k)
				}
				seen[u] = true
			}
			if free && a.free[k].has(i^1) {
				return fmt.Errorf("block %d of order %d and its buddy are both free", i, k)
			}
		}
		t := &a.free[k]
		if (a.avail>>k&1 != 0) != (t.level[0].count() != 0) {
			return fmt.Errorf("avail is %#x, and order %d has %d free blocks", a.avail, k, t.level[0].count())
		}
		for h := range t.levels - 1 {
			for w, word := range t.level[h].words {
				if (word != 0) != t.level[h+1].has(uintptr(w)) {
					return fmt.Errorf("word %d of level %d of order %d contradicts level %d", w, h, k, h+1)
				}
			}
		}
	}
	for u, s := range seen {
		if !s {
			return fmt.Errorf("unit %d is in no block", u)
		}
	}
	if a.avail>>(a.top+1) != 0 {
		return fmt.Errorf("avail is %#x, past order %d", a.avail, a.top)
	}
	return nil
}
