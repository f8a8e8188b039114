package heap_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
)

// A ledger is a heap and its blocks, each filled with another value.
type ledger struct {
	h       *heap.Heap
	blocks  []entry
	refused int // allocations
}

type entry struct {
	p unsafe.Pointer
	l galloc.Layout
	v byte
}

// enter adds the result of an allocation. The block must be zero from index zeroed on.
func (g *ledger) enter(b []byte, err error, l galloc.Layout, zeroed int) error {
	if err != nil {
		g.refused++
		if b != nil || !errors.Is(err, galloc.ErrOutOfMemory) {
			return fmt.Errorf("%v: got %d bytes and the error %v", l, len(b), err)
		}
		return nil
	}
	if i := onlyByte(b[zeroed:], 0); i >= 0 {
		return fmt.Errorf("%v: byte %d is not zero", l, zeroed+i)
	}
	v := byte(len(g.blocks)%255 + 1)
	fill(b[:l.Size()], v)
	g.blocks = append(g.blocks, entry{unsafe.Pointer(&b[0]), l, v})
	return nil
}

func (g *ledger) allocate(l galloc.Layout, zeroed bool) error {
	if zeroed {
		b, err := g.h.AllocateZeroed(l)
		return g.enter(b, err, l, 0)
	}
	b, err := g.h.Allocate(l)
	return g.enter(b, err, l, len(b))
}

// resize resizes block i.
func (g *ledger) resize(i int, size uintptr, zeroed bool) error {
	e := g.blocks[i]
	l := layout(size, e.l.Align())
	change := g.h.Grow
	if size < e.l.Size() {
		change = g.h.Shrink
	} else if zeroed {
		change = g.h.GrowZeroed
	}
	b, err := change(e.p, e.l, l)
	if err != nil {
		return g.enter(b, err, l, 0)
	}
	if at := onlyByte(b[:min(e.l.Size(), size)], e.v); at >= 0 {
		return fmt.Errorf("from %v to %v: byte %d is lost", e.l, l, at)
	}
	if zeroed && size > e.l.Size() {
		if at := onlyByte(b[e.l.Size():], 0); at >= 0 {
			return fmt.Errorf("from %v to %v: byte %d of the gain is not zero", e.l, l, at)
		}
	}
	fill(b[:size], e.v)
	g.blocks[i] = entry{unsafe.Pointer(&b[0]), l, e.v}
	return nil
}

func (g *ledger) free(i int) {
	g.h.Dealloc(g.blocks[i].p, g.blocks[i].l)
	g.blocks[i] = g.blocks[len(g.blocks)-1]
	g.blocks = g.blocks[:len(g.blocks)-1]
}

func (g *ledger) verify() error {
	for _, e := range g.blocks {
		if at := onlyByte(view(e.p, e.l.Size()), e.v); at >= 0 {
			return fmt.Errorf("%v: byte %d has changed", e.l, at)
		}
	}
	return nil
}

// use calls every method.
func (g *ledger) use(seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 11))
	var errs []error
	for i := range 250 {
		size := uintptr(1 + r.IntN(1<<r.IntN(13)))
		if i%15 == 0 {
			size = 33_000 + uintptr(r.IntN(200_000))
		}
		errs = append(errs, g.allocate(layout(size, 8<<(i%4)), i%3 == 0))
	}
	for i := range g.blocks {
		if n := g.blocks[i].l.Size(); n > 10_000 && i%3 == 0 || i%17 == 0 {
			errs = append(errs, g.resize(i, n*5/2, i%2 == 0))
		} else if n > 10_000 && i%3 == 1 {
			errs = append(errs, g.resize(i, n/2, false))
		}
	}
	errs = append(errs, g.verify())
	for range len(g.blocks) * 2 / 3 {
		g.free(r.IntN(len(g.blocks)))
	}
	g.h.Trim()
	for i := range 60 {
		errs = append(errs, g.allocate(layout(uintptr(1+i*i*40), 8), i%2 == 0))
	}
	if len(g.blocks) > 0 {
		errs = append(errs, g.resize(len(g.blocks)-1, 300_000, true), g.resize(len(g.blocks)-1, 1_100_000, false))
	}
	return errors.Join(append(errs, g.verify())...)
}

// Each system call fails in turn, once or from then on. Blocks stay intact, a failed allocation is
// an error, and the heap works when the system has memory again.
func TestEverySystemCallMayFail(t *testing.T) {
	runChild(t, "refusals").mustPass(t) // where no address space of closed heaps is left
}

