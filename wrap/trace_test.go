package wrap_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

func TestTracerKeepsTheContract(t *testing.T) {
	alloctest.Run(t, func() galloc.Allocator {
		return wrap.Trace(galloc.System, io.Discard)
	}, alloctest.GoGarbage, alloctest.Slow)
}

// stretchy is System with blocks of 64 bytes, which it resizes up to 64 bytes.
type stretchy struct{ galloc.Allocator }

func (stretchy) Resize(_ unsafe.Pointer, _ galloc.Layout, newSize uintptr) bool { return newSize <= 64 }

func TestTracerWritesWhatHappens(t *testing.T) {
	var out strings.Builder
	r := wrap.Trace(galloc.System, &out)
	at := func(b []byte, err error) unsafe.Pointer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return unsafe.Pointer(unsafe.SliceData(b))
	}
	a := at(r.Allocate(layout(24, 8)))        // m 1
	b := at(r.AllocateZeroed(layout(7, 1)))   // c 2
	c := at(r.Allocate(layout(100, 64)))      // a 3
	d := at(r.AllocateZeroed(layout(50, 32))) // no calloc is aligned so: a 4
	e := at(r.Allocate(layout(0, 1)))         // m 5
	a = at(r.Grow(a, layout(24, 8), layout(48, 8)))
	c = at(r.Shrink(c, layout(100, 64), layout(10, 64)))
	b = at(r.GrowZeroed(b, layout(7, 1), layout(9, 128))) // a realloc keeps the alignment
	if !r.Resize(d, layout(50, 32), 50) {
		t.Error("the same size is refused")
	}
	if r.Resize(d, layout(50, 32), 51) {
		t.Error("System cannot resize")
	}
	if _, err := r.Allocate(layout(^uintptr(0)>>1, 1)); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("got %v", err) // not recorded
	}
	e = at(r.Grow(e, layout(0, 1), layout(8, 1)))
	r.Deallocate(e, layout(8, 1))
	r.Deallocate(d, layout(50, 32))
	r.Deallocate(a, layout(48, 8))
	done := make(chan bool)
	go func() { // another thread
		r.Deallocate(c, layout(10, 64))
		r.Deallocate(at(r.Allocate(layout(0, 8))), layout(0, 8))
		r.Deallocate(nil, layout(0, 8)) // of an object that is not known
		close(done)
	}()
	<-done
	foreign := at(galloc.System.Allocate(layout(5, 1)))
	r.Deallocate(foreign, layout(5, 1)) // from before the recording
	r.Deallocate(b, layout(9, 128))
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
	if g := at(r.Allocate(layout(8, 8))); g == nil { // closed, but still an allocator
		t.Error("no block")
	} else {
		r.Deallocate(g, layout(8, 8))
	}
	if err := r.Close(); err != nil || out.String() != want {
		t.Errorf("closed again: %v", err)
	}
}

func TestTracerRecordsResizing(t *testing.T) {
	var out strings.Builder
	r := wrap.Trace(stretchy{galloc.System}, &out)
	b, err := r.Allocate(layout(64, 8))
	if err != nil || !r.Resize(unsafe.Pointer(&b[0]), layout(64, 8), 20) {
		t.Fatal(err)
	}
	r.Deallocate(unsafe.Pointer(&b[0]), layout(20, 8))
	if err := r.Close(); err != nil || !strings.HasSuffix(out.String(), "\nm 0 1 64\nr 0 1 2 20\nf 0 2\n") {
		t.Errorf("got %v\n%s", err, out.String())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestTracerReportsAFailedWrite(t *testing.T) {
	r := wrap.Trace(galloc.System, brokenWriter{})
	for range 100_000 { // beyond the buffer
		b, err := r.Allocate(layout(8, 8))
		if err != nil {
			t.Fatal(err)
		}
		r.Deallocate(unsafe.Pointer(&b[0]), layout(8, 8))
	}
	if err := r.Close(); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

func TestTraceRecordsWhatHappens(t *testing.T) {
	var out bytes.Buffer
	a := wrap.Trace(newAble(t), &out)
	l := layout(100, 8)
	p := a.Alloc(l)
	p = a.Realloc(p, l, 200)
	a.Dealloc(p, layout(200, 8))
	a.Alloc(l)
	a.Alloc(l)
	reset(t, a)
	b, _ := a.AllocateZeroed(l)
	a.Deallocate(unsafe.Pointer(&b[0]), l)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.Dealloc(a.Alloc(l), l) // not recorded
	var kinds []string
	r, err := trace.NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	for {
		op, err := r.Next()
		if err != nil {
			break
		}
		kinds = append(kinds, op.Kind.String())
	}
	if got, want := strings.Join(kinds, " "), "malloc realloc free malloc malloc free free calloc free"; got != want {
		t.Errorf("recorded %s, want %s", got, want)
	}
}
