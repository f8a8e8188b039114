// Package stacks takes and keeps stacks of calls. Equal stacks are stored once, in a [Table].
package stacks

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/galloc-go/galloc/internal/caller"
)

// A Stack is a stack of calls, the latest first, as [runtime.Callers] returns it.
type Stack []uintptr

// Frames returns the calls, without those at the top that are within galloc or handle a crash, and
// without runtime.main and runtime.goexit at the bottom.
func (s Stack) Frames() []runtime.Frame {
	all := s.All()
	for n := len(all) - 1; n > 0 && (all[n].Function == "runtime.main" || all[n].Function == "runtime.goexit"); n-- {
		all = all[:n]
	}
	if i := slices.IndexFunc(all, func(f runtime.Frame) bool { return f.Function == "runtime.sigpanic" }); i >= 0 {
		return all[i+1:] // the calls above it handle the crash
	}
	return all[within(all):]
}

// Place returns the latest call in the program itself: not in galloc, and not in Go's standard
// library. If there is none, it returns the first of Frames, or the zero Frame if no stack was
// kept.
func (s Stack) Place() runtime.Frame {
	f, _ := s.PlaceAndCallee()
	return f
}

// PlaceAndCallee returns Place, and the name of the function of galloc that was called from there,
// directly or through the standard library: "collections.(*Bytes).Write" for an fmt.Fprint into
// one.
func (s Stack) PlaceAndCallee() (place runtime.Frame, by string) {
	all := s.All()
	i := program(all)
	if i < len(all) {
		place = all[i]
	}
	for i > 0 && !caller.Ours(all[i-1]) {
		i--
	}
	return place, lastName(all[:i])
}

// program returns the index of the latest call that is neither within galloc nor within the
// standard library; if there is none, of the latest call that is not within galloc.
func program(frames []runtime.Frame) int {
	i := slices.IndexFunc(frames, func(f runtime.Frame) bool { return !caller.Ours(f) && !caller.Standard(f) })
	if i < 0 {
		return within(frames)
	}
	return i
}

// lastName returns the name of the function of the last frame, without the path of its package.
func lastName(frames []runtime.Frame) string {
	if len(frames) == 0 {
		return ""
	}
	name := frames[len(frames)-1].Function
	if exported, ok := strings.CutPrefix(name, "_cgoexp_"); ok { // HASH_NAME
		_, name, _ = strings.Cut(exported, "_")
	}
	return name[strings.LastIndexByte(name, '/')+1:]
}

// Key returns equal strings for stacks that differ only above their places.
func (s Stack) Key() string { return fmt.Sprint(s[program(s.All()):]) }

// All returns all calls: one for each element of s.
func (s Stack) All() []runtime.Frame { return caller.Resolve(s) }

// within returns the number of calls at the top that are within galloc, with the calls by which a
// function of C has called it: 0 if all are.
func within(frames []runtime.Frame) int {
	n := max(slices.IndexFunc(frames, func(f runtime.Frame) bool { return !caller.Ours(f) }), 0)
	c := n
	for c < len(frames) && caller.Standard(frames[c]) {
		c++
	}
	if c < len(frames) && caller.Foreign(frames[c]) {
		return c
	}
	return n
}

// String returns the function and the place of each call, on two lines, as Go's tracebacks show
// them.
func (s Stack) String() string {
	var b strings.Builder
	for _, f := range s.Frames() {
		fmt.Fprintf(&b, "\t%s\n\t\t%s\n", f.Function, caller.Position(f))
	}
	return b.String()
}

// An ID names a stack in a table. 0 is no stack. It is the index in a bucket, from 1 on, times
// buckets, plus the number of the bucket.
type ID uint32

const buckets = 16

// MaxDepth is the greatest Depth of a [Table].
const MaxDepth = 64

