package replay

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/trace"
)

func written(t testing.TB, p io.WriterTo) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := p.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("%d of %d bytes written, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// sameCode compares what the threads do; that a slice is nil or empty is no difference.
func sameCode(t *testing.T, got, want []code) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d threads, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].slots != want[i].slots || !slices.Equal(got[i].instrs, want[i].instrs) ||
			!slices.Equal(got[i].survivors, want[i].survivors) {
			t.Fatalf("thread %d differs", i)
		}
	}
}

// readBack writes both programs of the events of open, and checks that what is read again is the
// same.
func readBack(t *testing.T, open func() trace.Source) (*Program, *ThreadProgram) {
	t.Helper()
	p, err := Compile("name", open())
	q, errThreads := CompileThreads("name", open())
	if err = errors.Join(err, errThreads); err != nil {
		t.Fatal(err)
	}
	file, fileThreads := written(t, p), written(t, q)
	p2, err := ReadProgram(bytes.NewReader(file))
	q2, errThreads := ReadThreadProgram(iotest.HalfReader(bytes.NewReader(fileThreads)))
	if err = errors.Join(err, errThreads); err != nil {
		t.Fatal(err)
	}
	want, wantThreads := p.Summary, q.Summary
	want.Name, want.Threads = "", min(want.Threads, 1)
	wantThreads.Name, wantThreads.PeakObjects, wantThreads.PeakLiveBytes = "", 0, 0
	if p2.Summary != want || p2.Slots != p.Slots {
		t.Fatalf("got  %+v, %d slots\nwant %+v, %d", p2.Summary, p2.Slots, want, p.Slots)
	}
	if q2.Summary != wantThreads || q2.SharedSlots != q.SharedSlots {
		t.Fatalf("got  %+v, %d shared slots\nwant %+v, %d", q2.Summary, q2.SharedSlots, wantThreads, q.SharedSlots)
	}
	sameCode(t, []code{p2.code}, []code{p.code})
	sameCode(t, q2.threads, q.threads)

	return p2, q2
}

// events returns how to read ops, as often as is wanted.
func events(ops []trace.Op) func() trace.Source {
	return func() trace.Source { return &opSource{ops} }
}

// checkBoth replays programs with every byte checked.
func checkBoth(t *testing.T, p *Program, q *ThreadProgram) {
	t.Helper()
	r, err := NewReplay(p)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := NewThreadReplay(q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, check := range []func(galloc.Allocator) (uint64, error){r.Check, s.Check} {
		if n, err := check(galloc.System); err != nil || p.TotalBytes > 0 && n == 0 {
			t.Errorf("%d bytes compared, %v", n, err)
		}
	}
}

func TestProgramsAreReadAsTheyWereWritten(t *testing.T) {
	readBack(t, events(nil))
	ops, err := readAll(strings.NewReader(goodTrace))
	if err != nil {
		t.Fatal(err)
	}
	readBack(t, events(ops))
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		readBack(t, events(smallSizes(randomOps(rng, rng.IntN(1<<rng.IntN(14)), 1+rng.IntN(6)))))
	}
	p, q := readBack(t, events(smallSizes(randomOps(rand.New(rand.NewPCG(1, 3)), 20_000, 5))))
	checkBoth(t, p, q)
}

// smallSizes changes the events so that each block can be allocated.
func smallSizes(ops []trace.Op) []trace.Op {
	for i := range ops {
		ops[i].Size %= 5000
		if ops[i].Align > 1<<13 {
			ops[i].Align = 1 << 13
		}
	}
	return ops
}

func TestShippedTracesAreReadAsTheyWereWritten(t *testing.T) {
	for _, file := range Shipped(t) {
		readBack(t, func() trace.Source {
			src, err := trace.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { src.Close() })
			return Some(src)
		})
	}
}

// Shipped returns the paths of the traces that come with the command galloc. The command is a
// separate module, so they are missing where only the library was downloaded.
func Shipped(t *testing.T) []string {
	t.Helper()
	const command = "../../cmd/galloc"
	if _, err := os.Stat(command); errors.Is(err, fs.ErrNotExist) {
		t.Skip("this is not a checkout of the repository: the traces are in the command's module")
	}
	files, err := filepath.Glob(command + "/traces/*.trace.gz")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	return files
}

