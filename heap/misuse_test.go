package heap_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
)

// watched returns a heap, and a function that returns the reports since its last call.
func watched(t *testing.T, checked bool) (*heap.Heap, func() []heap.Misuse) {
	var got []heap.Misuse
	h := open(t, heap.Options{Checked: checked, Decay: -1, OnMisuse: func(m heap.Misuse) { got = append(got, m) }})
	return h, func() []heap.Misuse {
		all := got
		got = nil
		return all
	}
}

var goMemory [4096]byte

// A misdeed is a block, an invalid free of it, and the expected report.
type misdeed struct {
	name  string
	size  uintptr // of the block
	do    func(h *heap.Heap, p unsafe.Pointer, l galloc.Layout)
	kind  heap.MisuseKind
	freed bool // the block is free afterwards, as it was freed before
}

// Short names, for functions on a line.
type (
	target  = *heap.Heap
	address = unsafe.Pointer
	lay     = galloc.Layout
)

func misdeeds(other *heap.Heap) []misdeed {
	foreign := other.Alloc(layout(64, 8))
	foreignLarge := other.Alloc(layout(100_000, 8))
	return []misdeed{
		{
			"double free small", 64,
			func(h target, p address, l lay) { h.Dealloc(p, l); h.Dealloc(p, l) }, heap.DoubleFree, true,
		},
		{
			"double free large", 100_000,
			func(h target, p address, l lay) { h.Dealloc(p, l); h.Dealloc(p, l) }, heap.DoubleFree, true,
		},
		{
			"double free unsized", 100_000,
			func(h target, p address, _ lay) { h.Free(p); h.Free(p) }, heap.DoubleFree, true,
		},
		{
			"Go memory", 64,
			func(h target, _ address, l lay) { h.Dealloc(unsafe.Pointer(&goMemory), l) }, heap.ForeignFree, false,
		},
		{"Go memory large", 64, func(h target, _ address, _ lay) {
			h.Dealloc(unsafe.Pointer(&goMemory), layout(1<<20, 8))
		}, heap.ForeignFree, false},
		{
			"Go memory unsized", 64,
			func(h target, _ address, _ lay) { h.Free(unsafe.Pointer(&goMemory)) }, heap.ForeignFree, false,
		},
		{"of another heap", 64, func(h target, _ address, l lay) { h.Dealloc(foreign, l) }, heap.ForeignFree, false},
		{"large of another heap", 64, func(h target, _ address, _ lay) {
			h.Dealloc(foreignLarge, layout(100_000, 8))
		}, heap.ForeignFree, false},
		{"of another heap unsized", 64, func(h target, _ address, _ lay) { h.Free(foreign) }, heap.ForeignFree, false},
		{"nil", 64, func(h target, _ address, l lay) { h.Dealloc(nil, l) }, heap.ForeignFree, false},
		{
			"nil large", 64,
			func(h target, _ address, _ lay) { h.Deallocate(nil, layout(1<<20, 8)) }, heap.ForeignFree, false,
		},
		{
			"interior small", 64,
			func(h target, p address, l lay) { h.Dealloc(unsafe.Add(p, 8), l) }, heap.InteriorFree, false,
		},
		{
			"interior large", 100_000,
			func(h target, p address, l lay) { h.Dealloc(unsafe.Add(p, 8), l) }, heap.InteriorFree, false,
		},
		{
			"interior large far", 100_000,
			func(h target, p address, l lay) { h.Dealloc(unsafe.Add(p, 40_000), l) }, heap.InteriorFree, false,
		},
		{
			"interior unsized", 64,
			func(h target, p address, _ lay) { h.Free(unsafe.Add(p, 1)) }, heap.InteriorFree, false,
		},
		{"interior as small", 100_000, func(h target, p address, _ lay) {
			h.Dealloc(unsafe.Add(p, 8192), layout(64, 8))
		}, heap.InteriorFree, false},
		{
			"small as smaller", 64,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(32, 8)) }, heap.WrongLayout, false,
		},
		{
			"small as larger", 64,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(2000, 8)) }, heap.WrongLayout, false,
		},
		{
			"small as large", 64,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(100_000, 8)) }, heap.WrongLayout, false,
		},
		{
			"large as small", 100_000,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(64, 8)) }, heap.WrongLayout, false,
		},
		{
			"large as larger", 100_000,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(200_000, 8)) }, heap.WrongLayout, false,
		},
		{
			"large as smaller", 100_000,
			func(h target, p address, _ lay) { h.Dealloc(p, layout(50_000, 8)) }, heap.WrongLayout, false,
		},
		{"resize of a wrong layout", 100_000, func(h target, p address, _ lay) {
			if h.Resize(p, layout(200_000, 8), 190_000) {
				panic("resized")
			}
		}, heap.WrongLayout, false},
	}
}

