package alloctest

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// source is an allocator with one fault, over a bounded memory: first fit, in address order. It has
// every optional method. Its blocks are multiples of 32 bytes, and what it knows of them is outside
// of the memory, so that no fault crashes the test.
type source struct {
	fault string

	mu    sync.Mutex
	mem   []byte
	free  []extent // by address; no two are neighbors
	live  map[uintptr]extent
	asked map[uintptr]uintptr // sizes asked for
	lost  map[uintptr]bool    // starts of blocks that were freed
	spare []extent            // freed blocks that a fault keeps
	last  uintptr             // start of the last block
	calls int
	garb  []byte
}

// extent is n bytes from an address on.
type extent struct{ at, n uintptr }

const (
	unit    = 32
	tooMuch = math.MaxInt / 4 // bytes
)

// sourceMemory is the memory of all sources, of which there is one at a time.
var sourceMemory = sync.OnceValue(func() []byte { return make([]byte, 20<<20) })

func newSource(fault string) *source {
	s := &source{fault: fault, mem: sourceMemory()}
	s.reset()
	return s
}

func (s *source) is(fault string) bool { return s.fault == fault }

func (s *source) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(s.mem))) }

func (s *source) reset() {
	start := (s.base() + unit - 1) &^ (unit - 1)
	s.free = []extent{{start, s.base() + uintptr(len(s.mem)) - start}}
	s.live, s.asked, s.lost = map[uintptr]extent{}, map[uintptr]uintptr{}, map[uintptr]bool{}
}

// bytes returns n bytes of the memory from an address on.
func (s *source) bytes(at, n uintptr) []byte {
	i := at - s.base()
	return s.mem[i : i+n : i+n]
}

// take cuts n bytes out of the free memory.
func (s *source) take(n, align uintptr) (at uintptr, ok bool) {
	for i, f := range s.free {
		at := (f.at + align - 1) &^ (align - 1)
		if at < f.at || at-f.at > f.n || f.n-(at-f.at) < n {
			continue
		}
		var rest []extent
		if at > f.at {
			rest = append(rest, extent{f.at, at - f.at})
		}
		if end := f.at + f.n; end > at+n {
			rest = append(rest, extent{at + n, end - at - n})
		}
		s.free = slices.Replace(s.free, i, i+1, rest...)
		return at, true
	}
	return 0, false
}

// give makes an extent free.
func (s *source) give(e extent) {
	i, _ := slices.BinarySearchFunc(s.free, e.at, func(f extent, at uintptr) int {
		if f.at < at {
			return -1
		}
		return 1
	})
	s.free = slices.Insert(s.free, i, e)
	if i+1 < len(s.free) && e.at+e.n == s.free[i+1].at {
		s.free[i].n += s.free[i+1].n
		s.free = slices.Delete(s.free, i+1, i+2)
	}
	if i > 0 && s.free[i-1].at+s.free[i-1].n == e.at {
		s.free[i-1].n += s.free[i].n
		s.free = slices.Delete(s.free, i, i+1)
	}
}

func usable(size uintptr) uintptr { return (size + unit - 1) &^ (unit - 1) }

func (s *source) Allocate(l galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allocate(l)
}

