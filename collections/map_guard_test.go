package collections

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// During a write, which no method of the same goroutine can see, each use of a table panics.
func TestConcurrentUsePanics(t *testing.T) {
	m, s, x, in := NewMap[int, int](nil), NewStringMap[int](nil), NewTextMap(nil), NewInterner(nil)
	fill := func() {
		for k := range 3 {
			m.Put(k, k)
			s.Put(text(k), k)
			x.Put(text(k), text(k))
			in.Intern(text(k))
		}
	}
	defer func() {
		m.Free()
		s.Free()
		x.Free()
		in.Free()
		fill() // Free makes them usable again
		m.Free()
		s.Free()
		x.Free()
		in.Free()
	}()
	fill()
	within := []func(){
		func() { m.Get(1) },
		func() { m.Put(1, 1) },
		func() { m.Put(100, 1) },
		func() { m.Delete(1) },
		func() { m.PopAny() },
		func() { m.Clear() },
		func() { m.Clone() },
		func() { m.Reserve(100) },
		func() {
			for range m.All() {
				return
			}
		},
		func() { s.Get(text(1)) },
		func() { s.Put(text(1), 1) },
		func() { s.Delete(text(1)) },
		func() { x.Get(text(1)) },
		func() { x.Put(text(1), "") },
		func() { x.PutIfAbsent(text(100), "") },
		func() { x.PopAny() },
		func() {
			for range x.Keys() {
				return
			}
		},
		func() { in.Lookup(text(1)) },
		func() { in.Intern(text(100)) },
	}
	for i, f := range within {
		for _, g := range []*guard{&m.t.guard, &s.t.guard, &x.m.t.guard, &in.t.guard} {
			g.writing = true
		}
		expectPanic(t, i, f)
	}
	for _, g := range []*guard{&m.t.guard, &s.t.guard, &x.m.t.guard, &in.t.guard} {
		g.writing = false
	}
	fill()
	// A write begins while an iteration is running.
	for range m.All() {
		m.t.guard.writing = true
		break
	}
	m.t.guard.writing = false
	for k := range 100 {
		m.Put(k, k)
	}
	expectPanic(t, "iteration", func() {
		for range m.All() {
			m.t.guard.writing = true
		}
	})
	// Two writes end.
	m.t.guard.writing = false
	expectPanic(t, "end", m.t.guard.end)
	x.m.keys.guard.writing = true
	expectPanic(t, "text", func() { x.Put("another", "") })
}

func expectPanic(t *testing.T, what any, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%v: no panic", what)
		}
	}()
	f()
}

// reading is an allocator that reads a map while it allocates for it.
type reading struct {
	*alloctest.Tracker
	read func()
}

func (r *reading) Allocate(l galloc.Layout) ([]byte, error) {
	r.read()
	return r.Tracker.Allocate(l)
}

func (r *reading) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	r.read()
	r.Tracker.Deallocate(p, l)
}

// An allocator may read the map that allocates, and may panic: the map stays usable.
func TestAllocatorsMayReadTheMap(t *testing.T) {
	a := &reading{Tracker: alloctest.Track(galloc.System)}
	m, x := NewMap[int, int](a), NewTextMap(a)
	a.read = func() {
		for k, v := range m.All() {
			if w, ok := m.Get(k); !ok || v != w {
				t.Fatalf("%d: %d, %v", k, w, ok)
			}
		}
		for k, v := range x.All() {
			if w, ok := x.Get(k); !ok || v != w {
				t.Fatalf("%s: %s, %v", k, w, ok)
			}
		}
	}
	read := a.read
	for i := range 300 {
		m.Put(i, i)
		x.Put(text(i), text(i))
	}
	a.read = func() { panic("the allocator") }
	expectPanic(t, "growth", func() {
		for i := 300; ; i++ {
			m.Put(i, i)
		}
	})
	expectPanic(t, "growth", func() {
		for i := 300; ; i++ {
			x.Put(text(i), text(i))
		}
	})
	a.read = read
	for i := range 1000 {
		m.Put(i, i)
		x.Put(text(i), text(i))
	}
	for i := range 1000 {
		m.Delete(i)
		x.Delete(text(i))
	}
	a.read = func() {}
	m.Free()
	x.Free()
	if len(a.Live())+len(a.Misuses()) != 0 {
		t.Error(a.Live(), a.Misuses())
	}
}
