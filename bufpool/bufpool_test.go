package bufpool_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bufpool"
)

// tracked returns a pool on an allocator that checks each free, and a function that trims the pool
// and fails if blocks are left.
func tracked(t *testing.T, o bufpool.Options) (p *bufpool.Pool, check func()) {
	t.Helper()
	blocks := alloctest.Track(galloc.System)
	o.Allocator = blocks
	p = bufpool.New(o)
	return p, func() {
		t.Helper()
		p.Trim()
		if m := blocks.Misuses(); len(m) > 0 {
			t.Errorf("misuse: %s", strings.Join(m, "\n"))
		}
		if live := blocks.Live(); len(live) > 0 {
			t.Errorf("blocks are left: %v", live)
		}
		if s := p.Stats(); s.Idle != 0 || s.Buffers != 0 {
			t.Errorf("the pool is not empty: %+v", s)
		}
	}
}

// panics returns what f panics with, as text, or "".
func panics(f func()) (text string) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			text = v.Error()
		default:
			text = v.(string)
		}
	}()
	f()
	return ""
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	if got := panics(f); got == "" || !strings.Contains(got, want) {
		t.Errorf("panic %q, want %q", got, want)
	}
}

// length returns a random length, small ones more often.
func length(r *rand.Rand) int { return r.IntN(1 << r.IntN(22)) }

// Buffers hold what was written to them, whatever else is got, put, grown and released.
func TestBuffersHoldTheirBytes(t *testing.T) {
	for name, o := range map[string]bufpool.Options{
		"default":   {},
		"keeps few": {MaxIdle: 100 << 10},
		"no idle":   {MaxIdle: -1},
		"guarded":   {Guard: bufpool.GuardOptions{Rate: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			p, check := tracked(t, o)
			r := rand.New(rand.NewPCG(1, 2))
			type entry struct {
				b    *bufpool.Buffer
				want []byte
			}
			var all []entry
			verify := func(e entry) {
				t.Helper()
				if !bytes.Equal(e.b.Bytes(), e.want) || e.b.Len() != len(e.want) || e.b.Available() != e.b.Cap()-e.b.Len() {
					t.Fatalf("a buffer does not hold its %d bytes", len(e.want))
				}
			}
			for range 1500 {
				if len(all) < 5 || len(all) < 20 && r.IntN(2) == 0 {
					n := length(r)
					b := p.Get(n)
					if b.Len() != n || b.Cap() < n || b.Owners() != 1 {
						t.Fatalf("Get(%d) has length %d, capacity %d, %d owners", n, b.Len(), b.Cap(), b.Owners())
					}
					for i := 0; i < n; i += 100 {
						b.Bytes()[i] = byte(r.Int())
					}
					all = append(all, entry{b, bytes.Clone(b.Bytes())})
					continue
				}
				i := r.IntN(len(all))
				e := &all[i]
				verify(*e)
				piece := bytes.Repeat([]byte{byte(r.Int())}, length(r)>>4)
				switch r.IntN(8) {
				case 0:
					e.b.Append(piece...)
					e.want = append(e.want, piece...)
				case 1:
					if n, err := e.b.WriteString(string(piece)); n != len(piece) || err != nil {
						t.Fatal(n, err)
					}
					e.want = append(e.want, piece...)
				case 2:
					if err := e.b.WriteByte('x'); err != nil {
						t.Fatal(err)
					}
					if n, err := e.b.WriteRune('ä'); n != 2 || err != nil {
						t.Fatal(n, err)
					}
					e.want = append(e.want, "xä"...)
				case 3:
					n := r.IntN(len(e.want) + 1)
					e.b.Truncate(n)
					e.want = e.want[:n]
				case 4:
					n := length(r)
					e.b.Grow(n)
					if e.b.Available() < n {
						t.Fatalf("Grow(%d) leaves %d", n, e.b.Available())
					}
				case 5: // a part of itself
					from := r.IntN(len(e.want) + 1)
					if _, err := e.b.Write(e.b.Bytes()[from:]); err != nil {
						t.Fatal(err)
					}
					e.want = append(e.want, e.want[from:]...)
				default:
					e.b.Retain()
					e.b.Release()
					verify(*e)
					if r.IntN(2) == 0 {
						e.b.Release()
					} else {
						p.Put(e.b)
					}
					all[i] = all[len(all)-1]
					all = all[:len(all)-1]
					continue
				}
				if len(e.want) > 4<<20 {
					e.b.Reset()
					e.want = e.want[:0]
				}
			}
			for _, e := range all {
				verify(e)
				p.Put(e.b)
			}
			check()
			if s := p.Stats(); o.Guard.Rate > 0 && s.Guarded == 0 {
				t.Error("no buffer was guarded")
			}
		})
	}
}