func (s *source) allocate(l galloc.Layout) ([]byte, error) {
	s.calls++
	size, align := l.Size(), l.Align()
	huge := size > tooMuch || align > tooMuch
	switch {
	case size == 0:
		switch s.fault {
		case "size 0 fails":
			return nil, galloc.ErrOutOfMemory
		case "size 0 is nil":
			return nil, nil
		case "size 0 is not aligned":
			return unsafe.Slice((*byte)(unsafe.Add(l.Dangling(), 1)), 0), nil
		case "size 0 takes memory":
			return s.bytes((s.base()+align-1)&^(align-1), 8), nil
		}
		return unsafe.Slice((*byte)(l.Dangling()), 0), nil
	case s.is("panics on huge") && huge:
		panic("too much")
	case s.is("foreign error") && huge:
		return nil, errors.New("too much")
	case s.is("huge is nil") && huge:
		return nil, nil
	case s.is("huge is short") && huge:
		size, align = unit, unit
	case s.is("failed Allocate leaks") && huge:
		s.take(1<<16, unit)
	case s.is("failed Allocate forgets the free memory") && huge:
		s.free = nil
	case s.is("aligned only to 8") && align > 8:
		align = 8
	case s.is("aligned only to pages") && align > 4096:
		align = 4096
	case s.is("small blocks are not aligned") && size < align:
		align = unit
	case s.is("garbage"):
		s.garb = make([]byte, 64)
	case s.is("crashes on large"):
		if size > 1<<20 {
			s.mem[len(s.mem)] = 1 //nolint:gosec // it panics
		}
	}
	if huge && !s.is("huge is short") {
		return nil, galloc.ErrOutOfMemory
	}
	n := usable(size)
	if s.is("reuses a freed block twice") && s.calls%2 == 0 {
		for _, e := range s.spare {
			if e.n >= n && e.at&(align-1) == 0 {
				return s.bytes(e.at, n), nil
			}
		}
	}
	if s.is("keeps its free list over Reset") || s.is("frees before Reset are free again") {
		for i, e := range s.spare {
			if e.n == n && e.at&(align-1) == 0 {
				s.spare = slices.Delete(s.spare, i, i+1)
				s.live[e.at] = e
				return s.bytes(e.at, n), nil
			}
		}
	}
	if s.is("overlaps sometimes") && s.calls%50 == 0 && s.live[s.last].n >= n && align <= unit {
		return s.bytes(s.last, n), nil
	}
	extra := uintptr(0)
	if s.is("overlaps its neighbor") && n > unit {
		n -= unit
		extra = unit
	}
	at, ok := s.take(n, max(align, unit))
	if !ok {
		return nil, galloc.ErrOutOfMemory
	}
	s.live[at], s.asked[at], s.last = extent{at, n}, size, at
	switch {
	case s.is("aligned only to 8") && n > unit:
		return s.bytes(at+8, n-8), nil
	case s.is("too short"):
		return s.bytes(at, size-1), nil
	case s.is("too short when large") && size > 1<<19:
		return s.bytes(at, size-4096), nil
	case s.is("capacity"):
		return s.bytes(at, n)[:size:n], nil
	}
	return s.bytes(at, min(n+extra, uintptr(len(s.mem))-(at-s.base()))), nil
}

func (s *source) AllocateZeroed(l galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.is("zeroed: UsableSize is too large") && l.Size() > 1<<12 {
		b, err := s.allocate(l)
		clear(b)
		return b[:l.Size():l.Size()], err
	}
	b, err := s.allocate(l)
	if err != nil {
		return b, err
	}
	switch {
	case s.is("zeroed memory is dirty"):
	case s.is("zeroed memory is dirty when large") && l.Size() > 1<<20:
	case s.is("slack is dirty"):
		clear(b[:min(l.Size(), uintptr(len(b)))])
	case s.is("the last byte is dirty") && l.Size() > 4096:
		clear(b[:l.Size()-1])
	case s.is("memory is known to be zero after Reset") && len(s.lost) == 0:
	default:
		clear(b)
	}
	return b, nil
}

func (s *source) Deallocate(p unsafe.Pointer, l galloc.Layout) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deallocate(p, l)
}