func TestWhichFunctionReadsWhichFile(t *testing.T) {
	files := smallFiles(t)
	p, err := ReadProgram(bytes.NewReader(files[0]))
	q, errThreads := ReadThreadProgram(bytes.NewReader(files[0]))
	if err != nil || errThreads != nil || q.Threads != 1 {
		t.Fatal(err, errThreads, q)
	}
	sameCode(t, q.threads, []code{p.code})
	if _, err := ReadProgram(bytes.NewReader(files[1])); err == nil ||
		!strings.Contains(err.Error(), "2 threads: use ReadThreadProgram") {
		t.Errorf("ReadProgram of two threads: %v", err)
	}
	if _, err := ReadProgram(strings.NewReader(goodTrace)); err == nil ||
		!strings.Contains(err.Error(), "it begins with") {
		t.Errorf("ReadProgram of a trace: %v", err)
	}
}

// smallFiles are the program files of a trace with all there is in one.
func smallFiles(t testing.TB) [][]byte {
	ops, err := readAll(strings.NewReader(goodTrace))
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile("", &opSource{ops})
	q, errThreads := CompileThreads("", &opSource{ops})
	if err = errors.Join(err, errThreads); err != nil {
		t.Fatal(err)
	}
	return [][]byte{written(t, p), written(t, q)}
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, file := range smallFiles(t) {
		for n := range file {
			if _, err := ReadThreadProgram(bytes.NewReader(file[:n])); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%d of %d bytes: %v", n, len(file), err)
			}
		}
		if _, err := ReadThreadProgram(bytes.NewReader(append(slices.Clone(file), 0))); err == nil ||
			!strings.Contains(err.Error(), "goes on after its end") {
			t.Errorf("a byte more: %v", err)
		}
		broken := errors.New("broken")
		for _, n := range []int{0, 20, 45, len(file) - 10, len(file)} {
			src := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))
			if _, err := ReadThreadProgram(src); !errors.Is(err, broken) {
				t.Errorf("a source that fails after %d bytes: %v", n, err)
			}
		}
	}
}

// checkFile checks that a file is refused with an error, or has a program that can be replayed.
func checkFile(t *testing.T, file []byte) (valid bool) {
	t.Helper()
	q, err := ReadThreadProgram(bytes.NewReader(file))
	p, errOne := ReadProgram(bytes.NewReader(file))
	if err != nil {
		if p != nil || errOne == nil || len(err.Error()) < len("program file: ")+5 {
			t.Fatalf("ReadThreadProgram: %v\nReadProgram: %v", err, errOne)
		}
		return false
	}
	if got := written(t, q); !bytes.Equal(got, file) {
		t.Fatalf("read, and written as\n%x\nwant\n%x", got, file)
	}
	small := q.TotalBytes < 1<<20
	for _, c := range q.threads {
		small = small && len(c.instrs) < 1000 &&
			!slices.ContainsFunc(c.instrs,
				func(in instr) bool { return in.layout.Align() > 1<<16 || in.layout.Size() > 1<<20 })
	}
	if !small || len(q.threads) > 100 {
		return true
	}
	s, err := NewThreadReplay(q)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Check(galloc.System); err != nil {
		t.Fatal(err)
	}
	if p == nil && len(q.threads) == 1 || p != nil && len(q.threads) != 1 {
		t.Fatalf("%d threads; ReadProgram: %v", len(q.threads), errOne)
	}
	if p != nil {
		checkBoth(t, p, q)
	}
	return true
}

func TestEveryChangedByteIsRefusedOrGivesAProgram(t *testing.T) {
	for _, file := range smallFiles(t) {
		valid := 0
		for i := range file {
			for bit := range 8 {
				damaged := slices.Clone(file)
				damaged[i] ^= 1 << bit
				if checkFile(t, damaged) {
					valid++
				}
			}
		}
		// An allocation may just as well be zeroed, and some things are said once only.
		if valid == 0 || valid > len(file)/10 {
			t.Errorf("%d of %d changes give a program", valid, 8*len(file))
		}
	}
}

