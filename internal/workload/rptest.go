package workload

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/galloc-go/galloc"
)

var rptest = Workload{
	Name: "rptest", About: "sizes from a table, two alignments, lists of blocks passed on",
	Op: "an allocation or a free",
	Params: []Param{
		{"loops", 50, 1, 1 << 24, "loops per iteration"},
		{"allocs", 1000, 1, maxSlots, "slots of each thread"},
		{"ops", 100, 0, 1 << 24, "blocks per loop, about"},
		{"min", 8, 8, maxSize, "size of the smallest"},
		{"max", 16000, 9, maxSize, "size of the largest"},
		{"cross", 2, 1, 1 << 24, "number of loops after which a list is passed on"},
		{"iterations", 2, 1, 1 << 24, "iterations"},
	},
	check: func(v values) error {
		if n := v.u64("allocs"); n%freeStep == 0 || n%allocStep == 0 {
			return errors.New("allocs must not be divisible by 1063 or 1021, which are the steps through the slots")
		}
		return nil
	},
	build: func(g *gang, v values) job {
		r := &ropes{v: v, meeting: newMeeting(v.int("threads"))}
		r.makeTables(g.seed(-1))
		for range v.int("threads") {
			r.threads = append(r.threads, r.newRoper())
		}
		return job{
			threads: v.int("threads"),
			run:     func(t *thread) { r.threads[t.id].work(t, r) },
		}
	},
}

const (
	freeStep  = 1063
	allocStep = 1021
)

// ropes is shared by the threads, which only read its tables.
type ropes struct {
	v       values
	size    [2000]uintptr
	percent [311]int
	threads []*roper
	meeting *meeting
}

func (r *ropes) makeTables(random rng) {
	least, limit := r.v.u64("min"), r.v.u64("max")
	var u [len(r.size)]uint64
	for i := range u {
		u[i] = least + random.below(limit-least+1)
	}
	width := float64(limit - least)
	share := func(i int) float64 { return float64(u[i%len(u)]-least) / width }
	for i := range r.size {
		w0, w1 := 1-share(i+1), 1-share(i+2)
		// The conversions prevent the compiler from fusing operations, here and below.
		r.size[i] = uintptr(least) + uintptr(float64(float64(float64(u[i]-least)*w0)*w1))
	}
	for i := range r.percent {
		r.percent[i] = 50 + int(random.below(101))
	}
}

// A roper is the state of one thread. All threads write to list.
type roper struct {
	slots      []slot
	free, next int       // f and a: the slots whose block is freed and allocated next
	to         int       // the next list goes to the thread with this distance, plus 1
	odd        bool      // the next small block is aligned to 16
	arrays     []foreign // used in turn
	_          [128]byte
	list       atomic.Pointer[foreign] // arrays from others
	_          [128]byte
}

// A foreign array has blocks that another thread frees.
type foreign struct {
	slots []slot
	next  *foreign
}

func (r *ropes) newRoper() *roper {
	w := &roper{slots: newSlots(r.v.int("allocs"))}
	if r.v.int("threads") > 1 {
		loops, cross := r.v.int("loops"), r.v.int("cross")
		// Arrays of an iteration may be in use until the end of the next one, but not longer: see
		// meeting.
		w.arrays = make([]foreign, 2*((loops+cross-1)/cross))
		for i := range w.arrays {
			w.arrays[i].slots = newSlots(r.v.int("ops") * 150 / 100)
		}
	}
	return w
}

func (w *roper) work(t *thread, r *ropes) {
	loops, ops, cross := r.v.int("loops"), r.v.int("ops"), r.v.int("cross")
	threads, sent := len(r.threads), 0
	for iteration := range r.v.int("iterations") {
		size, percent := (t.id+1)*(iteration+1)*37%len(r.size), t.id*11%len(r.percent)
		nextSize := func() uintptr {
			s := r.size[size]
			if size++; size == len(r.size) {
				size = 0
			}
			return s
		}
		for loop := range loops {
			n := ops * r.percent[percent] / 100
			percent = (percent + 1) % len(r.percent)
			for range 4 * n / 5 {
				w.drop(t, &w.slots[w.free])
				w.free = (w.free + freeStep) % len(w.slots)
			}
			w.dropForeign(t)
			for range n {
				s := &w.slots[w.next]
				w.drop(t, s)
				w.make(t, s, nextSize())
				w.next = (w.next + allocStep) % len(w.slots)
			}
			if threads > 1 && loop%cross == 0 {
				a := &w.arrays[sent%len(w.arrays)]
				sent++
				a.slots = a.slots[:n]
				for i := range a.slots {
					w.make(t, &a.slots[i], nextSize())
				}
				r.threads[(t.id+1+w.to)%threads].push(a)
				w.to = (w.to + 1) % (threads - 1)
			}
		}
		r.meeting.wait()
		w.dropForeign(t)
	}
	for i := range w.slots {
		w.drop(t, &w.slots[i])
	}
}

func (w *roper) make(t *thread, s *slot, size uintptr) {
	align := uintptr(8)
	if size < 4096 {
		if w.odd {
			align = 16
		}
		w.odd = !w.odd
	}
	l, _ := galloc.NewLayout(size, align)
	p := t.get(size, l)
	for i := uintptr(4096); i < size; i += 4096 {
		*byteAt(p, i) = byte(i >> 12)
	}
	*byteAt(p, size-1) = byte(size)
	// SAFETY: the block has at least 8 bytes, and is aligned to 8.
	*(*uint32)(p) = uint32(size)
	s.p, s.l = p, l
	t.ops++
}

// drop frees the block in s, if any.
func (w *roper) drop(t *thread, s *slot) {
	if s.p == nil {
		return
	}
	t.free(s.p, s.l)
	s.p = nil
	t.ops++
}

func (w *roper) push(a *foreign) {
	for {
		a.next = w.list.Load()
		if w.list.CompareAndSwap(a.next, a) {
			return
		}
	}
}

func (w *roper) dropForeign(t *thread) {
	for a := w.list.Swap(nil); a != nil; a = a.next {
		for i := range a.slots {
			w.drop(t, &a.slots[i])
		}
	}
}

// A meeting is a barrier that can be used repeatedly.
type meeting struct {
	mu      sync.Mutex
	all     sync.Cond
	n       int // number of threads
	missing int // threads that have not arrived
	held    int // completed meetings
}

func newMeeting(n int) *meeting {
	m := &meeting{n: n, missing: n}
	m.all.L = &m.mu
	return m
}

func (m *meeting) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.missing--; m.missing == 0 {
		m.missing = m.n
		m.held++
		m.all.Broadcast()
		return
	}
	for this := m.held; this == m.held; {
		m.all.Wait()
	}
}