func TestMisuseIsReported(t *testing.T) {
	for _, checked := range []bool{true, false} {
		for _, size := range []uintptr{64, 100_000} { // of its neighbours
			other, _ := watched(t, true)
			for _, m := range misdeeds(other) {
				name := "default/" + m.name
				if checked {
					name = "checked/" + m.name
				}
				t.Run(name, func(t *testing.T) {
					h, reported := watched(t, checked)
					l := layout(m.size, 8)
					before, p, after := h.Alloc(layout(size, 8)), h.Alloc(l), h.Alloc(layout(size, 8))
					for _, q := range []unsafe.Pointer{before, after} {
						fill(view(q, size), 0x5a)
					}
					fill(view(p, m.size), 0xa5)
					m.do(h, p, l)
					if !checked {
						h.Trim() // the caches are drained, and every block is checked
					}
					got := reported()
					if len(got) != 1 || got[0].Kind != m.kind {
						t.Fatalf("reported %v, want one %v", got, m.kind)
					}
					inspectMisuse(t, h, got[0], p, m)
					if n := h.Stats().Misuses; n != 1 {
						t.Errorf("%d misuses are counted", n)
					}

					// The heap is unchanged: all blocks are allocated, and are not allocated again.
					live := uint64(3)
					if m.freed {
						live = 2
					}
					if s := h.Stats(); s.LiveBlocks != live {
						t.Errorf("%d blocks are live, not %d", s.LiveBlocks, live)
					}
					var more []unsafe.Pointer
					for _, n := range []uintptr{32, 64, 2000, 50_000, 100_000, 200_000} {
						for range 12 {
							q := h.AllocZeroed(layout(n, 8))
							fill(view(q, n), 0x11)
							more = append(more, q)
						}
					}
					if onlyByte(view(before, size), 0x5a) >= 0 || onlyByte(view(after, size), 0x5a) >= 0 {
						t.Error("a neighbour has changed")
					}
					if !m.freed {
						if i := onlyByte(view(p, m.size), 0xa5); i >= 0 {
							t.Errorf("the block was allocated again: byte %d has changed", i)
						}
						h.Dealloc(p, l)
					}
					for _, q := range append(more, before, after) {
						h.Free(q)
					}
					h.Trim()
					if s := h.Stats(); s.Live != 0 || s.InUse != 0 || s.Misuses != 1 {
						t.Errorf("reported %v; in the end:\n%v", reported(), s)
					}
				})
			}
		}
	}
}

// inspectMisuse checks the numbers in a report about the block p.
func inspectMisuse(t *testing.T, h *heap.Heap, m heap.Misuse, p unsafe.Pointer, d misdeed) {
	t.Helper()
	usable := h.UsableSize(layout(d.size, 8))
	switch m.Kind {
	case heap.ForeignFree:
		if m.Start != 0 || m.Actual != 0 {
			t.Errorf("a block is named: %+v", m)
		}
	case heap.InteriorFree:
		if m.Address == m.Start || m.Start != uintptr(p) || m.Actual != usable {
			t.Errorf("the block at %p of %d bytes is not named: %+v", p, usable, m)
		}
	case heap.WrongLayout:
		if m.Address != uintptr(p) || m.Start != uintptr(p) || m.Actual != usable || m.Given == usable || m.Given == 0 {
			t.Errorf("the block at %p of %d bytes is not named: %+v", p, usable, m)
		}
	case heap.DoubleFree:
		if m.Address != uintptr(p) {
			t.Errorf("it is not %p that is named: %+v", p, m)
		}
	}
	if text := m.Error(); !strings.HasPrefix(text, "galloc/heap: ") || strings.Contains(text, "\n") {
		t.Errorf("the message is %q", text)
	}
}

