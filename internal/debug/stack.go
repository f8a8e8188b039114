// Stacks of calls. See debug.go for overview.

package debug

import (
	"fmt"
	"path"
	"runtime"
	rtdebug "runtime/debug"
	"slices"
	"strings"
	"sync"
)

// A Stack is the calls that led somewhere, the latest first, as [runtime.Callers] has them.
type Stack []uintptr

// Frames returns the calls with names and places, without those at the top that are within galloc, or deal with a crash.
func (s Stack) Frames() []runtime.Frame {
	all := s.all()
	if i := slices.IndexFunc(all, func(f runtime.Frame) bool { return f.Function == "runtime.sigpanic" }); i >= 0 {
		return all[i+1:] // above it is only how the crash was dealt with
	}
	return all[within(all):]
}

// Place returns the call that a reader looks for: the latest in the program itself, be it from a package galloc does not have, nor Go's
// standard library. Without one it is the first of Frames, and the zero Frame if no stack was kept.
func (s Stack) Place() runtime.Frame {
	f, _ := s.place()
	return f
}

// place is Place, and which function of galloc has been called from there, or through the standard library: "collections.(*Bytes).Write"
// for an fmt.Fprint into one.
func (s Stack) place() (place runtime.Frame, by string) {
	all := s.all()
	i := program(all)
	if i < len(all) {
		place = all[i]
	}
	for i > 0 && !ours(all[i-1]) {
		i--
	}
	return place, nameOf(all[:i])
}

// program returns the index of the latest call that is neither within galloc nor within the standard library; if there is none, of the
// latest that is not within galloc.
func program(frames []runtime.Frame) int {
	i := slices.IndexFunc(frames, func(f runtime.Frame) bool { return !ours(f) && !standard(f) })
	if i < 0 {
		return within(frames)
	}
	return i
}

// nameOf returns the name of the last function, without the path of its package.
func nameOf(frames []runtime.Frame) string {
	if len(frames) == 0 {
		return ""
	}
	name := frames[len(frames)-1].Function
	return name[strings.LastIndexByte(name, '/')+1:]
}

// key returns the same for two stacks that differ above their places only.
func (s Stack) key() string { return fmt.Sprint(s[program(s.all()):]) }

// all returns all calls: one for each element of s.
func (s Stack) all() []runtime.Frame {
	if len(s) == 0 {
		return nil
	}
	var all []runtime.Frame
	frames := runtime.CallersFrames(s)
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		all = append(all, f)
	}
	return all
}

// within returns how many calls at the top are within galloc: 0 if all are.
func within(frames []runtime.Frame) int {
	return max(slices.IndexFunc(frames, func(f runtime.Frame) bool { return !ours(f) }), 0)
}

// These packages allocate for who calls them. Commands, examples and tests of the module are users of it.
var allocating = []string{
	"", "collections/", "wrap/", "bump/", "pool/", "fixed/", "freelist/", "buddy/", "tlsf/", "heap/", "jemalloc/", "mimalloc/",
	"internal/debug/", "internal/engine/", "internal/libc/",
}

// ours reports whether a call is of a function that allocations go through. The file says it, and not the name: a closure of a function that
// was inlined has the name of where that was.
func ours(f runtime.Frame) bool {
	rest, ok := strings.CutPrefix(f.File, sources().galloc)
	folder, name := path.Split(rest)
	return ok && slices.Contains(allocating, folder) && !strings.HasSuffix(name, "_test.go")
}

// standard reports whether a call is of a function of Go's standard library. Where files have no folders of the machine in their names, since
// the program was built with -trimpath, those of the library are the ones that are of no module of the program and have no dot in
// the first part of their path.
func standard(f runtime.Frame) bool {
	src := sources().standard
	if src != "" {
		return strings.HasPrefix(f.File, src)
	}
	first, _, _ := strings.Cut(f.File, "/")
	return !strings.Contains(first, ".") &&
		!slices.ContainsFunc(modules(), func(m string) bool { return strings.HasPrefix(f.File, m+"/") })
}

