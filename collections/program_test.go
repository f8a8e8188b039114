package collections_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/heap"
)

// A program tests a collection against a model in Go. It performs the operations of a script on
// both and compares them after each. It returns an error if they differ, or else the first error
// that the collection returned. It continues after such an error, because the collection must be
// unchanged.
type program func(a galloc.Allocator, s *script) error

// script is the bytes that choose operations and their arguments.
type script struct {
	a     galloc.Allocator
	data  []byte
	first error // of the collection
}

// more reports whether bytes are left.
func (s *script) more() bool { return len(s.data) > 0 }

// n returns the next number below limit, or 0 after the end of the bytes.
func (s *script) n(limit int) int {
	if len(s.data) == 0 || limit <= 1 {
		return 0
	}
	n := int(s.data[0])
	s.data = s.data[1:]
	if limit > 256 && len(s.data) > 0 {
		n = n<<8 | int(s.data[0])
		s.data = s.data[1:]
	}
	return n % limit
}

// failed records an error of the collection and reports whether err is one.
func (s *script) failed(err error) bool {
	if err != nil && s.first == nil {
		s.first = err
	}
	return err != nil
}

// shrunk is called after an operation that may fail without an error.
func (s *script) shrunk() {
	if f, ok := s.a.(*alloctest.Failer); ok && f.Failures() > 0 {
		s.failed(galloc.ErrOutOfMemory)
	}
}

// run runs p on a.
func run(p program, a galloc.Allocator, data []byte) error {
	s := &script{a: a, data: data}
	if err := p(a, s); err != nil {
		return err
	}
	return s.first
}

// each runs f on allocators of every kind: exact and generous, moving and in place, with and
// without the optional methods.
func each(t *testing.T, f func(t *testing.T, a galloc.Allocator)) {
	t.Helper()
	t.Run("global", func(t *testing.T) { f(t, nil) })
	t.Run("system", func(t *testing.T) { f(t, galloc.System) })
	t.Run("goheap", func(t *testing.T) { f(t, galloc.GoHeap) })
	t.Run("strict", func(t *testing.T) {
		a := alloctest.Track(galloc.System)
		f(t, a)
		if len(a.Live()) > 0 || len(a.Misuses()) > 0 {
			t.Errorf("left: %v, misuses:\n%s", a.Live(), strings.Join(a.Misuses(), "\n"))
		}
	})
	t.Run("generous", func(t *testing.T) {
		a := &generous{f: alloctest.Track(galloc.System), asked: map[ptr]galloc.Layout{}}
		f(t, a)
		if len(a.f.Live()) > 0 || len(a.f.Misuses()) > 0 {
			t.Errorf("left: %v, misuses:\n%s", a.f.Live(), strings.Join(a.f.Misuses(), "\n"))
		}
	})
	t.Run("heap", func(t *testing.T) {
		h, err := heap.New(heap.Options{Checked: true})
		if err != nil {
			t.Fatal(err)
		}
		f(t, h)
		if s := h.Stats(); s.LiveBlocks != 0 || s.Misuses != 0 {
			t.Errorf("%d blocks are left allocated, %d misuses", s.LiveBlocks, s.Misuses)
		}
		h.Close()
	})
	t.Run("bump", func(t *testing.T) {
		a := bump.New(nil)
		defer a.Close()
		f(t, a)
	})
}

// generous returns blocks that are longer than requested, by an odd number of bytes, and filled
// with garbage. It accepts every layout that fits when a block is freed.
type generous struct {
	f     *alloctest.Tracker
	asked map[ptr]galloc.Layout
}

const extra = 37

func (g *generous) whole(l galloc.Layout) galloc.Layout {
	return galloc.Must(galloc.NewLayout(l.Size()+extra, l.Align()))
}

func (g *generous) Allocate(l galloc.Layout) ([]byte, error) {
	if l.Size() == 0 {
		return g.f.Allocate(l)
	}
	b, err := g.f.Allocate(g.whole(l))
	if err == nil {
		for i := range b {
			b[i] = 0xA5
		}
		g.asked[ptr(&b[0])] = l
	}
	return b, err
}

func (g *generous) Deallocate(p ptr, l galloc.Layout) {
	if l.Size() == 0 {
		return
	}
	was, ok := g.asked[p]
	if !ok || l.Align() != was.Align() || l.Size() < was.Size() || l.Size() > was.Size()+extra {
		g.f.Deallocate(p, l) // records the misuse
		return
	}
	delete(g.asked, p)
	g.f.Deallocate(p, g.whole(was))
}

// random returns n bytes for a program, always the same for a seed.
func random(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// testProgram runs p on all allocators, and with each allocation failing in turn.
func testProgram(t *testing.T, p program) {
	t.Helper()
	seeds := uint64(4)
	if collections.Slow {
		seeds = 1
	}
	each(t, func(t *testing.T, a galloc.Allocator) {
		for seed := range seeds {
			if err := run(p, a, random(seed, 2000)); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			runtime.GC() // must not free blocks of GoHeap that a collection uses
		}
	})
	t.Run("failures", func(t *testing.T) {
		for seed := range seeds {
			alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error { return run(p, a, random(seed, 400)) })
		}
	})
}

// fuzzProgram fuzzes p. The first byte chooses an allocation that fails.
func fuzzProgram(f *testing.F, p program) {
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 4000 {
			return
		}
		blocks := alloctest.Track(galloc.System)
		a := alloctest.Fail(blocks, alloctest.At(uint64(data[0])))
		if err := run(p, a, data[1:]); err != nil && (a.Failures() == 0 || !errors.Is(err, galloc.ErrOutOfMemory)) {
			t.Error(err)
		}
		if len(blocks.Live()) > 0 || len(blocks.Misuses()) > 0 {
			t.Errorf("left: %v, misuses:\n%s", blocks.Live(), strings.Join(blocks.Misuses(), "\n"))
		}
	})
}

// differ returns an error that reports a difference.
func differ(what string, got, want any) error {
	return fmt.Errorf("%s: %v, want %v", what, got, want)
}

// mustPanic runs f, which must panic with a message that begins with the package's name.
func mustPanic(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if v := recover(); v == nil || !strings.HasPrefix(fmt.Sprint(v), "galloc/collections: ") {
			t.Errorf("%s: panic %v", what, v)
		}
	}()
	f()
}

type ptr = unsafe.Pointer
