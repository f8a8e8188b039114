package replay_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/replay"
	"github.com/galloc-go/galloc/internal/stopwatch"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

func compile(t testing.TB, text string) *replay.Program {
	t.Helper()
	r, err := trace.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := replay.Compile("", r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compileThreads(t testing.TB, text string) *replay.ThreadProgram {
	t.Helper()
	r, err := trace.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := replay.CompileThreads("", r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newReplay(t testing.TB, text string) *replay.Replay {
	t.Helper()
	r, err := replay.NewReplay(compile(t, text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newThreadReplay(t testing.TB, text string) *replay.ThreadReplay {
	t.Helper()
	r, err := replay.NewThreadReplay(compileThreads(t, text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// counted is System with a count of what is out, and of the events.
type counted struct{ events, blocks, bytes int }

func (c *counted) Allocate(l galloc.Layout) ([]byte, error) {
	b, err := galloc.System.Allocate(l)
	if err == nil && l.Size() > 0 {
		c.blocks++
		c.bytes += int(l.Size())
	}
	c.events++
	return b, err
}

func (c *counted) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	if l.Size() > 0 {
		c.blocks--
		c.bytes -= int(l.Size())
	}
	c.events++
	galloc.System.Deallocate(p, l)
}

func replayAndCheck(t *testing.T, text string) {
	t.Helper()
	c := new(counted)
	compared, err := newReplay(t, text).Check(c)
	if err != nil || *c != (counted{events: c.events}) || compared == 0 {
		t.Errorf("check: %v, %d bytes compared, %+v", err, compared, *c)
	}
	r := newReplay(t, text)
	for _, face := range []replay.Face{replay.Static, replay.AtRunTime, replay.Slices, replay.Static} {
		r.Through(face)
		before := live(t)
		if _, err := r.Round(); err != nil {
			t.Error(err)
		}
		r.FreeSurvivors()
		if after := live(t); after != before {
			t.Errorf("face %d: %+v were live before, %+v after", face, before, after)
		}
	}
	tr := newThreadReplay(t, text)
	for range 2 {
		if compared, err := tr.Check(galloc.System); err != nil || compared == 0 {
			t.Errorf("check with threads: %v, %d bytes compared", err, compared)
		}
		if _, err := tr.Round(); err != nil {
			t.Error(err)
		}
		tr.FreeSurvivors()
	}
}

// live returns the figures of the global allocator, without its footprint.
func live(t *testing.T) galloc.Stats {
	t.Helper()
	s, err := galloc.ReadStats()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	s.Footprint = 0
	return s
}

// randomTrace is a trace of several threads that free one another's blocks.
func randomTrace(seed uint64, events int) string {
	rnd := rand.New(rand.NewPCG(seed, 1))
	var b strings.Builder
	b.WriteString("# malloctrace 1\n")
	var live []int
	threads, born := 0, 0
	for range events {
		thread := rnd.IntN(min(threads+1, 6))
		size := rnd.IntN(1 << rnd.IntN(14))
		i := 0
		if len(live) > 0 {
			i = rnd.IntN(len(live))
		}
		switch k := rnd.IntN(10); {
		case k < 4 && len(live) > 0:
			fmt.Fprintf(&b, "f %d %d\n", thread, live[i])
			live = append(live[:i], live[i+1:]...)
		case k < 6 && len(live) > 0:
			born++
			fmt.Fprintf(&b, "r %d %d %d %d\n", thread, live[i], born, size)
			live[i] = born
		default:
			born++
			switch k {
			case 7:
				fmt.Fprintf(&b, "c %d %d %d\n", thread, born, size)
			case 8:
				fmt.Fprintf(&b, "a %d %d %d %d\n", thread, born, size, 1<<rnd.IntN(13))
			case 9:
				fmt.Fprintf(&b, "r %d 0 %d %d\n", thread, born, size)
			default:
				fmt.Fprintf(&b, "m %d %d %d\n", thread, born, size)
			}
			live = append(live, born)
		}
		threads = max(threads, thread+1)
	}
	return b.String()
}

func TestReplayOfRandomTraces(t *testing.T) {
	for seed := range uint64(10) {
		replayAndCheck(t, randomTrace(seed, 5000))
	}
}

func TestShippedTracesCanBeReplayed(t *testing.T) {
	for _, file := range replay.Shipped(t) {
		src, err := trace.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		p, err := replay.Compile(file, replay.Some(src))
		if err != nil {
			t.Fatal(err)
		}
		rep, err := replay.NewReplay(p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rep.Round(); err != nil {
			t.Error(err)
		}
		rep.FreeSurvivors()
		if err := errors.Join(rep.Close(), src.Close()); err != nil {
			t.Error(err)
		}
	}
}

// faulty breaks one promise at the n-th call of Allocate.
type faulty struct {
	galloc.Allocator
	n      int
	broken func(b []byte) ([]byte, error)
	last   []byte
}

func (f *faulty) Allocate(l galloc.Layout) ([]byte, error) {
	b, err := f.Allocator.Allocate(l)
	if f.n--; f.n == 0 {
		return f.broken(b)
	}
	f.last = b
	return b, err
}

func (f *faulty) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	b, err := galloc.AllocateZeroed(f.Allocator, l)
	if f.n--; f.n == 0 {
		return f.broken(b)
	}
	return b, err
}

func TestCheckFindsBrokenAllocators(t *testing.T) {
	const text = "# malloctrace 1\nm 0 1 64\nm 0 2 64\nc 0 3 64\nr 0 1 4 200\nf 0 2\nf 0 4\nf 0 3\n"
	var f *faulty
	for _, c := range []struct {
		name   string
		n      int
		broken func(b []byte) ([]byte, error)
		want   string
	}{
		{"the same block twice", 2, func([]byte) ([]byte, error) { return f.last, nil }, "thread 0, event 4, realloc: before the realloc"},
		{"not aligned", 1, func(b []byte) ([]byte, error) { return b[1:], nil }, "thread 0, event 1, malloc: the block of Layout(size 64, align 16 = 1<<4) is at"},
		{"too short", 2, func(b []byte) ([]byte, error) { return b[:63], nil }, "thread 0, event 2, malloc: the block of Layout(size 64, align 16 = 1<<4) has 63 bytes"},
		{"not zero", 3, func(b []byte) ([]byte, error) { b[60] = 1; return b, nil }, "thread 0, event 3, calloc: byte 60 of 64 is 0x01"},
		{"overwritten", 3, func(b []byte) ([]byte, error) { f.last[9]++; return b, nil }, "thread 0, event 5, free: before the free, bytes 8 to 15"},
		{"out of memory", 2, func([]byte) ([]byte, error) { return nil, galloc.ErrOutOfMemory }, "thread 0, event 2, malloc: galloc: out of memory"},
	} {
		f = &faulty{Allocator: galloc.GoHeap, n: c.n, broken: c.broken}
		for _, check := range []func(galloc.Allocator) (uint64, error){newReplay(t, text).Check, newThreadReplay(t, text).Check} {
			f.n, f.last = c.n, nil
			_, err := check(f)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.want)
			}
		}
	}
}

// A Grow that forgets the content.
type forgetful struct{ galloc.Allocator }

func (f forgetful) Grow(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return f.Allocate(new)
}

func (f forgetful) GrowZeroed(p unsafe.Pointer, old, new galloc.Layout) ([]byte, error) {
	return f.Allocate(new)
}

func TestCheckFindsLostContent(t *testing.T) {
	_, err := newReplay(t, "# malloctrace 1\nm 0 1 9\nr 0 1 2 20\n").Check(forgetful{galloc.GoHeap})
	if err == nil || !strings.Contains(err.Error(), "thread 0, event 2, realloc: kept by the realloc, bytes 0 to 7") {
		t.Errorf("got %v", err)
	}
}

func TestRoundFailsCleanly(t *testing.T) {
	if bits.UintSize == 32 {
		t.Skip("every size there is may be had")
	}
	huge := ^uintptr(0)>>1 - 1<<20
	for _, last := range []string{fmt.Sprintf("m 0 4 %d\n", huge), fmt.Sprintf("c 0 4 %d\n", huge), fmt.Sprintf("r 0 1 4 %d\n", huge)} {
		text := "# malloctrace 1\nm 0 1 100\nm 0 2 100\nf 0 2\na 0 3 50 64\n" + last
		for _, face := range []replay.Face{replay.AtRunTime, replay.Slices} {
			r, before := newReplay(t, text), live(t)
			r.Through(face)
			if _, err := r.Round(); !errors.Is(err, galloc.ErrOutOfMemory) || live(t) != before {
				t.Errorf("face %d: %v, and %+v were live before, %+v after", face, err, before, live(t))
			}
		}
		_, err := newReplay(t, text).Round()
		var ae *galloc.AllocError
		if !errors.Is(err, galloc.ErrOutOfMemory) || !errors.As(err, &ae) || ae.Layout().Size() != huge ||
			!strings.Contains(err.Error(), "event 5, ") {
			t.Errorf("got %v", err)
		}
		observed := newReplay(t, text)
		if again := observed.RoundObserved(stopwatch.Now, func(uint64) {}); again == nil ||
			again.Error() != err.Error() {
			t.Errorf("observed: got %v, want %v", again, err)
		}
		threads := newThreadReplay(t, text+"f 1 4\n") // thread 1 must not wait for ever
		if _, err := threads.Round(); !errors.Is(err, galloc.ErrOutOfMemory) ||
			!strings.Contains(err.Error(), "thread 0, event 5, ") {
			t.Errorf("with threads: got %v", err)
		}
		threads = newThreadReplay(t, text+"f 1 4\n")
		if err := threads.RoundObserved(stopwatch.Now, func(int, uint64) {}); !errors.Is(err, galloc.ErrOutOfMemory) ||
			!strings.Contains(err.Error(), "thread 0, event 5, ") {
			t.Errorf("with threads, observed: got %v", err)
		}
		threads = newThreadReplay(t, text+"f 1 4\n")
		if _, err := threads.Check(galloc.System); !errors.Is(err, galloc.ErrOutOfMemory) {
			t.Errorf("with threads, checked: got %v", err)
		}
	}
}

func TestEachCallIsObserved(t *testing.T) {
	text := randomTrace(3, 5000)
	var clock atomic.Uint64
	now := func() uint64 { return clock.Add(1) }
	r := newReplay(t, text)
	for range 2 {
		calls := 0
		if err := r.RoundObserved(now, func(ticks uint64) {
			calls++
			if ticks != 1 { // now is called before and after, and nowhere else
				t.Fatalf("%d ticks", ticks)
			}
		}); err != nil || calls != 5000 || clock.Load() != 10_000 {
			t.Errorf("%d calls by %d readings observed in 5000 events, %v", calls, clock.Load(), err)
		}
		r.FreeSurvivors()
		clock.Store(0)
	}

	p := compileThreads(t, text)
	perThread := make([]int, p.Threads)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); f[0] != "#" {
			thread, _ := strconv.Atoi(f[1])
			perThread[thread]++
		}
	}
	tr := newThreadReplay(t, text)
	for range 2 {
		calls := make([]int, p.Threads)
		if err := tr.RoundObserved(now, func(thread int, ticks uint64) {
			calls[thread]++
			if ticks < 1 || ticks > 10_000 {
				t.Errorf("%d ticks", ticks)
			}
		}); err != nil || !slices.Equal(calls, perThread) || clock.Load() != 10_000 {
			t.Errorf("%d calls by %d readings observed, want %d, %v", calls, clock.Load(), perThread, err)
		}
		tr.FreeSurvivors()
		clock.Store(0)
	}
}

func TestSinkDoesNothing(t *testing.T) {
	a, err := replay.Sink(100_000)
	if err != nil {
		t.Fatal(err)
	}
	l, m := layout(t, 100_000, 4096), layout(t, 10, 1)
	p := a.Alloc(l)
	if p == nil || uintptr(p)%4096 != 0 || a.Alloc(m) != p {
		t.Error("the blocks are not all at one aligned address")
	}
	b := unsafe.Slice((*byte)(p), 100_000)
	if b[0] = 1; bytes.Count(b, []byte{0}) != 99_999 {
		t.Error("the memory is not there")
	}
	a.Dealloc(p, l)
}

func BenchmarkReplay(b *testing.B) {
	r := newReplay(b, randomTrace(1, 100_000))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Round(); err != nil {
			b.Fatal(err)
		}
		r.FreeSurvivors()
	}
}

// A trace recorded from many goroutines can be replayed, with threads and without.
func TestRecordingsCanBeReplayed(t *testing.T) {
	var out bytes.Buffer
	r := wrap.Trace(galloc.System, &out)
	blocks := make(chan []byte, 10)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				b, err := r.Allocate(layout(t, uintptr(1+i%300), 8))
				if err != nil {
					t.Error(err)
					return
				}
				blocks <- b
				b = <-blocks // mostly of another goroutine
				r.Deallocate(unsafe.Pointer(&b[0]), layout(t, uintptr(len(b)), 8))
			}
		})
	}
	wg.Wait()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	p := compile(t, text)
	if p.Events != 4000 || p.Threads != 4 || p.EndObjects != 0 {
		t.Errorf("got %+v", p.Summary)
	}
	replayAndCheck(t, text)
}

func layout(t *testing.T, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}