// Table stores each stack once. It is bounded, since a recursion may reach allocations on very many
// ways. When a bucket is full, new stacks are cut to their latest calls, of which as many again are
// stored. When that is full too, no new stack is kept. Depth is set before the first use; then all
// methods are safe for concurrent use.
type Table struct {
	Depth   int // calls of the program in a stack, at most MaxDepth; 0 keeps no stacks
	max     int // stacks longer than cutStack in a bucket, if that is not maxStacks/buckets
	buckets [buckets]bucket
}

const (
	maxStacks = 1 << 19 // in all buckets
	cutStack  = 8       // calls, some of them galloc's own
)

// A bucket holds the stacks whose hash is the same modulo buckets.
//
//	stack i, from 1 on, is pcs[ends[i-1]:ends[i]];  ends[0] == 0
//	byHash[h] == i: the hash of stack i is h, or h-1 and that was taken, and so on
type bucket struct {
	mu     sync.Mutex
	byHash map[uint64]uint32
	ends   []uint32
	pcs    []uintptr
}

// ownCalls is the number of calls within galloc and the standard library that Here allows for
// between the program and itself. Get drops those beyond Depth calls of the program. A TextMap on a
// counted arena makes 15.
const ownCalls = 20

// Here returns the stack of the function that is skip calls above the caller of Here. It takes
// about a microsecond.
func (s *Table) Here(skip int) ID {
	if s.Depth == 0 {
		return 0
	}
	var pcs [MaxDepth + ownCalls]uintptr
	return s.add(pcs[:runtime.Callers(2+skip, pcs[:s.Depth+ownCalls])])
}

// Now returns the same stack as Here, without storing it.
func (s *Table) Now(skip int) Stack {
	var pcs [MaxDepth + ownCalls]uintptr
	return slices.Clone(pcs[:runtime.Callers(2+skip, pcs[:])])
}

// Len returns the number of stacks in the table.
func (s *Table) Len() (n int) {
	for i := range s.buckets {
		t := &s.buckets[i]
		t.mu.Lock()
		n += len(t.byHash)
		t.mu.Unlock()
	}
	return n
}

// SetMax sets the maximum number of stacks in each bucket that are longer than 8 calls. It is for
// tests.
func (s *Table) SetMax(n int) { s.max = n }

func (s *Table) add(pcs []uintptr) ID {
	hash := uint64(len(pcs))
	for _, pc := range pcs {
		hash = (hash ^ uint64(pc)) * 0x9e3779b97f4a7c15
		hash ^= hash >> 29
	}
	n := uint32(hash % buckets)
	t := &s.buckets[n]
	limit := s.max
	if limit == 0 {
		limit = maxStacks / buckets
	}
	if len(pcs) <= cutStack {
		limit *= 2
	}
	i := t.index(hash, pcs, limit)
	switch {
	case i != 0:
		return ID(i*buckets + n)
	case len(pcs) > cutStack:
		return s.add(pcs[:cutStack])
	}
	return 0
}

// index returns the index of a stack in the bucket, where it is added if need be; or 0 if limit
// others are there.
func (t *bucket) index(hash uint64, pcs []uintptr, limit int) uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byHash == nil {
		t.byHash, t.ends = map[uint64]uint32{}, []uint32{0}
	}
	for ; ; hash++ {
		i, ok := t.byHash[hash]
		switch {
		case ok && slices.Equal(t.pcs[t.ends[i-1]:t.ends[i]], pcs):
			return i
		case ok:
			continue
		case len(t.ends) > limit:
			return 0
		}
		i = uint32(len(t.ends))
		t.pcs = append(t.pcs, pcs...)
		t.ends = append(t.ends, uint32(len(t.pcs)))
		t.byHash[hash] = i
		return i
	}
}

// Get returns a copy of a stack: Depth calls of the program, and the calls above its latest.
func (s *Table) Get(id ID) Stack {
	if id == 0 {
		return nil
	}
	t, i := &s.buckets[id%buckets], id/buckets
	t.mu.Lock()
	pcs := Stack(slices.Clone(t.pcs[t.ends[i-1]:t.ends[i]]))
	t.mu.Unlock()
	return pcs[:min(len(pcs), program(pcs.All())+s.Depth)]
}
