package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

const goodTrace = `# malloctrace 1
# every kind, on two threads
m 0 1 24
c 1 2 0
#
a 0 3 100 4096
r 1 1 4 48
r 0 0 5 7
f 0 2
f 1 5
`

// readAll returns the events of a trace.
func readAll(src io.Reader) ([]trace.Op, error) {
	r, err := trace.NewReader(src)
	if err != nil {
		return nil, err
	}
	var ops []trace.Op
	for {
		op, err := r.Next()
		if err == io.EOF {
			return ops, nil
		}
		if err != nil {
			return ops, err
		}
		ops = append(ops, op)
	}
}

// opSource is a Source of the events of a slice.
type opSource struct{ ops []trace.Op }

func (s *opSource) Next() (trace.Op, error) {
	if len(s.ops) == 0 {
		return trace.Op{}, io.EOF
	}
	op := s.ops[0]
	s.ops = s.ops[1:]
	return op, nil
}

// block is an object as the model knows it.
type block struct {
	size, align uint64
	born, dies  int // threads; dies is -1 if it does not
}

// model interprets events the slow and obvious way.
type model struct {
	blocks map[uint64]*block // all that ever were
	live   map[uint64]bool
	sum    Summary
}

func interpret(ops []trace.Op) *model {
	m := &model{blocks: map[uint64]*block{}, live: map[uint64]bool{}}
	end := func(id uint64, thread int) {
		m.blocks[id].dies = thread
		m.sum.EndLiveBytes -= m.blocks[id].size
		delete(m.live, id)
	}
	for _, op := range ops {
		m.sum.Events++
		m.sum.Threads = max(m.sum.Threads, op.Thread+1)
		if op.Kind == trace.Free {
			end(op.ID, op.Thread)
			continue
		}
		b := &block{size: op.Size, align: 16, born: op.Thread, dies: -1}
		if op.Size < 16 {
			b.align = 8
		}
		if op.Kind == trace.Aligned {
			b.align = op.Align
		}
		if op.Old != 0 {
			b.align = m.blocks[op.Old].align
			end(op.Old, op.Thread)
		}
		m.blocks[op.ID] = b
		m.live[op.ID] = true
		m.sum.Objects++
		m.sum.EndLiveBytes += op.Size
		m.sum.MaxSize = max(m.sum.MaxSize, op.Size)
		m.sum.TotalBytes += op.Size
		m.sum.PeakObjects = max(m.sum.PeakObjects, len(m.live))
		m.sum.PeakLiveBytes = max(m.sum.PeakLiveBytes, m.sum.EndLiveBytes)
	}
	m.sum.EndObjects = len(m.live)
	return m
}

// place is where a program keeps a block: on a thread's table, or, with thread -1, in the shared
// one.
type place struct {
	thread int
	slot   uint32
}

// walk goes through the events and the code of all threads side by side.
type walk struct {
	*testing.T
	*model
	threads     []code
	one         bool // all code is on one thread
	sharedSlots int

	pc    []int            // by thread: the instruction that comes next
	table map[place]uint64 // the object in each slot, 0: empty again
	empty [][]uint32       // by thread: the slots that are empty again, last freed last
	used  []uint32         // by thread: slots used so far
}

// checkCode compares code with the events it was made from: each event must have its instructions,
// in its thread's order, with the right layout, and find in its slot the object that the event
// names. Slots must be as few as possible.
func checkCode(t *testing.T, ops []trace.Op, m *model, threads []code, one bool, sharedSlots int) {
	t.Helper()
	w := &walk{
		T: t, model: m, threads: threads, one: one, sharedSlots: sharedSlots,
		pc:    make([]int, len(threads)),
		table: map[place]uint64{},
		empty: make([][]uint32, len(threads)),
		used:  make([]uint32, len(threads)),
	}
	for _, op := range ops {
		switch {
		case op.Kind == trace.Free:
			w.death(op, opFree, op.ID)
		case op.Kind == trace.Calloc:
			w.birth(op, opAllocZeroed)
		case op.Old != 0:
			w.death(op, opRealloc, op.Old)
			w.birth(op, opInto)
		default:
			w.birth(op, opAlloc)
		}
	}
	w.checkEnd()
}

// next takes the next instruction of op's thread, which must be code on object id, and returns it
// and its place.
func (w *walk) next(op trace.Op, code opcode, id uint64) (instr, place) {
	w.Helper()
	thread := op.Thread
	if w.one {
		thread = 0
	}
	c := &w.threads[thread]
	if w.pc[thread] == len(c.instrs) {
		w.Fatalf("%v: the code of thread %d has ended", op, thread)
	}
	in := c.instrs[w.pc[thread]]
	w.pc[thread]++
	b := w.blocks[id]
	crosses := !w.one && b.dies >= 0 && b.dies != b.born
	if in.op != code || uint64(in.layout.Size()) != b.size || uint64(in.layout.Align()) != b.align ||
		in.shared != crosses {
		w.Fatalf("%v: instruction %+v, want op %d for object %d, %+v, shared %v", op, in, code, id, *b, crosses)
	}
	if in.shared {
		if int(in.slot) >= w.sharedSlots {
			w.Fatalf("%v: shared slot %d of %d", op, in.slot, w.sharedSlots)
		}
		return in, place{-1, in.slot}
	}
	return in, place{thread, in.slot}
}