func TestReadFromAndWriteTo(t *testing.T) {
	p, check := tracked(t, bufpool.Options{})
	text := strings.Repeat("0123456789", 10_000)
	b := p.Get(0)
	if n, err := b.ReadFrom(strings.NewReader(text)); n != int64(len(text)) || err != nil {
		t.Error(n, err)
	}
	var out bytes.Buffer
	if n, err := b.WriteTo(&out); n != int64(len(text)) || err != nil || out.String() != text || b.String() != text {
		t.Error(n, err)
	}
	b.Reset()
	if n, err := b.WriteTo(nil); n != 0 || err != nil || b.Len() != 0 {
		t.Error(n, err)
	}
	failed := errors.New("failed")
	n, err := b.ReadFrom(readers(func(p []byte) (int, error) { return copy(p, "abc"), failed }))
	if n != 3 || err != failed || b.String() != "abc" {
		t.Error(n, err, b.String())
	}
	wantPanic(t, "Read returned 100000", func() {
		_, _ = b.ReadFrom(readers(func([]byte) (int, error) { return 100_000, nil }))
	})
	b.Resize(2)
	if s := append(b.AvailableBuffer(), 'z'); len(s) != 1 || b.String() != "ab" {
		t.Error(b.String())
	}
	p.Put(b)
	check()
}

type readers func([]byte) (int, error)

func (r readers) Read(p []byte) (int, error) { return r(p) }

// Misuse is found while the pool has not handed out the same Buffer again.
func TestMisusePanics(t *testing.T) {
	p, check := tracked(t, bufpool.Options{})
	b := p.Get(10)
	wantPanic(t, "of another pool", func() { bufpool.Put(b) })
	b.Retain()
	wantPanic(t, "with 2 owners", func() { p.Put(b) })
	wantPanic(t, "with 2 owners", func() { b.Grow(1000) })
	b.Release()
	wantPanic(t, "to 11 bytes", func() { b.Truncate(11) })
	wantPanic(t, "to -1 bytes", func() { b.Truncate(-1) })
	wantPanic(t, "call Grow first", func() { b.Resize(b.Cap() + 1) })
	wantPanic(t, "negative number", func() { b.Grow(-1) })
	wantPanic(t, "negative length", func() { p.Get(-1) })
	p.Put(nil)
	for _, large := range []int{10, 2 << 20} {
		b := p.Get(large)
		p.Put(b)
		wantPanic(t, "put back before", func() { p.Put(b) })
		for _, f := range []func(){
			func() { b.Bytes() }, func() { b.Reset() }, func() { b.Grow(1) }, func() { b.Append(1) }, func() { b.Retain() },
			func() { _, _ = b.Write(nil) }, func() { _ = b.WriteByte(1) }, func() { _ = b.Len() },
		} {
			wantPanic(t, "use of a buffer after Put", f)
		}
		wantPanic(t, "put back before", b.Release)
	}
	wantPanic(t, "no pool has returned", func() { new(bufpool.Buffer).Bytes() })
	wantPanic(t, "no pool has returned", func() { new(bufpool.Buffer).Release() })
	p.Put(b)
	check()
	wantPanic(t, "Decay is", func() { bufpool.New(bufpool.Options{Decay: 1}) })
	wantPanic(t, "must not be negative", func() { bufpool.New(bufpool.Options{Guard: bufpool.GuardOptions{Rate: -1}}) })
	wantPanic(t, "set Rate too", func() { bufpool.New(bufpool.Options{Guard: bufpool.GuardOptions{Delay: 1}}) })
}

