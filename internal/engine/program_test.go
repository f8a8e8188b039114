package engine

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

// A program interprets bytes as operations on a heap.
type program struct {
	shadow
	timer *fakeTimer
}

// op runs the operation encoded in eight bytes.
func randomBytes(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func roundUp(n, align uintptr) uintptr { return (n + align - 1) &^ (align - 1) }

func (m *program) op(b []byte) {
	m.t.Helper()
	op, x := b[0]%24, binary.LittleEndian.Uint32(b[4:])
	// The size has up to b[1]%22 bits, so small sizes are as frequent as large ones.
	size := 1 + uintptr(x)&(1<<(b[1]%22)-1)
	if b[1]&32 != 0 && size > 32<<10 { // few lengths, so that stashed blocks are used
		size = roundUp(size, 256<<10)
	}
	align := uintptr(1) << (b[2] % 15)
	if b[3]%64 == 0 {
		align <<= b[3] >> 6 * 3 // up to 8 MiB
	}
	i := 0
	if len(m.live) > 0 {
		i = int(x>>8) % len(m.live)
	}
	switch {
	case op < 6:
		m.alloc(size, align, false)
	case op < 8:
		m.alloc(size, align, true)
	case op == 8: // many of one size
		for range b[2] {
			if !m.alloc(min(size, 4096), 8, false) {
				return
			}
		}
	case op == 9:
		m.timer.fire()
	case op == 10:
		m.h.Trim()
	case op == 11 && b[2]%4 == 0:
		m.h.SetLimit(0, 0, nil)
	case op == 11:
		f := readStats(m.h).Footprint
		m.h.SetLimit(max(f-min(f, size), 1), f+size, func(uintptr) {})
	case len(m.live) == 0:
	case op < 17:
		m.free(i, false)
	case op == 17:
		m.free(i, true)
	case op == 18: // many
		for range min(int(b[2]), len(m.live)) {
			m.free(int(x>>1)%len(m.live), false)
		}
	case op < 22:
		m.realloc(i, size)
	default:
		m.resize(i, size)
	}
}

// run runs all operations, and frees all blocks.
func (m *program) run(ops []byte, every int) {
	m.t.Helper()
	for i := 0; len(ops) >= 8; i++ {
		m.op(ops[:8])
		ops = ops[8:]
		if i%every == every-1 {
			wantCheck(m.t, m.h)
		}
	}
	m.verify()
	wantLive(m.t, &m.shadow)
	wantCheck(m.t, m.h)
	m.freeAll()
	m.h.SetLimit(0, 0, nil)
	wantNothingLeft(m.t, m.h, m.timer)
}

// wantNothingLeft ticks until the heap, which has no live blocks, is at rest, and checks that it
// has no memory.
func wantNothingLeft(t testing.TB, h *Heap, timer *fakeTimer) {
	t.Helper()
	for range 4 {
		if h.decay < 0 {
			h.Trim()
		} else {
			timer.fire()
		}
	}
	if timer.armed.Load() {
		t.Error("ticking after everything was freed, and 4 ticks")
	}
	wantCheck(t, h)
	s := readStats(h)
	if s.Live != 0 || s.LiveBlocks != 0 || s.Cached != 0 || s.InUse != 0 || s.Held != 0 || s.Dirty != 0 {
		t.Errorf("all freed, 4 ticks later: Live %d in %d blocks, Cached %d, InUse %d, Held %d, Dirty %d",
			s.Live, s.LiveBlocks, s.Cached, s.InUse, s.Held, s.Dirty)
	}
}

var fuzzConfigs = []Config{{First: 1}, {First: 1, Lazy: true}, {First: 1, Checked: true}, {First: 1, Decay: -1}}

func FuzzHeap(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(randomBytes(seed, 400), byte(seed))
	}
	f.Fuzz(func(t *testing.T, ops []byte, config byte) {
		h, timer := newHeap(t, fuzzConfigs[int(config)%len(fuzzConfigs)])
		m := &program{shadow{t: t, h: h}, timer}
		m.run(ops[:min(len(ops), 8*256)], 16)
	})
}

func TestProgramsAtRandom(t *testing.T) {
	rounds := uint64(24)
	if vm.GoMemory {
		rounds = 8
	}
	for seed := range rounds {
		h, timer := newHeap(t, fuzzConfigs[seed%uint64(len(fuzzConfigs))])
		m := &program{shadow{t: t, h: h}, timer}
		m.run(randomBytes(seed, 8*600), 100)
	}
}

// onP calls f, which must not call the system, in a goroutine that is pinned to P p.
func onP(t testing.TB, p int, f func()) {
	t.Helper()
	var once sync.Once
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if percpu.Pin() == p {
					once.Do(func() { f(); close(done) })
				}
				percpu.Unpin()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
}

func withProcs(t testing.TB, n int) {
	t.Helper()
	was := runtime.GOMAXPROCS(n)
	t.Cleanup(func() { runtime.GOMAXPROCS(was) })
}

// A P that only frees has a cache, but has allocated from no central. Its blocks are counted and
// drained like others.
func TestAPThatOnlyFreesIsDrained(t *testing.T) {
	needPs(t)
	if percpu.Race {
		t.Skip("Ps are hints here")
	}
	withProcs(t, 1) // and not onP, since a goroutine that is pinned must not call the system
	h, timer := newHeap(t, Config{})
	d := &shadow{t: t, h: h}
	for range 20 {
		d.alloc(64, 8, false)
	}
	runtime.GOMAXPROCS(2)
	onP(t, 1, func() {
		for range 15 {
			d.free(0, false)
		}
	})
	wantLive(t, d)
	wantCheck(t, h)
	d.freeAll()
	wantNothingLeft(t, h, timer)
}

// All equations hold between two ticks, after several goroutines have used the heap.
func TestConservation(t *testing.T) {
	h, timer := newHeap(t, Config{First: 1})
	var shadows [6]*shadow
	for i := range shadows {
		shadows[i] = &shadow{t: t, h: h}
	}
	rounds := 5
	if vm.GoMemory {
		rounds = 2
	}
	for round := range rounds {
		var wg sync.WaitGroup
		for i, d := range shadows {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(round), uint64(i)))
				for range 1500 {
					switch {
					case len(d.live) < 20 || r.IntN(2) == 0 && len(d.live) < 500:
						d.alloc(size(r)/8+1, 8, r.IntN(4) == 0)
					case r.IntN(8) == 0:
						d.realloc(r.IntN(len(d.live)), size(r)/8+1)
					default:
						d.free(r.IntN(len(d.live)), r.IntN(4) == 0)
					}
				}
			})
		}
		wg.Wait()
		wantCheck(t, h)
		all := &shadow{t: t, h: h}
		for _, d := range shadows {
			all.live = append(all.live, d.live...)
		}
		wantLive(t, all)
		shadows[0], shadows[5] = shadows[5], shadows[0]
		timer.fire()
		wantCheck(t, h)
	}
	for _, d := range shadows {
		d.freeAll()
	}
	wantNothingLeft(t, h, timer)
}
