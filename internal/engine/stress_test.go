package engine

import (
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/galloc-go/galloc/internal/misuse"
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/internal/vm"
)

var soak = flag.Duration("soak", 0, "how long TestStress runs; 0 is 2 s")

// A parcel is a block that holds its size, and a cookie made from the size. Many goroutines pass it
// on.
func pack(p unsafe.Pointer, size uintptr, seed int) {
	b := testBlock{p, size, 8, seed}
	b.stamp()
	binary.LittleEndian.PutUint64(b.bytes(), uint64(size)<<32|uint64(uint32(seed)))
}

// unpack checks the parcel at p and returns its size.
func unpack(t *testing.T, p unsafe.Pointer) uintptr {
	head := binary.LittleEndian.Uint64(unsafe.Slice((*byte)(p), 8))
	b := testBlock{p, uintptr(head >> 32), 8, int(uint32(head))}
	if b.size < 8 || b.size > 1<<20 {
		t.Fatalf("the parcel at %p says %d bytes", p, b.size)
	}
	from := b.bytes()
	cookies(b.size, func(i uintptr) {
		if i >= 8 && from[i] != cookie(i, b.seed) {
			t.Errorf("parcel of %d bytes at %p: byte %d is %#x, want %#x", b.size, p, i, from[i], cookie(i, b.seed))
		}
	})
	return b.size
}

// Goroutines exchange blocks through slots, while others change the number of Ps, collect garbage,
// trim, tick, set limits, and read statistics. In the end no memory is left.
func TestStress(t *testing.T) {
	needPs(t)
	for _, c := range []struct {
		name string
		Config
	}{{"default", Config{First: 1}}, {"lazy", Config{First: 1, Lazy: true}}, {
		"checked",
		Config{First: 1, Checked: true},
	}} {
		t.Run(c.name, func(t *testing.T) {
			length := 700 * time.Millisecond
			if *soak != 0 {
				length = *soak / 3
			}
			stress(t, c.Config, length)
		})
	}
}

func stress(t *testing.T, c Config, length time.Duration) {
	h, timer := newHeap(t, c)
	withProcs(t, runtime.GOMAXPROCS(0))
	var slots [512]atomic.Pointer[byte]
	var stop atomic.Bool
	var handed, refused atomic.Int64
	var workers, others sync.WaitGroup
	for i := range 6 {
		workers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 7))
			for n := 0; !stop.Load() && !t.Failed(); n++ {
				var p unsafe.Pointer
				size := uintptr(8 + r.IntN(8<<r.IntN(10)))
				if n%64 == 0 {
					size = uintptr(r.IntN(200<<10) + 8)
				}
				if n%64 >= 60 { // few lengths, so that stashed blocks are used
					size = uintptr(1+r.IntN(2)) * 64 << 10
				}
				if n%4 == 0 {
					p = h.AllocZeroed(size, 8)
				} else {
					p = h.Alloc(size, 8)
				}
				if p == nil {
					refused.Add(1)
				} else {
					pack(p, size, n)
				}
				old := unsafe.Pointer(slots[r.IntN(len(slots))].Swap((*byte)(p)))
				if old == nil {
					continue
				}
				handed.Add(1)
				was := unpack(t, old)
				switch r.IntN(8) {
				case 0:
					now := uintptr(8 + r.IntN(40<<10))
					if q := h.Realloc(old, was, 8, now); q != nil {
						pack(q, now, n)
						old, was = q, now
					}
					h.Free(old, was, 8)
				case 1:
					h.FreeUnsized(old)
				default:
					h.Free(old, was, 8)
				}
			}
		})
	}
	chaos := func(pause time.Duration, f func(n int)) {
		others.Go(func() {
			for n := 0; !stop.Load(); n++ {
				f(n)
				time.Sleep(pause)
			}
		})
	}
	procs := []int{1, 2, 4, 8, 64}
	chaos(3*time.Millisecond, func(n int) { runtime.GOMAXPROCS(procs[n%len(procs)]) })
	chaos(5*time.Millisecond, func(int) { runtime.GC() })
	chaos(2*time.Millisecond, func(int) { timer.fire() })
	chaos(7*time.Millisecond, func(int) { h.Trim() })
	chaos(4*time.Millisecond, func(n int) {
		switch f := readStats(h).Footprint; n % 4 {
		case 0:
			h.SetLimit(f-f/8, f+1<<20, func(uintptr) {})
		case 1:
			h.SetLimit(0, f-f/4, nil)
		default:
			h.SetLimit(0, 0, nil)
		}
	})
	chaos(9*time.Millisecond, func(int) {
		if err := h.CheckInUse(); err != nil {
			t.Error(err)
		}
	})
	// On a busy machine, and with the race detector, it takes longer until enough has happened.
	enough := func() bool { return handed.Load() >= 1000 && readStats(h).Purges > 0 }
	for start := time.Now(); time.Since(start) < length || !enough() && time.Since(start) < time.Minute; {
		time.Sleep(length / 10)
	}
	stop.Store(true)
	workers.Wait()
	others.Wait()
	h.SetLimit(0, 0, nil)
	wantCheck(t, h)
	live := uint64(0)
	for i := range slots {
		if slots[i].Load() != nil {
			live++
		}
	}
	if s := readStats(h); s.LiveBlocks != live {
		t.Errorf("LiveBlocks == %d, but %d are in the slots", s.LiveBlocks, live)
	}
	for i := range slots {
		if p := unsafe.Pointer(slots[i].Swap(nil)); p != nil {
			h.Free(p, unpack(t, p), 8)
		}
	}
	wantNothingLeft(t, h, timer)
	s := readStats(h)
	t.Logf("%d blocks handed over, %d refused, %d purges, %d moved, %d ticks", handed.Load(), refused.Load(),
		s.Purges, s.Moved, s.Ticks)
	if !enough() {
		t.Error("nothing has happened")
	}
}

// Two goroutines free the same large block at the same time: one succeeds, and one is reported.
func TestTwoFreesOfALargeBlockAtOnce(t *testing.T) {
	needPs(t)
	var faults atomic.Int64
	h, _ := newHeap(t, Config{First: 1, OnMisuse: func(m Misuse) {
		if m.Kind != misuse.DoubleFree {
			t.Error(m.Error())
		}
		faults.Add(1)
	}})
	rounds := 3000
	if vm.GoMemory {
		rounds = 300
	}
	for i := range rounds {
		p := h.Alloc(512<<10, 8)
		if p == nil {
			t.Fatal("no memory")
		}
		var ready atomic.Int32
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for ready.Add(1); ready.Load() < 2; {
					runtime.Gosched()
				}
				// FreeUnsized reads the record before it locks, which the race detector reports.
				if i%2 == 0 || percpu.Race {
					h.Free(p, 512<<10, 8)
				} else {
					h.FreeUnsized(p)
				}
			})
		}
		wg.Wait()
		if n := faults.Load(); n != int64(i)+1 {
			t.Fatalf("%d faults after %d double frees", n, i+1)
		}
		if i%100 == 0 {
			wantCheck(t, h)
		}
	}
}

// needPs skips a test whose goroutines wait for one another without a pause.
func needPs(t *testing.T) {
	t.Helper()
	if runtime.GOARCH == "wasm" {
		t.Skip("there is one P, and nothing takes it from who does not pause")
	}
}
