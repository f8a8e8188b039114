package engine

import (
	"fmt"
	"testing"

	"github.com/galloc-go/galloc/internal/pages"
	"github.com/galloc-go/galloc/internal/vm"
)

// errInjected is the error of failed system calls in these tests.
var errInjected = vm.ErrTooLarge

// script calls every method. It continues after failures.
func script(d *shadow, timer *fakeTimer) {
	for _, n := range []uintptr{8, 24, 100, 1000, 5000, 30000} {
		for range 12 {
			d.alloc(n, 8, false)
		}
	}
	for _, n := range []uintptr{40 << 10, 100 << 10, 1 << 20} {
		d.alloc(n, 8, false)
		d.alloc(n, 1<<16, true)
	}
	d.alloc(100, 1<<20, false)
	for i := 0; i < len(d.live); i += 3 {
		d.realloc(i, d.live[i].size*2)
	}
	for i := 0; i < len(d.live); i += 4 {
		d.resize(i, d.live[i].size/2+1)
	}
	for i := 0; i < len(d.live); i += 2 {
		d.free(i, i%4 == 0)
	}
	for range 3 {
		timer.fire()
		d.alloc(200<<10, 8, true)
	}
	for len(d.live) > 5 {
		d.free(0, false)
	}
	d.h.Trim()
	d.alloc(5<<20, 8, false) // more than an extent, where extents are small
	for range 100 {
		d.alloc(3000, 8, true)
	}
	d.freeAll()
	d.alloc(1000, 8, false)
	d.h.Trim()
}

// The nth system call fails, or all from the nth on, for each n and each kind of call.
func TestOutOfMemoryAtEachStep(t *testing.T) {
	withoutSpares(t)
	const all = vm.Op(255)
	for _, kind := range []vm.Op{all, vm.OpReserve, vm.OpCommit, vm.OpPurge, vm.OpPurgeLazy, vm.OpMove} {
		for _, onwards := range []bool{false, true} {
			for _, c := range []Config{{First: 1}, {First: 1, Lazy: true}} {
				if (kind == vm.OpPurgeLazy && !c.Lazy || kind == vm.OpPurge && c.Lazy) || vm.GoMemory && c.Lazy {
					continue
				}
				name := fmt.Sprintf("%v onwards=%v lazy=%v", kind, onwards, c.Lazy)
				if kind == all {
					name = "any" + name[len(kind.String()):]
				}
				t.Run(name, func(t *testing.T) {
					for n := 1; outOfMemoryAt(t, c, kind, n, onwards); n++ {
						if vm.GoMemory || testing.Short() {
							n += n / 4 // it takes long there
						}
					}
				})
			}
		}
	}
}

// outOfMemoryAt reports whether there were n system calls.
func outOfMemoryAt(t *testing.T, c Config, kind vm.Op, n int, onwards bool) bool {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("at operation %d", n)
		}
	}()
	timer := new(fakeTimer)
	c.Timer = func(f func()) Timer { timer.f = f; return timer }
	c.OnMisuse = func(m Misuse) { t.Error(m.Error()) }
	h := New(c)
	d := &shadow{t: t, h: h}
	seen := 0
	restore := vm.Inject(func(op vm.Op, _ uintptr) error {
		if kind == op || kind > vm.OpRelease {
			seen++
			if seen == n || onwards && seen > n {
				return errInjected
			}
		}
		return nil
	})
	func() {
		defer restore()
		script(d, timer)
		d.verify()
		wantCheck(t, h)
	}()

	// The system has memory again.
	timer.fire()
	if h.pages.RecoverLost(); readStats(h).Held != 0 {
		t.Fatalf("Held == %d", readStats(h).Held)
	}
	before := len(d.live)
	for _, size := range []uintptr{8, 1000, 30000, 100 << 10, 2 << 20} {
		if !d.alloc(size, 8, true) {
			t.Fatalf("no %d bytes after the system has memory again", size)
		}
	}
	if len(d.live) != before+5 {
		t.Fatal("blocks are missing")
	}
	d.freeAll()
	wantNothingLeft(t, h, timer)
	h.Close()
	releaseSpares()
	return seen >= n && !t.Failed()
}

// Lost pages are committed again at a later tick. Ticks go on until then.
func TestLostPagesComeBack(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	if !d.alloc(1<<20, 8, false) {
		t.Fatal("no memory")
	}
	d.freeAll()
	restore := inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpPurge || op == vm.OpCommit {
			return errInjected
		}
		return nil
	})
	for range 3 {
		timer.fire()
		wantCheck(t, h)
	}
	if s := readStats(h); s.Held != 1<<20 || s.Dirty != 0 {
		t.Fatalf("Held == %d, Dirty == %d", s.Held, s.Dirty)
	}
	if !timer.armed.Load() {
		t.Error("no more ticks, though pages are lost")
	}
	restore()
	timer.fire()
	wantNothingLeft(t, h, timer)
}

// Pages that the system commits again after a failed purge are not lost.
func TestPagesOfAFailedPurgeAreCommitted(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	d.alloc(1<<20, 8, false)
	d.freeAll()
	inject(t, func(op vm.Op, _ uintptr) error {
		if op == vm.OpPurge {
			return errInjected
		}
		return nil
	})
	timer.fire()
	timer.fire()
	if s := readStats(h); s.Held != 0 || s.Dirty != 0 {
		t.Errorf("Held == %d, Dirty == %d", s.Held, s.Dirty)
	}
	d.alloc(1<<20, 8, true)
	d.freeAll()
	wantNothingLeft(t, h, timer)
}

// As a last resort, blocks are allocated from scarce spans and from the caches of other Ps.
func TestScarceBlocksAreFound(t *testing.T) {
	h, _ := newHeap(t, Config{First: 1})
	d := &shadow{t: t, h: h}
	const size = 512
	for range 2000 {
		if !d.alloc(size, 8, false) {
			t.Fatal("no memory")
		}
	}
	r := len(d.live) / 40
	for i := range r { // less than an eighth of each span
		d.free((i*39)%len(d.live), false)
	}
	h.drainAll()
	wantCheck(t, h)
	free := int(readStats(h).Classes[pages.ClassOf(size, 8)-1].Free)
	restore := inject(t, func(vm.Op, uintptr) error { return errInjected })
	n := 0
	for d.alloc(size, 8, false) {
		n++
	}
	if n < free {
		t.Errorf("%d blocks were found of %d", n, free)
	}
	restore()
	wantCheck(t, h)
	d.freeAll()
}
