package pool_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/pool"
)

// mixed allocates from a pool if a layout fits, and from System otherwise, because some rules of
// the contract need blocks of any size.
type mixed struct{ p *pool.Pool }

func (m mixed) Allocate(l galloc.Layout) ([]byte, error) {
	b, err := m.p.Allocate(l)
	if err == galloc.ErrUnsupported {
		return galloc.System.Allocate(l)
	}
	return b, err
}

func (m mixed) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if m.p.Owns(p) {
		m.p.Deallocate(p, l)
	} else {
		galloc.System.Deallocate(p, l)
	}
}

func (m mixed) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	return m.p.Owns(p) && m.p.Resize(p, l, newSize)
}

func (m mixed) UsableSize(l galloc.Layout) uintptr { return m.p.UsableSize(l) }

var layouts = [][2]uintptr{{1, 1}, {0, 1}, {0, 64}, {3, 1}, {24, 8}, {100, 4}, {64, 64}, {5000, 8}, {1 << 16, 1 << 16}}

func TestConformance(t *testing.T) {
	for _, l := range [][2]uintptr{{1, 1}, {24, 8}, {5000, 8}} {
		t.Run(fmt.Sprintf("size=%d/align=%d", l[0], l[1]), func(t *testing.T) {
			p := pool.New(nil, layout(t, l[0], l[1]))
			defer p.Close()
			alloctest.Run(t, func() galloc.Allocator { return mixed{p} }, alloctest.SingleGoroutine)
			if p.Stats().LiveBlocks > 13*100 { // SizeZero does not free its blocks, as it may
				t.Errorf("%+v after everything was freed", p.Stats())
			}
		})
	}
}

func TestLayoutsThatDoNotFit(t *testing.T) {
	p := pool.New(galloc.Null, layout(t, 20, 8))
	for _, l := range []galloc.Layout{layout(t, 25, 8), layout(t, 8, 16), layout(t, math.MaxInt, 1)} {
		if _, err := p.Allocate(l); err != galloc.ErrUnsupported || p.UsableSize(l) != l.Size() {
			t.Errorf("%v: %v", l, err)
		}
	}
	if _, err := p.Allocate(layout(t, 24, 1)); !errors.Is(err, galloc.ErrOutOfMemory) || p.UsableSize(layout(t, 1, 1)) != 24 {
		t.Errorf("%v", err)
	}
	q := pool.New(nil, layout(t, 20, 8))
	defer q.Close()
	at := q.Get()
	for size, want := range map[uintptr]bool{1: true, 20: true, 24: true, 25: false, 0: false, math.MaxUint: false} {
		if q.Resize(at, layout(t, 10, 8), size) != want {
			t.Errorf("Resize to %d bytes: %v", size, !want)
		}
	}
	if b, err := p.Allocate(layout(t, 0, 4096)); err != nil || len(b) != 0 {
		t.Errorf("size 0: %v, %v", b, err)
	}
	if p.Get() != nil {
		t.Error("Get from a pool without memory")
	}
}