func TestProgramsThatWouldGoWrongAreRefused(t *testing.T) {
	l, m := layoutOf(24, 8), layoutOf(40, 8)
	alloc := func(slot uint32) instr { return instr{layout: l, slot: slot} }
	free := func(slot uint32) instr { return instr{layout: l, slot: slot, op: opFree} }
	share := func(in instr) instr { in.shared = true; return in }
	thread := func(slots int, instrs ...instr) code { return code{slots: slots, instrs: instrs} }
	left := func(c code, s ...survivor) code { c.survivors = s; return c }
	for _, c := range []struct {
		want   string // "" if it is accepted
		sum    Summary
		shared int
		codes  []code
	}{
		{"", Summary{Events: 2, MaxSize: 24}, 0, []code{thread(1, alloc(0), free(0))}},
		{"", Summary{Events: 1, MaxSize: 24}, 0, []code{left(thread(1, alloc(0)), survivor{l, 0})}},
		{"", Summary{Events: 2, MaxSize: 24}, 1, []code{thread(0, share(free(0))), thread(0, share(alloc(0)))}},
		{"3 events and a largest object of 24 bytes, but it has 2", Summary{Events: 3, MaxSize: 24}, 0, []code{thread(1, alloc(0), free(0))}},
		{"largest object of 23 bytes", Summary{Events: 2, MaxSize: 23}, 0, []code{thread(1, alloc(0), free(0))}},
		{"slot 1 of 1", Summary{}, 0, []code{thread(1, alloc(1))}},
		{"slot 0 of 0", Summary{}, 0, []code{thread(0, share(alloc(0)))}},
		{"not several threads", Summary{}, 1, []code{thread(0, share(alloc(0)))}},
		{"share 2 slots, but fill 1", Summary{}, 2, []code{thread(0, share(alloc(0))), thread(0, share(free(0)))}},
		{"2 slots, 1 births, 0 survivors", Summary{}, 0, []code{thread(2, alloc(0), free(0))}},
		{"2 slots, but at most 1 objects", Summary{Events: 4, MaxSize: 24}, 0, []code{thread(2, alloc(0), free(0), alloc(1), free(1))}},
		{"which is full", Summary{}, 0, []code{thread(1, alloc(0), alloc(0))}},
		{"slot 0, which is empty", Summary{}, 0, []code{thread(1, free(0), alloc(0))}},
		{"slot 0, which is empty", Summary{}, 0, []code{thread(1, alloc(0), free(0), free(0))}},
		{"free of Layout(size 40, align 8 = 1<<3), but in slot 0 is Layout(size 24", Summary{}, 0, []code{thread(1, alloc(0), instr{layout: m, op: opFree})}},
		{"the second half of a realloc", Summary{}, 0, []code{thread(1, instr{layout: l, op: opInto})}},
		{"the second half of a realloc", Summary{}, 0, []code{thread(1, alloc(0), free(0), instr{layout: l, op: opInto})}},
		{"a realloc must be followed by its second half", Summary{}, 0, []code{thread(1, alloc(0), instr{layout: l, op: opRealloc})}},
		{"a realloc must be followed by its second half", Summary{}, 0, []code{thread(1, alloc(0), instr{layout: l, op: opRealloc}, alloc(0))}},
		{"with the same alignment", Summary{}, 0, []code{thread(1, alloc(0), instr{layout: l, op: opRealloc}, instr{layout: layoutOf(40, 16), op: opInto})}},
		{"instruction 2: operation 5", Summary{}, 0, []code{thread(1, alloc(0), instr{layout: l, op: opInto + 1})}},
		{"its survivors", Summary{}, 0, []code{thread(1, alloc(0))}},
		{"its survivors", Summary{}, 0, []code{left(thread(1, alloc(0)), survivor{m, 0})}},
		{"its survivors", Summary{}, 0, []code{left(thread(2, alloc(0), alloc(1)), survivor{l, 1}, survivor{l, 0})}},
		{"nothing is left", Summary{}, 0, []code{left(thread(1, alloc(0), free(0)), survivor{l, 0})}},
		{"survivor 1: slot 1 of 1", Summary{}, 0, []code{left(thread(1, alloc(0)), survivor{l, 1})}},
		{"2 survivors", Summary{}, 0, []code{left(thread(1, alloc(0)), survivor{l, 0}, survivor{l, 0})}},
		{"shared slot 0 is also emptied by thread", Summary{}, 1, []code{thread(0, share(free(0)), share(alloc(0))), thread(0, share(free(0)))}},
		{"has been", Summary{}, 1, []code{thread(0, share(alloc(0)), share(alloc(0))), thread(0, share(free(0)))}},
		{"slot 0, which is empty", Summary{}, 1, []code{thread(0, share(alloc(0)), share(free(0))), thread(0, share(free(0)))}},
		{"shared slot 0 is not both filled and emptied", Summary{}, 1, []code{thread(0, share(alloc(0))), thread(1, alloc(0), free(0))}},
		{
			"thread 0, instruction 1: it would wait forever for a block in shared slot 1",
			Summary{},
			2,
			[]code{thread(0, share(free(1)), share(alloc(0))), thread(0, share(free(0)), share(alloc(1)))},
		},
	} {
		var file bytes.Buffer
		if _, err := writeProgram(&file, c.sum, c.shared, c.codes); err != nil {
			t.Fatal(err)
		}
		_, err := ReadThreadProgram(&file)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant %q", err, c.want)
		}
	}
}