// Idle buffers have at most MaxIdle bytes, and large ones are not kept.
func TestIdleBytesAreBounded(t *testing.T) {
	const limit = 1 << 20
	p, check := tracked(t, bufpool.Options{MaxIdle: limit, Decay: -1})
	p.Put(p.Get(3 << 20))
	if idle := p.Stats().Idle; idle != 0 {
		t.Errorf("%d bytes of a large buffer are idle", idle)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, 2))
			var all []*bufpool.Buffer
			for range 100 {
				all = append(all, p.Get(1<<r.IntN(18)))
			}
			for _, b := range all {
				p.Put(b)
				if idle := p.Stats().Idle; idle > limit {
					t.Errorf("%d bytes are idle", idle)
				}
			}
		})
	}
	wg.Wait()
	before := p.Stats().Idle
	if before == 0 {
		t.Error("nothing is kept")
	}
	if n := p.Trim(); n != before || p.Stats().Idle != 0 {
		t.Errorf("Trim has freed %d of %d bytes", n, before)
	}
	check()
}

// Buffers that the cache of a P has no room for are kept for all Ps.
func TestSharedCache(t *testing.T) {
	f := alloctest.Fail(galloc.System)
	p := bufpool.New(bufpool.Options{Allocator: f, MaxIdle: 8 << 20, Decay: -1})
	for range 3 {
		var all []*bufpool.Buffer
		for range 100 {
			all = append(all, p.Get(64<<10))
		}
		for _, b := range all {
			p.Put(b)
		}
	}
	// A quarter of MaxIdle, 32 buffers, may be in the caches of other Ps each time.
	if n := f.Calls(); n > 100+2*32 {
		t.Errorf("%d buffers were allocated", n)
	}
	if p.Trim() < 100*64<<10 {
		t.Error("fewer than 100 buffers were kept")
	}
}

// A pool that is not used frees its buffers, however often that happens.
func TestIdleBuffersDecay(t *testing.T) {
	p, check := tracked(t, bufpool.Options{Decay: 2 * time.Millisecond})
	for range 3 {
		var all []*bufpool.Buffer
		for i := range 100 {
			all = append(all, p.Get(100*i))
		}
		for _, b := range all {
			p.Put(b)
		}
		for p.Stats().Buffers > 0 { // the test's time limit ends this if it fails
			time.Sleep(time.Millisecond)
		}
	}
	check()
}

// Goroutines get buffers and pass them on to others, which put them back.
func TestManyGoroutines(t *testing.T) {
	for name, o := range map[string]bufpool.Options{
		"default": {Decay: time.Millisecond},
		"guarded": {Decay: time.Millisecond, MaxIdle: 1 << 20, Guard: bufpool.GuardOptions{Rate: 20}},
	} {
		t.Run(name, func(t *testing.T) {
			p, check := tracked(t, o)
			pipe := make(chan *bufpool.Buffer, 64)
			var get, put sync.WaitGroup
			for i := range 4 {
				get.Go(func() {
					r := rand.New(rand.NewPCG(uint64(i), 2))
					for range 2000 {
						b := p.Get(1 + r.IntN(1<<r.IntN(16)))
						fill(b)
						pipe <- b.Retain()
						if r.IntN(100) == 0 {
							runtime.Gosched()
						}
						verify(t, b)
						b.Release()
					}
				})
				put.Go(func() {
					for b := range pipe {
						verify(t, b)
						b.Release()
					}
				})
			}
			get.Wait()
			close(pipe)
			put.Wait()
			check()
		})
	}
}

