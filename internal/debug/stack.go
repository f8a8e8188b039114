// Stacks of calls. See debug.go for overview.

package debug

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// A Stack is the calls that led somewhere, the latest first, as [runtime.Callers] has them.
type Stack []uintptr

// Frames returns the calls with names and places, without those at the top that are within galloc, or deal with a crash.
func (s Stack) Frames() []runtime.Frame {
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
	if i := slices.IndexFunc(all, func(f runtime.Frame) bool { return f.Function == "runtime.sigpanic" }); i >= 0 {
		return all[i+1:] // above it is only how the crash was dealt with
	}
	if i := slices.IndexFunc(all, func(f runtime.Frame) bool { return !ours(f.Function) }); i > 0 {
		return all[i:]
	}
	return all
}

const module = "github.com/galloc-go/galloc"

// ours reports whether a function is one that allocations go through. Commands and tests of the module are users of it.
func ours(function string) bool {
	rest, ok := strings.CutPrefix(function, module)
	if !ok {
		return false
	}
	for _, p := range []string{".", "/wrap.", "/internal/debug.", "/internal/engine."} {
		if strings.HasPrefix(rest, p) {
			return true
		}
	}
	return false
}

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

// ownCalls is how many calls within galloc may lie between the program and here; Frames leaves them out, as far as they are there.
const ownCalls = 6

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

// get returns a copy of a stack.
func (s *stackTable) get(id stackID) Stack {
	if id == 0 {
		return nil
	}
	t, i := &s.shards[id%stackShards], id/stackShards
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.pcs[t.ends[i-1]:t.ends[i]])
}