func TestBlocksThatNoPlatformCanHoldAreRefusedInFiles(t *testing.T) {
	l := layoutOf(math.MaxInt-15, 16)
	two := code{
		slots: 2, instrs: []instr{{layout: l}, {layout: l, slot: 1}},
		survivors: []survivor{{l, 0}, {l, 1}},
	}
	freed := code{
		slots:  2,
		instrs: append(two.instrs[:2:2], instr{layout: l, op: opFree}, instr{layout: l, op: opFree, slot: 1}),
	}
	for _, codes := range [][]code{{two}, {two, {}}, {freed}} {
		var file bytes.Buffer
		if _, err := writeProgram(&file, Summary{Events: 2, MaxSize: uint64(l.Size())}, 0, codes); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadThreadProgram(&file); err == nil ||
			!strings.Contains(err.Error(), "over the limit of this platform") {
			t.Errorf("%d threads: %v", len(codes), err)
		}
	}
	file := smallFiles(t)[0]
	for _, damage := range []func(instr []byte){
		func(in []byte) { binary.LittleEndian.PutUint64(in, math.MaxUint64) },
		func(in []byte) { in[8] = 63 },
		func(in []byte) { in[8] = 64 },
		func(in []byte) { in[8] = 255 },
	} {
		damaged := slices.Clone(file)
		damage(damaged[56:])
		if _, err := ReadProgram(bytes.NewReader(damaged)); err == nil ||
			!strings.Contains(err.Error(), "instruction 1: ") {
			t.Errorf("%v", err)
		}
	}
}

func TestAHeadThatLiesCostsNoMemory(t *testing.T) {
	le := binary.LittleEndian
	most := func(threads uint32) []byte {
		b := le.AppendUint32([]byte(programMagic), threads)
		b = le.AppendUint32(b, (threads-1)&math.MaxUint32)
		b = le.AppendUint64(le.AppendUint64(b, math.MaxUint64), math.MaxUint64)
		for range min(threads, 2) {
			b = le.AppendUint64(le.AppendUint32(le.AppendUint32(b, math.MaxUint32), math.MaxUint32), math.MaxUint64)
		}
		return b
	}
	for _, threads := range []uint32{1, 2, math.MaxUint32} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadThreadProgram(bytes.NewReader(most(threads)))
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, io.ErrUnexpectedEOF) || used > 4<<20 {
			t.Errorf("%d threads: %d bytes used, %v", threads, used, err)
		}
	}
}

// FuzzReadProgram reads any input as a program file.
func FuzzReadProgram(f *testing.F) {
	for _, file := range smallFiles(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) { checkFile(t, file) })
}