func (w *walk) birth(op trace.Op, code opcode) {
	w.Helper()
	in, at := w.next(op, code, op.ID)
	if in.shared {
		if _, used := w.table[at]; used {
			w.Fatalf("%v: shared slot %d is used twice", op, in.slot)
		}
		w.table[at] = op.ID
		return
	}
	want := w.used[at.thread]
	if empty := w.empty[at.thread]; len(empty) > 0 {
		want = empty[len(empty)-1]
		w.empty[at.thread] = empty[:len(empty)-1]
	} else {
		w.used[at.thread]++
	}
	if in.slot != want {
		w.Fatalf("%v: slot %d, want %d, the last freed or else the next", op, in.slot, want)
	}
	w.table[at] = op.ID
}

func (w *walk) death(op trace.Op, code opcode, id uint64) {
	w.Helper()
	in, at := w.next(op, code, id)
	if w.table[at] != id {
		w.Fatalf("%v: slot %+v holds object %d, want %d", op, at, w.table[at], id)
	}
	w.table[at] = 0
	if !in.shared {
		w.empty[at.thread] = append(w.empty[at.thread], in.slot)
	}
}

func (w *walk) checkEnd() {
	w.Helper()
	left := map[uint64]bool{}
	for thread, c := range w.threads {
		if w.pc[thread] != len(c.instrs) || cap(c.instrs) != len(c.instrs) {
			w.Errorf("thread %d: %d of %d instructions done, capacity %d",
				thread, w.pc[thread], len(c.instrs), cap(c.instrs))
		}
		if c.slots != int(w.used[thread]) {
			w.Errorf("thread %d: %d slots, want %d", thread, c.slots, w.used[thread])
		}
		for i, s := range c.survivors {
			id := w.table[place{thread, s.slot}]
			if !w.live[id] || left[id] || w.blocks[id].size != uint64(s.layout.Size()) ||
				w.blocks[id].align != uint64(s.layout.Align()) {
				w.Errorf("thread %d: survivor %+v is object %d, alive %v, twice %v",
					thread, s, id, w.live[id], left[id])
			}
			if i > 0 && s.slot <= c.survivors[i-1].slot {
				w.Errorf("thread %d: survivors are not ordered by slot", thread)
			}
			left[id] = true
		}
	}
	if len(left) != len(w.live) {
		w.Errorf("%d survivors, want %d", len(left), len(w.live))
	}
	shared := 0
	for at, id := range w.table {
		if at.thread < 0 {
			shared++
			if id != 0 {
				w.Errorf("object %d stays in shared slot %d", id, at.slot)
			}
		}
	}
	if shared != w.sharedSlots {
		w.Errorf("%d of %d shared slots used", shared, w.sharedSlots)
	}
}

// checkPrograms compiles ops in both ways and compares the results with the model.
func checkPrograms(t *testing.T, ops []trace.Op) {
	t.Helper()
	p, err := Compile("", &opSource{ops})
	q, errThreads := CompileThreads("", &opSource{ops})
	if err != nil || errThreads != nil {
		// A possible trace can still be too large, see TestCompileRefusesWhatNoPlatformCanHold.
		if fmt.Sprint(err) != fmt.Sprint(errThreads) ||
			!strings.Contains(err.Error(), "over the limit of this platform") {
			t.Fatalf("Compile: %v\nCompileThreads: %v", err, errThreads)
		}
		return
	}
	m := interpret(ops)
	if p.Summary != m.sum || q.Summary != m.sum {
		t.Fatalf("Compile        %+v\nCompileThreads %+v\nwant           %+v", p.Summary, q.Summary, m.sum)
	}
	if p.Slots != p.PeakObjects {
		t.Errorf("%d slots for at most %d objects at a time", p.Slots, p.PeakObjects)
	}
	if len(q.threads) != q.Threads {
		t.Fatalf("code for %d of %d threads", len(q.threads), q.Threads)
	}
	if p.code.slots != p.Slots {
		t.Errorf("slots: %d and %d", p.code.slots, p.Slots)
	}
	checkCode(t, ops, m, []code{p.code}, true, 0)
	checkCode(t, ops, m, q.threads, false, q.SharedSlots)
}

func TestProgramsAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		events := rng.IntN(1 << rng.IntN(14)) // from none to 8,191
		threads := 1 + rng.IntN(6)
		t.Run(fmt.Sprintf("seed=%d/events=%d/threads=%d", seed, events, threads), func(t *testing.T) {
			checkPrograms(t, randomOps(rng, events, threads))
		})
	}
}

// A trace large enough that instructions and objects fill several chunks.
func TestLargeProgramsAgreeWithTheModel(t *testing.T) {
	checkPrograms(t, randomOps(rand.New(rand.NewPCG(7, 7)), 200_000, 3))
}

func TestCodeOfASmallTrace(t *testing.T) {
	ops, err := readAll(strings.NewReader(goodTrace))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile("small", &opSource{ops})
	if err != nil {
		t.Fatal(err)
	}
	want := &Program{
		Summary: Summary{
			Name: "small", Events: 7, Objects: 5, Threads: 2,
			PeakObjects: 4, EndObjects: 2, PeakLiveBytes: 155, EndLiveBytes: 148, MaxSize: 100, TotalBytes: 179,
		},
		Slots: 4,
		code: code{
			slots: 4,
			instrs: []instr{
				{op: opAlloc, layout: layoutOf(24, 1<<4), slot: 0},
				{op: opAllocZeroed, layout: layoutOf(0, 1<<3), slot: 1},
				{op: opAlloc, layout: layoutOf(100, 1<<12), slot: 2},
				{op: opRealloc, layout: layoutOf(24, 1<<4), slot: 0},
				{op: opInto, layout: layoutOf(48, 1<<4), slot: 0},
				{op: opAlloc, layout: layoutOf(7, 1<<3), slot: 3},
				{op: opFree, layout: layoutOf(0, 1<<3), slot: 1},
				{op: opFree, layout: layoutOf(7, 1<<3), slot: 3},
			},
			survivors: []survivor{{layout: layoutOf(48, 1<<4), slot: 0}, {layout: layoutOf(100, 1<<12), slot: 2}},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got\n%+v\nwant\n%+v", p, want)
	}

	q, err := CompileThreads("small", &opSource{ops})
	if err != nil {
		t.Fatal(err)
	}
	wantThreads := &ThreadProgram{
		Summary:     want.Summary,
		SharedSlots: 3, // objects 1, 2 and 5, in the order of death
		threads: []code{{
			slots: 1,
			instrs: []instr{
				{op: opAlloc, layout: layoutOf(24, 1<<4), shared: true, slot: 0},
				{op: opAlloc, layout: layoutOf(100, 1<<12), slot: 0},
				{op: opAlloc, layout: layoutOf(7, 1<<3), shared: true, slot: 2},
				{op: opFree, layout: layoutOf(0, 1<<3), shared: true, slot: 1},
			},
			survivors: []survivor{{layout: layoutOf(100, 1<<12), slot: 0}},
		}, {
			slots: 1,
			instrs: []instr{
				{op: opAllocZeroed, layout: layoutOf(0, 1<<3), shared: true, slot: 1},
				{op: opRealloc, layout: layoutOf(24, 1<<4), shared: true, slot: 0},
				{op: opInto, layout: layoutOf(48, 1<<4), slot: 0},
				{op: opFree, layout: layoutOf(7, 1<<3), shared: true, slot: 2},
			},
			survivors: []survivor{{layout: layoutOf(48, 1<<4), slot: 0}},
		}},
	}
	if !reflect.DeepEqual(q, wantThreads) {
		t.Errorf("got\n%+v\nwant\n%+v", q, wantThreads)
	}
}

// The code of the threads is run by goroutines, as CompileThreads describes it. The instruction of
// an object's birth represents its block.
func TestThreadsWaitForEachOther(t *testing.T) {
	for seed := range uint64(5) {
		ops := randomOps(rand.New(rand.NewPCG(seed, 2)), 20_000, 8)
		p, err := CompileThreads("", &opSource{ops})
		if err != nil {
			t.Fatal(err)
		}
		shared := make([]atomic.Pointer[instr], p.SharedSlots)
		var wg sync.WaitGroup
		for thread := range p.threads {
			c := &p.threads[thread]
			wg.Go(func() {
				own := make([]*instr, c.slots)
				for i := range c.instrs {
					in := &c.instrs[i]
					switch {
					case in.op == opFree || in.op == opRealloc:
						var birth *instr
						if in.shared {
							for birth = shared[in.slot].Load(); birth == nil; birth = shared[in.slot].Load() {
								runtime.Gosched()
							}
							shared[in.slot].Store(nil)
						} else {
							birth, own[in.slot] = own[in.slot], nil
						}
						if birth == nil || birth.layout != in.layout {
							t.Errorf("thread %d, instruction %d: %+v ends %+v", thread, i, in, birth)
						}
					case in.shared:
						shared[in.slot].Store(in)
					default:
						own[in.slot] = in
					}
				}
				for _, s := range c.survivors {
					if b := own[s.slot]; b == nil || b.layout != s.layout {
						t.Errorf("thread %d: survivor %+v is %+v", thread, s, b)
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestCompileRefusesWhatNoPlatformCanHold(t *testing.T) {
	const most = math.MaxInt - 15
	for _, c := range []struct {
		name string
		ops  []trace.Op
		want string // "": accepted
	}{
		{"one object of the greatest size", []trace.Op{{Kind: trace.Malloc, ID: 1, Size: most}}, ""},
		{"one after the other", []trace.Op{{Kind: trace.Malloc, ID: 1, Size: most}, {Kind: trace.Free, ID: 1}, {Kind: trace.Malloc, ID: 2, Size: most}}, ""},
		{"realloc of the greatest size", []trace.Op{{Kind: trace.Malloc, ID: 1, Size: most}, {Kind: trace.Realloc, ID: 2, Old: 1, Size: most}}, ""},
		{
			"two at a time",
			[]trace.Op{{Kind: trace.Malloc, ID: 1, Size: most}, {Kind: trace.Malloc, ID: 2, Size: most}},
			fmt.Sprintf("big: event 2: the live objects together have %d bytes, over the limit of this platform, %d", uint64(2*most), math.MaxInt),
		},
		{
			"realloc of an aligned object",
			[]trace.Op{{Kind: trace.Aligned, ID: 1, Size: 1, Align: 4096}, {Kind: trace.Realloc, ID: 2, Old: 1, Size: most}},
			fmt.Sprintf("big: event 2: size %d with alignment 4096 is over the limit of this platform: the size rounded up to the alignment must be at most %d", most, math.MaxInt),
		},
	} {
		_, err := Compile("big", &opSource{c.ops})
		_, errThreads := CompileThreads("big", &opSource{c.ops})
		for _, err := range []error{err, errThreads} {
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("%s:\n got %v\nwant %s", c.name, err, c.want)
			}
		}
	}
}

func TestCompileChecksASourceThatDoesNot(t *testing.T) {
	_, err := Compile("", &opSource{[]trace.Op{{Kind: trace.Malloc, ID: 1}, {Kind: trace.Free, ID: 2}}})
	if want := "event 2: free of object 2, which does not exist yet: the newest is 1"; err == nil ||
		err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestCompileReturnsTheErrorOfItsSource(t *testing.T) {
	r, err := trace.NewReader(strings.NewReader("# malloctrace 1\nm 0 1 1\nf 0 1"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Compile("name", r)
	var e *trace.Error
	if !errors.As(err, &e) || e.Line != 3 {
		t.Errorf("got %v", err)
	}
}

// FuzzCompile compiles any trace that a Reader accepts.
func FuzzCompile(f *testing.F) {
	f.Add([]byte(goodTrace))
	f.Fuzz(func(t *testing.T, data []byte) {
		if ops, err := readAll(bytes.NewReader(data)); err == nil {
			checkPrograms(t, ops)
		}
	})
}

// The replay loop reads all instructions of a trace, so their size is frozen; and they may be moved
// out of the Go heap, so they must not hold pointers.
func TestInstructionsAreSmallAndFreeOfPointers(t *testing.T) {
	if size := reflect.TypeFor[instr]().Size(); size > 24 {
		t.Errorf("an instruction has %d bytes, want 24 at most", size)
	}
	if _, err := galloc.MakeSlice[instr](galloc.System, 0); err != nil {
		t.Error(err)
	}
}

func BenchmarkCompile(b *testing.B) {
	const events = 100_000
	ops := randomOps(rand.New(rand.NewPCG(1, 2)), events, 4)
	var text bytes.Buffer
	w := trace.NewWriter(&text)
	for _, op := range ops {
		if err := w.Write(op); err != nil {
			b.Fatal(err)
		}
	}
	w.Close()
	for _, mode := range []struct {
		name    string
		compile func(src trace.Source) error
	}{
		{"one", func(src trace.Source) error { _, err := Compile("", src); return err }},
		{"each", func(src trace.Source) error { _, err := CompileThreads("", src); return err }},
	} {
		for _, from := range []string{"events", "text"} {
			b.Run("threads="+mode.name+"/from="+from, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					var src trace.Source = &opSource{ops}
					if from == "text" {
						src, _ = trace.NewReader(bytes.NewReader(text.Bytes()))
					}
					if err := mode.compile(src); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(events*float64(b.N)/b.Elapsed().Seconds()/1e6, "Mevents/s")
			})
		}
	}
}

func layoutOf(size, align uintptr) galloc.Layout {
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		panic(err)
	}
	return l
}