func (s *source) deallocate(p unsafe.Pointer, l galloc.Layout) {
	at := uintptr(p)
	if s.is("size 0 is freed") && l.Size() == 0 {
		panic("not a block")
	}
	e, ok := s.live[at]
	switch {
	case l.Size() == 0, !ok:
		return
	case s.is("free does nothing"),
		s.is("free of large blocks does nothing") && e.n > 1<<20,
		s.is("free of blocks below 5000 bytes does nothing") && e.n < 5000,
		s.is("free with the usable size does nothing") && l.Size() > s.asked[at]:
		return
	case s.is("free writes to another block") && s.last != at:
		if b, ok := s.live[s.last]; ok {
			s.bytes(b.at, 1)[0]++
		}
	case s.is("free writes past the end"):
		if i := at + e.n - s.base(); i < uintptr(len(s.mem)) {
			s.mem[i]++
		}
	case s.is("only the last block may be freed") && s.last != at && len(s.live) > 200:
		panic("not the last block")
	case s.is("free loses half of a block"):
		e.n = e.n / 2 &^ (unit - 1)
	case s.is("free frees the neighbor too") && e.n > unit:
		e.n += unit
	case s.is("reuses a freed block twice"):
		if s.spare = append(s.spare, e); len(s.spare) > 8 {
			s.spare = nil
		}
	case s.is("keeps its free list over Reset"), s.is("frees before Reset are free again"):
		delete(s.live, at)
		s.spare = append(s.spare, e)
		return
	}
	delete(s.live, at)
	s.lost[at] = true
	if e.n > 0 {
		s.give(e)
	}
}

func (s *source) move(p unsafe.Pointer, old, to galloc.Layout, kept uintptr) ([]byte, error) {
	b, err := s.allocate(to)
	if err == nil && kept > 0 {
		copy(b, s.bytes(uintptr(p), kept))
	}
	return b, err
}

func (s *source) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.grow(p, old, to)
}

func (s *source) grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	kept := old.Size()
	switch {
	case s.is("Grow loses a byte") && kept > 0, s.is("Grow loses a byte when large") && kept > 1<<20:
		kept--
	case s.is("Grow loses all if it stays") && old.Size() == to.Size():
		kept = 0
	case s.is("Grow is nil"):
		return nil, nil
	case s.is("Grow is too short") && kept > 0:
		to = old
	case s.is("Grow forgets to align") && to.Align() > 1<<14:
		to = mustLayout(to.Size(), 8)
	case s.is("Grow from 0 frees") && kept == 0:
		for at, e := range s.live {
			s.deallocate(unsafe.Pointer(&s.bytes(at, 1)[0]), mustLayout(e.n, 1))
			break
		}
	case s.is("Grow frees first"):
		s.deallocate(p, old)
	case s.is("Grow in place runs into the next block") && kept > 0 && old.Align() >= to.Align() && to.Size() < 1000:
		if i := uintptr(p) - s.base(); i+usable(to.Size()) < uintptr(len(s.mem)) {
			return s.bytes(uintptr(p), usable(to.Size())), nil
		}
	}
	b, err := s.move(p, old, to, kept)
	if err != nil {
		s.failedChange("Grow", p, old)
		return nil, err
	}
	if !s.is("Grow leaks the old block") && (!s.is("Grow leaks the old block when large") || old.Size() <= 1<<20) {
		s.deallocate(p, old)
	}
	return b, nil
}

// failedChange is what the faults of failed calls do.
func (s *source) failedChange(what string, p unsafe.Pointer, l galloc.Layout) {
	e, ok := s.live[uintptr(p)]
	if !ok {
		return
	}
	switch s.fault {
	case "failed " + what + " frees the block":
		s.deallocate(p, l)
	case "failed " + what + " writes to the block":
		s.bytes(e.at, 1)[0]++
	case "failed " + what + " writes to the end of the block":
		s.bytes(e.at, l.Size())[l.Size()-1]++
	case "failed " + what + " leaks the block":
		delete(s.live, e.at)
	case "failed " + what + " leaks a new block":
		s.take(e.n, unit)
	case "failed " + what + " frees the end of the block":
		if half := e.n / 2 &^ (unit - 1); half > 0 && e.n > half {
			s.live[e.at] = extent{e.at, half}
			s.give(extent{e.at + half, e.n - half})
		}
	case "failed " + what + " panics":
		panic("no memory")
	}
}

