package workload

import (
	"errors"

	"github.com/galloc-go/galloc"
)

var sh6bench = Workload{
	Name: "sh6bench", About: "waves of sizes, freed from both ends, with some blocks kept", Op: "a block allocated",
	Params: []Param{
		{"calls", 2000, 1, maxSlots, "passes over the sizes, of all threads together; also the number of slots"},
		{"min", 1, 1, maxSize, "size of the smallest"},
		{"max", 1000, 2, maxSize, "all sizes are less"},
	},
	check: func(v values) error {
		if v.u64("calls") < v.u64("threads") {
			return errors.New("calls must not be less than threads")
		}
		return nil
	},
	build: func(_ *gang, v values) job {
		threads := v.int("threads")
		windows := make([]*window, threads)
		for i := range windows {
			windows[i] = &window{slots: newSlots(v.int("calls") / threads)}
		}
		return job{
			threads: threads,
			run: func(t *thread) {
				w := windows[t.id]
				for range w.slots {
					w.wave(t, v.size("min"), v.size("max"))
				}
				t.emptyAll(w.slots)
			},
		}
	},
}

// A window is slots that are filled from the front to the end, again and again, except for the
// slots from keepFrom to keepTo, whose blocks are kept for one more pass.
//
//	0 <= keepFrom <= keepTo <= len(slots);  slots from next to keepFrom, or to the end if next >= keepTo, are empty
type window struct {
	slots            []slot
	next             int
	keepFrom, keepTo int
	_                [128]byte // as in thread
}

func (w *window) wave(t *thread, least, limit uintptr) {
	for base := uintptr(1); base < limit; base = base*3/2 + 1 {
		for size := base; size >= least; size /= 2 {
			l, _ := galloc.NewLayout(size, minAlign)
			n := 50
			if size < 100 {
				n = 250
			}
			for range n {
				p := t.get(size, l)
				*byteAt(p, 0) = 'a'
				*byteAt(p, size-1) = 'b'
				w.slots[w.next] = slot{p, l}
				if w.next++; w.next == w.keepFrom && w.keepFrom != w.keepTo {
					w.next = w.keepTo
				}
				if w.next == len(w.slots) {
					w.turn(t)
				}
			}
			t.ops += uint64(n)
		}
	}
}

// turn continues at the front: the kept range moves up, and the blocks outside of it are freed.
func (w *window) turn(t *thread) {
	end := len(w.slots)
	w.next, w.keepFrom = 0, w.keepTo
	if w.keepFrom == end {
		w.keepFrom = 0
	}
	w.keepTo = min(w.keepFrom+end/5, end)
	t.emptyAll(w.slots[:w.keepFrom])
	for i := end - 1; i >= w.keepTo; i-- { // the body of empty, which is not inlined
		if s := &w.slots[i]; s.p != nil {
			t.free(s.p, s.l)
			s.p = nil
		}
	}
	if w.keepFrom == 0 {
		w.next = w.keepTo
	}
}
