package collections_test

import (
	"bufio"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// A leaker creates a collection on a, fills it by one call, once or repeatedly, and does not free
// it. The report must name that call and its line, which is one of the first three lines of the
// leaker. Blocks that a leaker frees must not be reported.
type leaker func(a galloc.Allocator)

var long = strings.Repeat("long text ", 1000)

var leakers = []struct {
	by string
	do leaker
}{
	{"collections.(*Vec[...]).Push", func(a galloc.Allocator) { collections.NewVec[int](a).Push(1) }},
	{"collections.(*Vec[...]).Push", func(a galloc.Allocator) {
		v := collections.NewVec[int](a)
		repeat(func(i int) { v.Push(i) })
	}},
	{"collections.(*Vec[...]).TryPush", func(a galloc.Allocator) {
		v := collections.NewVec[int](a)
		repeat(func(i int) { _ = v.TryPush(i) })
	}},
	{"collections.(*Vec[...]).Append", func(a galloc.Allocator) {
		collections.NewVec[int](a).Append(1, 2, 3, 4, 5, 6, 7, 8, 9)
	}},
	{"collections.(*Vec[...]).Insert", func(a galloc.Allocator) {
		v := collections.NewVec[int](a)
		repeat(func(i int) { v.Insert(0, i) })
	}},
	{"collections.(*Vec[...]).AppendSeq", func(a galloc.Allocator) {
		collections.NewVec[int](a).AppendSeq(slices.Values(make([]int, 100)))
	}},
	{"collections.(*Vec[...]).Reserve", func(a galloc.Allocator) { collections.NewVec[int](a).Reserve(10) }},
	{"collections.(*Vec[...]).Clone", func(a galloc.Allocator) {
		v, _ := collections.CollectVec(a, slices.Values([]int{1}))
		v.Clone()
		v.Free()
	}},
	{"collections.(*Vec[...]).ShrinkToFit", func(a galloc.Allocator) { v := loose(a); v.ShrinkToFit() }},
	{"collections.(*Bytes).WriteString", func(a galloc.Allocator) {
		b := collections.NewBytes(a)
		_, _ = b.WriteString(long)
	}},
	{"collections.(*Bytes).Write", func(a galloc.Allocator) { fmt.Fprint(collections.NewBytes(a), long) }},
	{"collections.(*Bytes).ReadFrom", func(a galloc.Allocator) {
		_, _ = collections.NewBytes(a).ReadFrom(strings.NewReader(long))
	}},
	{"collections.(*Bytes).WriteString", func(a galloc.Allocator) {
		_, _ = bufio.NewReader(strings.NewReader(long)).WriteTo(collections.NewBytes(a))
	}},
	{"collections.(*Bytes).AppendString", func(a galloc.Allocator) {
		b := collections.NewBytes(a)
		b.AppendString(long)
		b.TakeString()
	}},
	{"collections.NewString", func(a galloc.Allocator) { _, _ = collections.NewString(a, "text") }},
	{"collections.(*Deque[...]).PushBack", func(a galloc.Allocator) {
		d := collections.NewDeque[int](a)
		repeat(func(i int) { d.PushBack(i) })
	}},
	{"collections.(*Deque[...]).PushFront", func(a galloc.Allocator) {
		d := collections.NewDeque[int](a)
		repeat(func(i int) { d.PushFront(i) })
	}},
	{"collections.(*Slab[...]).Add", func(a galloc.Allocator) {
		s := collections.NewSlab[int](a)
		repeat(func(i int) { s.Add(i) })
	}},
	{"collections.(*BTree[...]).Put", func(a galloc.Allocator) {
		t := collections.NewBTree[int, int](a)
		repeat(func(i int) { t.Put(i*7%1000, i) })
	}},
	{"collections.(*BTree[...]).GetOrPut", func(a galloc.Allocator) {
		t := collections.NewBTree[int, int](a)
		repeat(func(i int) { t.GetOrPut(i) })
	}},
	{"collections.(*BTreeFunc[...]).Put", func(a galloc.Allocator) {
		t := collections.NewBTreeFunc[int, int](a, ascending)
		repeat(func(i int) { t.Put(i, i) })
	}},
	{"collections.(*Interner).Intern", func(a galloc.Allocator) {
		n := collections.NewInterner(a)
		repeat(func(i int) { n.Intern(long[i:]) })
	}},
	{"collections.NewRc[...]", func(a galloc.Allocator) { _, _ = collections.NewRc(a, 1) }},
	{"collections.NewArc[...]", func(a galloc.Allocator) { _, _ = collections.NewArc(a, 1) }},
	{"collections.MakeVec[...]", func(a galloc.Allocator) { _, _ = collections.MakeVec[int](a, 10) }},
	{"collections.CollectVec[...]", func(a galloc.Allocator) {
		_, _ = collections.CollectVec(a, slices.Values([]int{1, 2}))
	}},
	{"collections.CollectBTree[...]", func(a galloc.Allocator) {
		_, _ = collections.CollectBTree(a, slices.All([]int{1, 2}))
	}},
	{"collections.(*Map[...]).Put", func(a galloc.Allocator) {
		m := collections.NewMap[int, int](a)
		repeat(func(i int) { m.Put(i, i) })
	}},
	{"collections.(*Map[...]).GetOrPut", func(a galloc.Allocator) {
		m := collections.NewMap[int, int](a)
		repeat(func(i int) { m.GetOrPut(i) })
	}},
	{"collections.(*Set[...]).Add", func(a galloc.Allocator) {
		s := collections.NewSet[int](a)
		repeat(func(i int) { s.Add(i) })
	}},
	{"collections.(*Set[...]).AddSeq", func(a galloc.Allocator) {
		collections.NewSet[int](a).AddSeq(slices.Values([]int{1, 2, 3}))
	}},
	{"collections.(*StringMap[...]).Put", func(a galloc.Allocator) {
		m := collections.NewStringMap[int](a)
		repeat(func(i int) { m.Put(long[i:], i) })
	}},
	{"collections.(*TextMap).Put", func(a galloc.Allocator) {
		m := collections.NewTextMap(a)
		repeat(func(i int) { m.Put(long[i:], long[i:]) })
	}},
	{"collections.(*Vec[...]).Push", func(a galloc.Allocator) {
		v := collections.NewVec[int](bump.New(a))
		repeat(func(i int) { v.Push(i) })
	}},
	{"collections.(*TextMap).Put", func(a galloc.Allocator) {
		m := collections.NewTextMap(bump.New(a))
		repeat(func(i int) { m.Put(long[i:], "") })
	}},
	{"collections.(*TextMap).Put", func(a galloc.Allocator) {
		m := collections.NewTextMap(wrap.Stats(bump.New(a)))
		repeat(func(i int) { m.Put(long[i:], "") })
	}},
	{"galloc.New[...]", func(a galloc.Allocator) { _, _ = galloc.New[int](a) }},
	{"galloc.NewBox[...]", func(a galloc.Allocator) { _, _ = galloc.NewBox(a, 1) }},
}

// loose returns a Vec that ShrinkToFit makes smaller.
func loose(a galloc.Allocator) *collections.Vec[int] {
	v := galloc.Must(collections.MakeVec[int](a, 10))
	v.Push(1)
	return v
}

func ascending(x, y int) int { return x - y }

// repeat calls f with 0, 1, 2 and so on.
func repeat(f func(i int)) {
	for i := range 1000 {
		f(i)
	}
}

// A leak report names the line of the program that filled the collection, not a line of galloc or
// of the standard library, even if each stack keeps only one call.
func TestLeaksAreTracedToTheProgram(t *testing.T) {
	for _, depth := range []int{1, 16, 64} {
		for _, l := range leakers {
			t.Run(fmt.Sprintf("%s/stacks=%d", l.by, depth), func(t *testing.T) {
				f := runtime.FuncForPC(reflect.ValueOf(l.do).Pointer())
				file, line := f.FileLine(f.Entry())
				in := func(f2 runtime.Frame) bool { // the leaker or the function literal in it
					name := f.Name() + "."
					return f2.File == file && strings.HasPrefix(f2.Function+".", name) &&
						line <= f2.Line && f2.Line <= line+2
				}
				d := memcheck.New(galloc.System, memcheck.Options{StackDepth: depth})
				l.do(d)
				leaks := d.Leaks(0)
				if len(leaks) != 1 {
					t.Fatalf("%d leaks: %v", len(leaks), leaks)
				}
				at := leaks[0].Stack.Place()
				if !in(at) {
					t.Errorf("reported at %s:%d in %s, want line %d:\n%v",
						at.File, at.Line, at.Function, line, leaks[0])
				}
				frames := leaks[0].Stack.Frames()
				if n := len(frames) - slices.IndexFunc(frames, in); n > depth {
					t.Errorf("%d calls, want at most %d", n, depth)
				}
				text := &strings.Builder{}
				want := fmt.Sprintf(", allocated at %s:%d by %s:\n", file, at.Line, l.by)
				if d.ReportLeaks(text); !strings.Contains(text.String(), want) {
					t.Errorf("%q is not in\n%s", want, text)
				}
			})
		}
	}
}

// All blocks of a collection filled by one call are one leak. Calls of other functions, or by other
// paths to the same line, are other leaks.
func TestBlocksOfACollectionAreOneLeak(t *testing.T) {
	d := memcheck.New(galloc.System, memcheck.Options{})
	fill := func() (*collections.TextMap, *collections.Vec[int]) {
		m, v := collections.NewTextMap(d), collections.NewVec[int](d)
		for i := range 1000 {
			m.Put(long[i:], long)
			v.Push(i)
		}
		return m, v
	}
	m, v := fill()
	fill()
	leaks := d.Leaks(0)
	if len(leaks) != 4 {
		t.Errorf("%d leaks", len(leaks))
	}
	blocks := 0
	for _, l := range leaks {
		blocks += l.Blocks
	}
	if blocks < 10 {
		t.Errorf("%d blocks", blocks)
	}
	m.Free()
	v.Free()
	if n := len(d.Leaks(0)); n != 2 {
		t.Errorf("%d leaks after half of it was freed", n)
	}
}