func (s *source) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.grow(p, old, to)
	if err != nil {
		s.failedChange("GrowZeroed", p, old)
		return nil, err
	}
	switch {
	case s.is("GrowZeroed does not clear"):
	case s.is("GrowZeroed clears what was asked for") && old.Size() > 0:
		clear(b[old.Size():to.Size()])
	case s.is("GrowZeroed clears too much") && old.Size() > 0:
		clear(b[old.Size()-1:])
	default:
		clear(b[min(old.Size(), uintptr(len(b))):])
	}
	return b, nil
}

func (s *source) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := to.Size()
	switch {
	case s.is("Shrink to 0 leaks") && kept == 0:
		return s.allocate(to)
	case s.is("Shrink to 0 is nil") && kept == 0:
		return nil, nil
	case s.is("Shrink loses a byte") && kept > 0:
		kept--
	case s.is("Shrink forgets to align") && to.Align() > 16 && kept > 0 && to.Align() < tooMuch:
		to = mustLayout(to.Size(), 1)
	}
	b, err := s.move(p, old, to, kept)
	if err != nil {
		s.failedChange("Shrink", p, old)
		return nil, err
	}
	if !s.is("Shrink leaks the old block") {
		s.deallocate(p, old)
	}
	return b, nil
}

func (s *source) Resize(p unsafe.Pointer, l galloc.Layout, newSize uintptr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.live[uintptr(p)]
	n := usable(newSize)
	switch {
	case !ok:
		return false
	case s.is("Resize says no and writes") && newSize < l.Size():
		s.bytes(e.at, 1)[0]++
		return false
	case s.is("Resize says no and shrinks") && n < e.n:
		s.live[e.at] = extent{e.at, n}
		s.give(extent{e.at + n, e.n - n})
		return false
	case s.is("Resize loses a byte") && newSize < l.Size():
		s.bytes(e.at, 1)[0]++
		return true
	case s.is("Resize says yes always") && newSize < tooMuch:
		return true
	case s.is("Resize says yes to huge sizes") && newSize > tooMuch:
		return true
	case s.is("Resize refuses the same size") && newSize == l.Size():
		return false
	case n > e.n || newSize > tooMuch:
		return false
	case s.is("Resize leaks the end") && n < e.n:
		s.live[e.at] = extent{e.at, n}
		return true
	case n < e.n:
		s.live[e.at] = extent{e.at, n}
		s.give(extent{e.at + n, e.n - n})
	}
	return true
}

func (s *source) UsableSize(l galloc.Layout) uintptr {
	size := l.Size()
	switch {
	case s.is("UsableSize is too large"), s.is("UsableSize is too large when large") && size > 1<<20,
		s.is("UsableSize is too large at 64 KiB") && size == 1<<16:
		return usable(size) + unit
	case s.is("UsableSize is too small") && size > 0:
		return size - 1
	case s.is("UsableSize is too small when large") && size > 100_000:
		return size / 2
	case s.is("UsableSize has 32 bits"):
		return uintptr(uint32(usable(size)))
	case s.is("UsableSize is 0 when huge") && size > tooMuch:
		return 0
	}
	if size > tooMuch {
		return size
	}
	return usable(size)
}

func (s *source) EquivalentTo(galloc.Allocator) bool { return s.is("equivalent to all") }

