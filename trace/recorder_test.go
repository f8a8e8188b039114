package trace_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
)

func TestRecorderKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator {
		return trace.Record(galloc.System, trace.NewWriter(io.Discard))
	}, alloctest.GoGarbage, alloctest.Slow)
}

func layout(t *testing.T, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// stretchy is System with blocks of 64 bytes that can be resized up to that.
type stretchy struct{ galloc.Allocator }

func (stretchy) Resize(_ unsafe.Pointer, _ galloc.Layout, newSize uintptr) bool { return newSize <= 64 }

func TestRecorderWritesWhatHappens(t *testing.T) {
	var out strings.Builder
	r := trace.Record(galloc.System, trace.NewWriter(&out))
	at := func(b []byte, err error) unsafe.Pointer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return unsafe.Pointer(unsafe.SliceData(b))
	}
	a := at(r.Allocate(layout(t, 24, 8)))        // m 1
	b := at(r.AllocateZeroed(layout(t, 7, 1)))   // c 2
	c := at(r.Allocate(layout(t, 100, 64)))      // a 3
	d := at(r.AllocateZeroed(layout(t, 50, 32))) // no calloc is aligned so: a 4
	e := at(r.Allocate(layout(t, 0, 1)))         // m 5
	a = at(r.Grow(a, layout(t, 24, 8), layout(t, 48, 8)))
	c = at(r.Shrink(c, layout(t, 100, 64), layout(t, 10, 64)))
	b = at(r.GrowZeroed(b, layout(t, 7, 1), layout(t, 9, 128))) // a realloc keeps the alignment
	if !r.Resize(d, layout(t, 50, 32), 50) {
		t.Error("the same size is refused")
	}
	if r.Resize(d, layout(t, 50, 32), 51) {
		t.Error("System cannot resize")
	}
	if _, err := r.Allocate(layout(t, ^uintptr(0)>>1, 1)); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err) // not recorded
	}
	e = at(r.Grow(e, layout(t, 0, 1), layout(t, 8, 1)))
	r.Deallocate(e, layout(t, 8, 1))
	r.Deallocate(d, layout(t, 50, 32))
	r.Deallocate(a, layout(t, 48, 8))
	done := make(chan bool)
	go func() { // another thread
		r.Deallocate(c, layout(t, 10, 64))
		r.Deallocate(at(r.Allocate(layout(t, 0, 8))), layout(t, 0, 8))
		r.Deallocate(nil, layout(t, 0, 8)) // of an object that is not known
		close(done)
	}()
	<-done
	foreign := at(galloc.System.Allocate(layout(t, 5, 1)))
	r.Deallocate(foreign, layout(t, 5, 1)) // from before the recording
	r.Deallocate(b, layout(t, 9, 128))
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	want := `# malloctrace 1
m 0 1 24
c 0 2 7
a 0 3 100 64
a 0 4 50 32
m 0 5 0
r 0 1 6 48
r 0 3 7 10
a 0 8 9 128
f 0 2
r 0 5 9 8
f 0 9
f 0 4
f 0 6
f 1 7
m 1 10 0
f 1 10
f 0 8
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	if g := at(r.Allocate(layout(t, 8, 8))); g == nil { // closed, but still an allocator
		t.Error("no block")
	} else {
		r.Deallocate(g, layout(t, 8, 8))
	}
	if err := r.Close(); err != nil || out.String() != want {
		t.Errorf("closed again: %v", err)
	}
}

func TestRecorderRecordsResizing(t *testing.T) {
	var out strings.Builder
	r := trace.Record(stretchy{galloc.System}, trace.NewWriter(&out))
	b, err := r.Allocate(layout(t, 64, 8))
	if err != nil || !r.Resize(unsafe.Pointer(&b[0]), layout(t, 64, 8), 20) {
		t.Fatal(err)
	}
	r.Deallocate(unsafe.Pointer(&b[0]), layout(t, 20, 8))
	if err := r.Close(); err != nil || !strings.HasSuffix(out.String(), "\nm 0 1 64\nr 0 1 2 20\nf 0 2\n") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestRecorderReportsAFailedWrite(t *testing.T) {
	r := trace.Record(galloc.System, trace.NewWriter(brokenWriter{}))
	for range 100_000 { // beyond the buffer
		b, err := r.Allocate(layout(t, 8, 8))
		if err != nil {
			t.Fatal(err)
		}
		r.Deallocate(unsafe.Pointer(&b[0]), layout(t, 8, 8))
	}
	if err := r.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// What is recorded from many goroutines is a trace that can be replayed, with threads and
// without.
func TestRecordingsCanBeReplayed(t *testing.T) {
	var out bytes.Buffer
	r := trace.Record(galloc.System, trace.NewWriter(&out))
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