func fill(b *bufpool.Buffer) {
	s := b.Bytes()
	for i := range s {
		s[i] = byte(len(s))
	}
}

func verify(t *testing.T, b *bufpool.Buffer) {
	s := b.Bytes()
	for _, c := range s {
		if c != byte(len(s)) {
			t.Errorf("a buffer of %d bytes has changed", len(s))
			return
		}
	}
}

// Each allocation that fails is an error, and leaves buffers and pool as they were.
func TestFailures(t *testing.T) {
	alloctest.CheckFailures(t, func(a galloc.Allocator) (err error) {
		p := bufpool.New(bufpool.Options{Allocator: a, MaxIdle: -1})
		b, err := p.TryGet(100)
		if err != nil {
			return err
		}
		defer p.Put(b)
		large, err := p.TryGet(5 << 20)
		if err != nil {
			return err
		}
		defer p.Put(large)
		s := bufpool.NewScope(p)
		defer s.End()
		inner := s.New()
		if _, err := inner.TryGet(1000); err != nil {
			return err
		}
		if _, err := inner.TryBytes(10); err != nil {
			return err
		}
		_, err = s.TryBytes(10_000)
		return err
	})
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) (err error) {
		p := bufpool.New(bufpool.Options{Allocator: a, Decay: -1})
		defer p.Trim()
		b, err := p.TryGet(0)
		if err != nil {
			return err
		}
		defer p.Put(b)
		for range 6 {
			had := b.Len()
			if _, err := b.ReadFrom(strings.NewReader(strings.Repeat("y", 2000))); err != nil {
				return keeps(b, had, err)
			}
		}
		return nil
	})
}

// keeps returns err, or another error if b has lost bytes.
func keeps(b *bufpool.Buffer, atLeast int, err error) error {
	if b.Len() < atLeast {
		return errors.New("a buffer has lost bytes")
	}
	return err
}

// When memory runs out, the idle buffers of other classes are freed.
func TestIdleBuffersAreFreedForOthers(t *testing.T) {
	f := alloctest.Fail(galloc.System, alloctest.At(2))
	p := bufpool.New(bufpool.Options{Allocator: f, Decay: -1})
	p.Put(p.Get(100))
	b, err := p.TryGet(1000)
	if err != nil || f.Failures() != 1 || p.Stats().Idle != 0 {
		t.Error(err, f.Failures(), p.Stats())
	}
	f.SetFaults(alloctest.After(0))
	if _, err := p.TryGet(2000); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Error(err)
	}
	p.Put(b)
	p.Trim()
	var tooLarge *galloc.LayoutError
	if _, err := p.TryGet(math.MaxInt); !errors.As(err, &tooLarge) {
		t.Error(err)
	}
}

// Get aborts if memory runs out, through the hook.
func TestGetCallsTheHook(t *testing.T) {
	p := bufpool.New(bufpool.Options{Allocator: galloc.Null})
	defer galloc.SetAllocErrorHook(galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) }))
	wantPanic(t, "112 bytes (align 16)", func() { p.Get(100) })
	wantPanic(t, "112 bytes (align 16)", func() { bufpool.NewScope(p).Get(100) })
	wantPanic(t, "4096 bytes (align 16)", func() { bufpool.NewScope(p).Bytes(1) })
}

func TestDefaultPool(t *testing.T) {
	b := bufpool.Get(100)
	c, err := bufpool.TryGet(200)
	if err != nil || b.Len() != 100 || c.Len() != 200 || bufpool.Default().Stats().Buffers < 2 {
		t.Error(err, b.Len(), c.Len())
	}
	bufpool.Put(b)
	c.Release()
}

// A warm pair allocates no Go memory.
func TestWarmPairAllocatesNothing(t *testing.T) {
	var p bufpool.Pool
	n := testing.AllocsPerRun(100, func() {
		b := p.Get(1000)
		_ = b.WriteByte(1)
		b.Retain().Release()
		b.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