func (s *source) Owns(p unsafe.Pointer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := uintptr(p)
	_, live := s.live[at]
	inMemory := at-s.base() < uintptr(len(s.mem))
	within := func(before, after uintptr) bool {
		for _, e := range s.live {
			if at+before >= e.at && at < e.at+e.n+after {
				return true
			}
		}
		return false
	}
	switch s.fault {
	case "Owns: nothing":
		return false
	case "Owns: everything":
		return true
	case "Owns: nil":
		return live || p == nil
	case "Owns: not large blocks":
		return live && s.live[at].n < 1<<20
	case "Owns: the last block only":
		return live && at == s.last
	case "Owns: not blocks that have grown":
		return live && s.calls%2 == 0
	case "Owns: the end of a block":
		return live || within(0, 1) && !within(0, 0)
	case "Owns: behind a block":
		return live || within(0, 64) && !within(0, 0)
	case "Owns: before a block":
		return live || within(16, 0) && !within(0, 0)
	case "Owns: the first half of a block":
		for _, e := range s.live {
			if at >= e.at && at < e.at+max(e.n/2, 1) {
				return true
			}
		}
		return false
	case "Owns: the second byte":
		_, second := s.live[at-1]
		return live || second
	case "Owns: inside of a block while it is live":
		return within(0, 0)
	case "Owns: true after the memory is used again":
		return live || s.lost[at]
	case "Owns: all of the Go heap":
		return live || !inMemory && p != nil
	}
	return live
}

func (s *source) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.fault {
	case "Reset does nothing":
		return
	case "Reset frees nothing large":
		for _, e := range s.live {
			if e.n < 1<<20 {
				s.give(e)
				delete(s.live, e.at)
			}
		}
		return
	case "Reset frees the free blocks again":
		spare := s.free
		s.reset()
		s.free = append(spare[:len(spare)-1], s.free...)
		return
	case "Reset panics":
		panic("not now")
	}
	s.reset()
	if s.is("frees before Reset are free again") && len(s.spare) > 4 {
		s.spare = s.spare[:4]
	}
}

// unresettable is a source without Reset, Resize and Owns.
type unresettable struct{ s *source }

func (u unresettable) Allocate(l galloc.Layout) ([]byte, error)     { return u.s.Allocate(l) }
func (u unresettable) Deallocate(p unsafe.Pointer, l galloc.Layout) { u.s.Deallocate(p, l) }
func (u unresettable) Grow(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	return u.s.Grow(p, old, to)
}

func (u unresettable) GrowZeroed(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	return u.s.GrowZeroed(p, old, to)
}

func (u unresettable) Shrink(p unsafe.Pointer, old, to galloc.Layout) ([]byte, error) {
	return u.s.Shrink(p, old, to)
}

// incomparable is not equal to itself.
type incomparable struct {
	*source
	_ []int
}

func (i incomparable) EquivalentTo(galloc.Allocator) bool { return false }

// wrapping is a Wrapper that does not pass on what it should.
type wrapping struct {
	galloc.Allocator
	fault string
}

func (w wrapping) Unwrap() galloc.Allocator { return w.Allocator }

func (w wrapping) Owns(unsafe.Pointer) (bool, error) {
	if w.fault == "a wrapper's Owns fails" {
		return false, errors.New("not today")
	}
	return false, nil
}

// typed is an allocator whose typed memory does not hold pointers.
type typed struct{ *source }

func (t typed) AllocateTyped(_ reflect.Type, n int) (unsafe.Pointer, error) {
	if t.fault == "typed memory is hidden" {
		return unsafe.Pointer(unsafe.SliceData(make([]uintptr, n))), nil
	}
	values := make([]*source, n)
	for i := range values {
		values[i] = t.source
	}
	return unsafe.Pointer(unsafe.SliceData(values)), nil
}

// unlocked is a source that several goroutines must not use, and says nothing of it.
type unlocked struct {
	s       *source
	entered chan struct{}
}

func (u unlocked) Allocate(l galloc.Layout) ([]byte, error) {
	select {
	case u.entered <- struct{}{}:
	default:
		panic("two at a time")
	}
	b, err := u.s.Allocate(l)
	<-u.entered
	return b, err
}

func (u unlocked) Deallocate(p unsafe.Pointer, l galloc.Layout) { u.s.Deallocate(p, l) }