func TestMisuseMessages(t *testing.T) {
	for _, c := range []struct {
		m    heap.Misuse
		kind string
		says string
	}{
		{
			heap.Misuse{Kind: heap.DoubleFree, Address: 0x1000, Given: 64, Actual: 64, Start: 0x1000},
			"double free",
			"galloc/heap: double free of the block at 0x1000, ",
		},
		{
			heap.Misuse{Kind: heap.ForeignFree, Address: 0x1000, Given: 64},
			"foreign free",
			"galloc/heap: free of 0x1000, ",
		},
		{
			heap.Misuse{Kind: heap.InteriorFree, Address: 0x1008, Given: 64, Actual: 128, Start: 0x1000},
			"interior free",
			"8 bytes into the block of 128 bytes at 0x1000",
		},
		{
			heap.Misuse{Kind: heap.WrongLayout, Address: 0x1000, Given: 64, Actual: 128, Start: 0x1000},
			"wrong layout",
			"freed as a block of 64 bytes, but it has 128",
		},
	} {
		if text := c.m.Error(); c.m.Kind.String() != c.kind || !strings.HasPrefix(text, "galloc/heap: ") ||
			!strings.Contains(text, c.says) {
			t.Errorf("%v: %q", c.m.Kind, text)
		}
	}
}

// By default a heap panics with a Misuse.
func TestMisusePanics(t *testing.T) {
	h := open(t, heap.Options{Checked: true})
	l := layout(64, 8)
	p, q := h.Alloc(l), h.Alloc(l)
	h.Dealloc(p, l)
	err, ok := mustPanic(t, func() { h.Dealloc(p, l) }).(error)
	var m heap.Misuse
	if !ok || !errors.As(err, &m) || m.Kind != heap.DoubleFree || m.Address != uintptr(p) {
		t.Errorf("it panics with %v", err)
	}
	// The program can recover and continue.
	for range 1000 {
		if r := h.Alloc(l); r == q {
			t.Fatal("an allocated block was allocated again")
		}
	}
	large := h.Alloc(layout(1<<20, 8))
	mustPanic(t, func() { h.Dealloc(large, layout(2<<20, 8)) })
	h.Dealloc(large, layout(1<<20, 8))
	if s := h.Stats(); s.LiveBlocks != 1001 || s.Misuses != 2 {
		t.Errorf("afterwards:\n%v", s)
	}
}

// A panic in Trim loses only the invalid blocks.
func TestMisusePanicsInTrim(t *testing.T) {
	h := open(t, heap.Options{Decay: -1})
	for _, size := range []uintptr{16, 64, 256, 1024, 4096} {
		for range 3 {
			h.Free(h.Alloc(layout(size, 8)))
		}
	}
	l := layout(64, 8)
	p := h.Alloc(l)
	h.Dealloc(p, layout(128, 8)) // the cache takes it unchecked
	mustPanic(t, func() { h.Trim() })
	h.Dealloc(p, l)
	h.Trim() // the heap is not locked, and has nothing more to report
	if s := h.Stats(); s.Live != 0 || s.InUse != 0 || s.Misuses != 1 {
		t.Errorf("afterwards:\n%v", s)
	}
}

func TestMisuseOfDefaultEndsTheProgram(t *testing.T) {
	o := runChild(t, "double free on the default heap")
	if o.err == nil || !strings.Contains(o.stderr, "panic: ") || !strings.Contains(o.stderr, "galloc") ||
		!strings.Contains(o.stderr, "double free of the block at 0x") {
		t.Errorf("%v\n%s", o.err, o.stderr)
	}
}

func init() {
	children["double free on the default heap"] = func() {
		runtime.LockOSThread()
		l := layout(64, 8)
		p := heap.Default().Alloc(l)
		heap.Default().Dealloc(p, l)
		heap.Default().Dealloc(p, l)
		heap.Default().Trim()
	}
}