// The blocks of all slabs do not overlap, and are reused after Put.
func TestBlocks(t *testing.T) {
	for _, l := range layouts {
		u := newUpstream(t, nil)
		p := pool.New(u, layout(t, l[0], l[1]))
		size := p.UsableSize(layout(t, 1, 1))
		n := int(min(50_000, 8<<20/size))
		all := map[unsafe.Pointer]byte{}
		var order []unsafe.Pointer
		get := func() {
			q := p.Get()
			if _, ok := all[q]; ok || q == nil || uintptr(q)%l[1] != 0 || !p.Owns(q) {
				t.Fatalf("%v: got %p, which is in use or not aligned", l, q)
			}
			all[q] = byte(len(order))
			block := unsafe.Slice((*byte)(q), size)
			for i := range block {
				block[i] = byte(len(order))
			}
			order = append(order, q)
		}
		for range n {
			get()
		}
		rand.Shuffle(n, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for range 3 {
			for range n / 2 {
				q := order[len(order)-1]
				for _, b := range unsafe.Slice((*byte)(q), size) {
					if b != all[q] {
						t.Fatalf("%v: a block was changed", l)
					}
				}
				order = order[:len(order)-1]
				delete(all, q)
				p.Put(q)
			}
			for range n / 2 {
				get()
			}
		}
		s := p.Stats()
		var bytes uintptr
		for _, l := range u.Live() {
			bytes += l.Size()
		}
		if s.LiveBlocks != n || s.Capacity < n || s.Capacity > max(2*n, 4096/int(size), 8) ||
			s.Footprint != bytes || bytes > uintptr(s.Capacity)*(size+5)+64 {
			t.Errorf("%v: %d blocks: %+v, %d bytes upstream", l, n, s, bytes)
		}
		if slabs := len(u.Live()) / 2; slabs > 16 {
			t.Errorf("%v: %d slabs", l, slabs)
		}
		last := order[len(order)-1]
		if p.Put(last); p.Get() != last {
			t.Errorf("%v: Get did not return the block of the last Put", l)
		}
		p.Close()
	}
}

func TestMisuse(t *testing.T) {
	for _, l := range layouts {
		p := pool.New(nil, layout(t, l[0], l[1]))
		size := p.UsableSize(layout(t, 1, 1))
		var blocks []unsafe.Pointer
		for range 1000 {
			blocks = append(blocks, p.Get())
		}
		other := pool.New(nil, layout(t, l[0], l[1]))
		foreign := other.Get()
		for _, i := range []int{0, 5, 500, 999} {
			q := blocks[i]
			p.Put(q)
			p.Put(blocks[(i+300)%900+1]) // makes another slab hot
			wantPanic(t, "double free: Put", func() { p.Put(q) })
			p.Get()
			p.Get()
			wantPanic(t, "foreign free: Put", func() { p.Put(foreign) })
			if size > 1 {
				wantPanic(t, "interior free: Put", func() { p.Put(unsafe.Add(q, size-1)) })
				wantPanic(t, "interior free: Put", func() { p.Put(unsafe.Add(q, 1)) })
			}
		}
		wantPanic(t, "wrong layout: Deallocate", func() { p.Deallocate(blocks[0], layout(t, size+1, 1)) })
		wantPanic(t, "wrong layout: Deallocate", func() { p.Deallocate(blocks[0], layout(t, 1, 2*l[1])) })
		wantPanic(t, "foreign free: Put", func() { p.Deallocate(nil, layout(t, 1, 1)) })
		if s := p.Stats(); s.LiveBlocks != 1000 {
			t.Errorf("%v: after misuse: %+v", l, s)
		}
		p.Put(nil)
		p.Reset()
		wantPanic(t, "double free: Put", func() { p.Put(blocks[999]) })
		p.Close()
		wantPanic(t, "foreign free: Put", func() { p.Put(blocks[0]) })
		other.Close()
	}
}

// A write to a free block does not corrupt the pool.
func TestWritesAfterPut(t *testing.T) {
	p := pool.New(nil, layout(t, 16, 8))
	defer p.Close()
	seen := map[unsafe.Pointer]bool{}
	for range 1000 {
		q := p.Get()
		p.Put(q)
		*(*[2]uint64)(q) = [2]uint64{math.MaxUint64, 0x4141414141414141}
		if p.Get() != q || seen[q] {
			t.Fatal("the pool was corrupted")
		}
		seen[q] = true
	}
}

func TestReserveAndLimit(t *testing.T) {
	u := newUpstream(t, nil)
	p := pool.New(u, layout(t, 24, 8))
	defer p.Close()
	if err := p.Reserve(1000); err != nil || p.Stats().Capacity != 1000 {
		t.Fatal(err, p.Stats())
	}
	for i := range 1500 {
		if calls := u.Calls(); p.Get() == nil || i < 1000 && u.Calls() != calls {
			t.Fatal("a reserved block needed the upstream")
		}
	}
	p.SetLimit(2100)
	calls := u.Calls()
	if err := p.Reserve(601); !errors.Is(err, galloc.ErrLimit) || u.Calls() != calls {
		t.Error(err)
	}
	if err := p.Reserve(600); err != nil {
		t.Error(err)
	}
	n := 1500
	for p.Get() != nil {
		n++
	}
	if n != 2100 && n != 2000 || p.Stats().Capacity != n {
		t.Errorf("%d blocks, %+v", n, p.Stats())
	}
	if k := testing.AllocsPerRun(10, func() { p.Get() }); k != 0 {
		t.Errorf("failing allocates %v times", k)
	}
	p.SetLimit(10)
	if p.Get() != nil || p.Reserve(1) == nil {
		t.Error("Get exceeded a limit below the capacity")
	}
	wantPanic(t, "SetLimit(-1)", func() { p.SetLimit(-1) })
	p.SetLimit(0)
	if p.Get() == nil {
		t.Error("Get failed without a limit")
	}
	if err := p.Reserve(math.MaxInt); !errors.Is(err, galloc.ErrOutOfMemory) && math.MaxInt > math.MaxInt32 {
		t.Errorf("Reserve of all memory: %v", err)
	}
}

// Many small reservations make few slabs, because the cost of Put grows with the slabs.
func TestSmallReservationsShareSlabs(t *testing.T) {
	u := newUpstream(t, nil)
	p := pool.New(u, layout(t, 24, 8))
	defer p.Close()
	for i := range 10_000 {
		if err := p.Reserve(1 + i%3); err != nil || p.Get() == nil {
			t.Fatal(err)
		}
	}
	if slabs := len(u.Live()) / 2; slabs > 16 || p.Stats().Capacity > 20_000 {
		t.Errorf("%d slabs, %+v", slabs, p.Stats())
	}
}

// A reservation that fails allocates nothing.
func TestReservationsThatFail(t *testing.T) {
	if math.MaxInt == math.MaxInt32 || runtime.GOARCH == "wasm" {
		t.Skip("slabs are too large to have several")
	}
	l := layout(t, 1<<29, 8) // two per slab
	u := newUpstream(t, func(call int, _ uintptr) bool { return call > 5 })
	p := pool.New(u, l)
	defer p.Close()
	if err := p.Reserve(5); !errors.Is(err, galloc.ErrOutOfMemory) || len(u.Live()) != 0 || p.Stats() != (pool.Stats{}) {
		t.Errorf("%v, %v, %+v", err, u.Live(), p.Stats())
	}
	u.fail = nil
	if err := p.Reserve(1); err != nil || p.Get() == nil || p.Stats().Capacity != 1 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
	u.fail = func(int, uintptr) bool { return true }
	if err := p.Reserve(2); !errors.Is(err, galloc.ErrOutOfMemory) || p.Stats().LiveBlocks != 1 || p.Stats().Capacity != 1 {
		t.Errorf("%v, %+v", err, p.Stats())
	}
}

// Blocks of a layout of size 0 have distinct, aligned addresses. A layout that is too large fails.
func TestBlocksOfSizeZero(t *testing.T) {
	p := pool.New(nil, layout(t, 0, 4096))
	defer p.Close()
	a, b := p.Get(), p.Get()
	if a == nil || b == nil || a == b || uintptr(a)%4096 != 0 || uintptr(b)%4096 != 0 {
		t.Errorf("%p, %p", a, b)
	}
	if b, err := p.Allocate(layout(t, 1, 4096)); err != nil || uintptr(unsafe.Pointer(&b[0]))%4096 != 0 {
		t.Errorf("%p, %v", b, err)
	}
	most := pool.New(nil, layout(t, 0, math.MaxInt+1))
	if most.Get() != nil || most.Reserve(1) != galloc.ErrUnsupported || most.Stats() != (pool.Stats{}) {
		t.Errorf("aligned to half the address space: %+v", most.Stats())
	}
}

func TestResetKeepsTheSlabs(t *testing.T) {
	u := newUpstream(t, nil)
	p := pool.New(u, layout(t, 40, 8))
	defer p.Close()
	for range 3 {
		seen := map[unsafe.Pointer]bool{}
		for range 5000 {
			q := p.Get()
			if seen[q] {
				t.Fatal("Get returned a block twice")
			}
			seen[q] = true
		}
		p.Reset()
		if s := p.Stats(); s.LiveBlocks != 0 || s.Capacity < 5000 || s.Capacity > 10_000 {
			t.Errorf("after Reset: %+v", s)
		}
	}
	p.Close()
	if s := p.Stats(); s != (pool.Stats{}) || len(u.Live()) != 0 {
		t.Errorf("after Close: %+v, %v", s, u.Live())
	}
	if p.Get() == nil {
		t.Error("a closed pool cannot be used again")
	}
}

func TestUpstreamFailures(t *testing.T) {
	script := func(u *upstream) (failures int) {
		p := pool.New(u, layout(t, 48, 16))
		defer p.Close()
		seen := map[unsafe.Pointer]bool{}
		for range 2000 {
			q := p.Get()
			if q == nil {
				failures++
			} else if seen[q] {
				t.Fatal("Get returned a block twice")
			} else {
				seen[q] = true
				*(*[6]uint64)(q) = [6]uint64{1, 2, 3, 4, 5, 6}
			}
		}
		for q := range seen {
			p.Put(q)
		}
		return failures
	}
	count := newUpstream(t, nil)
	if n := script(count); n != 0 {
		t.Fatal(n)
	}
	for n := 1; n <= count.Calls(); n++ {
		if failed := script(newUpstream(t, func(call int, _ uintptr) bool { return call == n })); failed != 0 {
			t.Errorf("call %d of the upstream fails, and so do %d of the pool, though half the size would do",
				n, failed)
		}
		if failed := script(newUpstream(t, func(call int, _ uintptr) bool { return call >= n })); failed == 0 {
			t.Errorf("calls from %d on fail, but no call of the pool", n)
		}
	}
	if failed := script(newUpstream(t, func(_ int, size uintptr) bool { return size > 1000 })); failed != 0 {
		t.Errorf("without large blocks %d calls fail", failed)
	}
}

func TestSlabsGetSmallerWhenTheUpstreamFails(t *testing.T) {
	u := newUpstream(t, nil)
	p := pool.New(u, layout(t, 8, 8))
	defer p.Close()
	if err := p.Reserve(8192); err != nil {
		t.Fatal(err)
	}
	u.fail = func(_ int, size uintptr) bool { return size > 10_000 }
	for range 8193 {
		p.Get()
	}
	if c := p.Stats().Capacity; c != 8192+1024 {
		t.Errorf("%d blocks after slabs of 64, 32 and 16 KiB failed", c)
	}
}

func TestGetReturnsTheLastBlockPut(t *testing.T) {
	p := pool.New(nil, layout(t, 40, 8))
	defer p.Close()
	var blocks []unsafe.Pointer
	for range 5000 {
		blocks = append(blocks, p.Get())
	}
	for i := 0; i < len(blocks); i += 77 { // of several slabs
		j := (i*31 + 1000) % len(blocks)
		if i == j {
			continue
		}
		p.Put(blocks[j])
		p.Put(blocks[i])
		if p.Get() != blocks[i] {
			t.Fatalf("block %d was put last, but Get returned another", i)
		}
		blocks[j] = p.Get()
	}
}

func TestOf(t *testing.T) {
	p := galloc.Must(pool.NewOf[node](nil))
	defer p.Close()
	seen := map[*node]bool{}
	for range 3000 {
		v, err := p.Get()
		if err != nil || *v != (node{}) || seen[v] {
			t.Fatal(err, v)
		}
		seen[v] = true
		v.left, v.key[1] = 7, 7
	}
	for v := range seen {
		p.Put(v)
	}
	for range 3000 {
		v, err := p.Get()
		if err != nil || *v != (node{}) {
			t.Fatal(err, v)
		}
	}
	p.Reset()
	if u, err := p.GetUninit(); err != nil || p.Pool().Stats().LiveBlocks != 1 {
		t.Error(u, err)
	}
	for what, err := range map[string]error{
		"string":        second(pool.NewOf[struct{ name string }](nil)),
		"*int":          second(pool.NewOf[*int](galloc.GoHeap)),
		"error in Null": second(pool.NewOf[error](galloc.Null)),
	} {
		if !errors.Is(err, galloc.ErrPointers) {
			t.Errorf("%s: %v", what, err)
		}
	}
	none := galloc.Must(pool.NewOf[node](galloc.Null))
	if _, err := none.Get(); !errors.Is(err, galloc.ErrOutOfMemory) || !strings.Contains(err.Error(), "24 bytes") {
		t.Errorf("without memory: %v", err)
	}
	empty := galloc.Must(pool.NewOf[struct{}](nil))
	if v, err := empty.Get(); v == nil || err != nil {
		t.Errorf("of size 0: %v, %v", v, err)
	} else {
		empty.Put(v)
	}
	empty.Close()
}

func second[T any](_ T, err error) error { return err }

func TestOwnsItsBlocks(t *testing.T) {
	p := pool.New(nil, layout(t, 24, 8))
	defer p.Close()
	q := p.Get()
	p.Put(q)
	for at := range uintptr(200 * 24) {
		// 64 blocks are prepared at a time.
		if want := at%24 == 0 && at < 64*24; p.Owns(unsafe.Add(q, at)) != want {
			t.Fatalf("Owns at %d bytes: %v", at, !want)
		}
	}
}

func TestNames(t *testing.T) {
	if got := fmt.Sprint(pool.New(nil, layout(t, 20, 8))); got != "pool of 24 bytes (align 8) on galloc.Global" {
		t.Error(got)
	}
	if got := fmt.Sprint(pool.New(mixed{}, layout(t, 20, 8))); got != "pool of 24 bytes (align 8) on pool_test.mixed" {
		t.Error(got)
	}
}

// FuzzPool compares a pool with the set of its blocks in use, with misuse and with an upstream that
// sometimes fails.
func FuzzPool(f *testing.F) {
	f.Add(uint8(24), []byte("\x00\x01\x00\x02\x20\x05\x30\x00\x40\x00"))
	f.Fuzz(func(t *testing.T, size uint8, data []byte) {
		u := newUpstream(t, func(call int, size uintptr) bool { return call%5 == 4 || size > 1<<16 })
		l := layout(t, uintptr(size>>3)*9, 1<<(size&7))
		p := pool.New(u, l)
		stride := p.UsableSize(layout(t, 1, 1))
		var live, dead []unsafe.Pointer
		marks := map[unsafe.Pointer]byte{}
		get := func() {
			q := p.Get()
			if q == nil {
				return
			}
			if _, ok := marks[q]; ok || uintptr(q)%l.Align() != 0 {
				t.Fatalf("got %p, which is in use or not aligned", q)
			}
			marks[q] = byte(len(marks))
			live = append(live, q)
			*(*byte)(q), *(*byte)(unsafe.Add(q, stride-1)) = marks[q], marks[q]
		}
		put := func(i int) {
			q := live[i]
			if *(*byte)(q) != marks[q] || *(*byte)(unsafe.Add(q, stride-1)) != marks[q] {
				t.Fatalf("the block at %p was changed", q)
			}
			p.Put(q)
			delete(marks, q)
			live[i] = live[len(live)-1]
			live = live[:len(live)-1]
			dead = append(dead, q)
		}
		for ; len(data) >= 2; data = data[2:] {
			n := int(data[1])
			switch data[0] >> 4 {
			case 0, 1, 2:
				for range n {
					get()
				}
			case 3, 4:
				for range min(n, len(live)) {
					put(n * 7 % len(live))
				}
			case 5:
				if len(live) > 0 {
					put(len(live) - 1)
				}
			case 6:
				if len(dead) > 0 {
					q := dead[n%len(dead)]
					if _, ok := marks[q]; !ok {
						wantPanic(t, "", func() { p.Put(q) })
					}
				}
			case 7:
				if len(live) > 0 && stride > 1 {
					q := unsafe.Add(live[n%len(live)], 1+uintptr(n)%(stride-1))
					wantPanic(t, "interior free: Put", func() { p.Put(q) })
				}
			case 8:
				_ = p.Reserve(n)
			case 9:
				p.SetLimit(n * 16)
			case 10:
				p.Reset()
				live, marks = nil, map[unsafe.Pointer]byte{}
			case 11:
				p.Close()
				live, dead, marks = nil, nil, map[unsafe.Pointer]byte{}
			}
			if s := p.Stats(); s.LiveBlocks != len(live) || s.Capacity < s.LiveBlocks {
				t.Fatalf("%+v, but %d blocks are in use", s, len(live))
			}
		}
		for len(live) > 0 {
			put(0)
		}
		p.Close()
	})
}

// FuzzContract runs programs on a pool, with System for other layouts.
func FuzzContract(f *testing.F) {
	l, _ := galloc.NewLayout(96, 32)
	p := pool.New(nil, l)
	f.Cleanup(p.Close)
	alloctest.Fuzz(f, func() galloc.Allocator { return mixed{p} })
}

// upstream is a Tracker that fails when fail returns true.
type upstream struct {
	*alloctest.Tracker
	fail  func(call int, size uintptr) bool
	calls int
}

func newUpstream(t *testing.T, fail func(call int, size uintptr) bool) *upstream {
	u := &upstream{Tracker: alloctest.Track(galloc.System), fail: fail}
	t.Cleanup(func() {
		if len(u.Live()) != 0 || len(u.Misuses()) != 0 {
			t.Errorf("left upstream: %v; misuses: %v", u.Live(), u.Misuses())
		}
	})
	return u
}

func (u *upstream) Allocate(l galloc.Layout) ([]byte, error) {
	if u.calls++; u.fail != nil && u.fail(u.calls, l.Size()) {
		return nil, galloc.ErrOutOfMemory
	}
	return u.Tracker.Allocate(l)
}

func layout(t *testing.T, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "galloc/pool: ") || !strings.Contains(got, want) {
			t.Errorf("panicked with %q, want %q", got, want)
		}
	}()
	f()
}