// sources returns what the names of files begin with.
var sources = sync.OnceValue(func() (s struct{ galloc, standard string }) {
	var pcs [2]uintptr // of runtime.Callers, and this function
	frames := Stack(pcs[:runtime.Callers(0, pcs[:])]).all()
	s.standard = strings.TrimSuffix(frames[0].File, "runtime/extern.go")
	s.galloc = strings.TrimSuffix(frames[1].File, "internal/debug/stack.go")
	return s
})

// modules returns the paths of the modules that the program was built from, and what Go calls files that are in none.
var modules = sync.OnceValue(func() []string {
	paths := []string{"command-line-arguments"}
	if info, ok := rtdebug.ReadBuildInfo(); ok {
		paths = append(paths, info.Main.Path)
		for _, m := range info.Deps {
			paths = append(paths, m.Path)
		}
	}
	return paths
})

// String returns a function and its place for each call, on two lines as Go's own tracebacks have them.
func (s Stack) String() string {
	var b strings.Builder
	for _, f := range s.Frames() {
		fmt.Fprintf(&b, "\t%s\n\t\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// A stackID names a stack in the table. 0 is no stack. The low bits say the shard, the others the place in it, from 1 on.
type stackID uint32

const stackShards = 16

// stackTable holds each stack once. It is bounded: where a shard is full, as when many ways of a recursion lead to allocations, new stacks are cut
// to their latest calls, for which there is room as long as they are twice as many; and then no stack is kept.
type stackTable struct {
	depth  int
	most   int // stacks in a shard, longer ones than cutStack
	shards [stackShards]stackShard
}

const (
	mostStacks = 1 << 19 // in all shards
	cutStack   = 8       // calls, some of them galloc's own
)

// A stackShard is the stacks whose hash is the same modulo stackShards.
//
//	stack i, from 1 on, is pcs[ends[i-1]:ends[i]];  ends[0] == 0
//	byHash[h] == i: the hash of stack i is h, or h-1 and that was taken, and so on
type stackShard struct {
	mu     sync.Mutex
	byHash map[uint64]uint32
	ends   []uint32
	pcs    []uintptr
}

// ownCalls is how many calls within galloc and the standard library may lie between the program and here; get leaves them out, where there are
// more of the program's. Those of a TextMap on a counted arena are 15.
const ownCalls = 20

// here returns the stack that has led here, without the call of here. It costs about a microsecond.
func (s *stackTable) here() stackID {
	if s.depth == 0 {
		return 0
	}
	var pcs [maxStack + ownCalls]uintptr
	return s.add(pcs[:runtime.Callers(3, pcs[:s.depth+ownCalls])])
}

// now is here for those who want the stack itself.
func (s *stackTable) now() Stack {
	var pcs [maxStack + ownCalls]uintptr
	return slices.Clone(pcs[:runtime.Callers(3, pcs[:])])
}

func (s *stackTable) add(pcs []uintptr) stackID {
	hash := uint64(len(pcs))
	for _, pc := range pcs {
		hash = (hash ^ uint64(pc)) * 0x9e3779b97f4a7c15
		hash ^= hash >> 29
	}
	n := uint32(hash % stackShards)
	t := &s.shards[n]
	most := s.most
	if len(pcs) <= cutStack {
		most *= 2
	}
	i := t.place(hash, pcs, most)
	switch {
	case i != 0:
		return stackID(i*stackShards + n)
	case len(pcs) > cutStack:
		return s.add(pcs[:cutStack])
	}
	return 0
}

// place returns the index of a stack in the shard, or 0 if it is not there, and most others are.
func (t *stackShard) place(hash uint64, pcs []uintptr, most int) uint32 {
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
		case len(t.ends) > most:
			return 0
		}
		i = uint32(len(t.ends))
		t.pcs = append(t.pcs, pcs...)
		t.ends = append(t.ends, uint32(len(t.pcs)))
		t.byHash[hash] = i
		return i
	}
}

// get returns a copy of a stack: depth calls of the program, and those above its latest, within galloc and the standard library.
func (s *stackTable) get(id stackID) Stack {
	if id == 0 {
		return nil
	}
	t, i := &s.shards[id%stackShards], id/stackShards
	t.mu.Lock()
	pcs := Stack(slices.Clone(t.pcs[t.ends[i-1]:t.ends[i]]))
	t.mu.Unlock()
	return pcs[:min(len(pcs), program(pcs.all())+s.depth)]
}