func init() {
	children["refusals"] = func() {
		step := int64(8)
		if vm.GoMemory {
			step = 1
		}
		for _, op := range []vm.Op{vm.OpReserve, vm.OpCommit, vm.OpPurge, vm.OpPurgeLazy, vm.OpMove, vm.OpRelease} {
			for _, onwards := range []bool{false, true} {
				n, refused := int64(1), 0
				for ; n < 1000; n += 1 + n/step { // the first ones differ the most
					done, r, err := refuse(op, n, onwards)
					if err != nil {
						die("%v number %d is refused (onwards: %v): %v", op, n, onwards, err)
					}
					refused += r
					if done {
						break
					}
				}
				fmt.Printf("%v, onwards %v: %d operations, %d allocations refused\n", op, onwards, n, refused)
				if onwards && refused == 0 && (op == vm.OpReserve || op == vm.OpCommit && !vm.GoMemory) {
					die("no allocation was ever refused")
				}
			}
		}
	}
	children["commit fails after purge"] = func() {
		h, err := heap.New(heap.Options{Decay: -1, OnMisuse: func(m heap.Misuse) { die("%v", m) }})
		if err != nil {
			die("%v", err)
		}
		g := &ledger{h: h}
		if err := g.use(1); err != nil {
			die("%v", err)
		}
		for range len(g.blocks) / 2 {
			g.free(0)
		}
		before := h.Stats()
		restore := vm.Inject(func(op vm.Op, _ uintptr) error {
			if op == vm.OpPurge || op == vm.OpCommit {
				return errRefused
			}
			return nil
		})
		h.Trim()
		s := h.Stats()
		if s.Held < before.Dirty/2 || s.Footprint < s.Held {
			die("pages that are lost are not held:\n%v", s)
		}
		for range 10 { // only blocks in caches and spans are available
			if err := g.allocate(layout(mib, 8), true); err != nil {
				die("%v", err)
			}
		}
		if g.refused == 0 {
			die("allocated lost pages:\n%v", h.Stats())
		}
		restore()
		if err := errors.Join(g.verify(), g.use(2)); err != nil {
			die("%v", err)
		}
		h.Trim()
		if s := h.Stats(); s.Held != 0 {
			die("pages are lost for ever:\n%v", s)
		}
		for len(g.blocks) > 0 {
			g.free(0)
		}
		h.Trim()
		if s := h.Stats(); s.Live != 0 || s.Footprint > s.Metadata+remnant(s) {
			die("in the end:\n%v", s)
		}
	}
}

func TestLostPagesComeBack(t *testing.T) {
	if vm.GoMemory {
		t.Skip("Go memory has no pages to refuse")
	}
	runChild(t, "commit fails after purge").mustPass(t)
}

var errRefused = errors.New("refused by the test")

// refuse uses a heap while the nth system call of the kind fails. It reports whether there were
// fewer calls, and returns the number of failed allocations.
func refuse(kind vm.Op, n int64, onwards bool) (done bool, refused int, err error) {
	var misuses []error
	h, err := heap.New(heap.Options{Decay: -1, OnMisuse: func(m heap.Misuse) { misuses = append(misuses, m) }})
	if kind == vm.OpPurgeLazy {
		h, err = heap.New(heap.Options{
			Decay: -1, Purge: heap.PurgeLazy,
			OnMisuse: func(m heap.Misuse) { misuses = append(misuses, m) },
		})
	}
	if err != nil {
		return false, 0, err
	}
	g := &ledger{h: h}
	var count atomic.Int64
	restore := vm.Inject(func(op vm.Op, _ uintptr) error {
		if op == kind {
			if c := count.Add(1); c == n || onwards && c > n {
				return errRefused
			}
		}
		return nil
	})
	err = g.use(1)
	restore()
	refused = g.refused
	if err == nil { // the system has memory again
		g.refused = 0
		if err = g.use(2); g.refused != 0 {
			err = errors.Join(err, fmt.Errorf("%d allocations are refused when nothing is any more", g.refused))
		}
	}
	for len(g.blocks) > 0 {
		g.free(len(g.blocks) - 1)
	}
	h.Trim()
	if s := h.Stats(); s.Live != 0 || s.Held != 0 || s.InUse != 0 || s.Footprint > s.Metadata+remnant(s) {
		err = errors.Join(err, fmt.Errorf("in the end:\n%v", s))
	}
	err = errors.Join(append(misuses, err)...)
	if kind == vm.OpPurge || kind == vm.OpRelease { // Close needs them too
		restore := vm.Inject(func(op vm.Op, _ uintptr) error {
			if op == kind && count.Add(1)%3 == 0 {
				return errRefused
			}
			return nil
		})
		h.Close()
		restore()
	} else if kind != vm.OpReserve || vm.GoMemory {
		h.Close()
	}
	return count.Load() < n, refused, err
}
