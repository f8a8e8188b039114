package wrap_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/engine"
	"github.com/galloc-go/galloc/wrap"
)

// A heap that is looked after in sampled mode and registered as the global allocator keeps its fast path: package galloc takes it apart.
// Since a program can register but once, each of these tests is a process of its own.

const sampledVar = "GALLOC_TEST_SAMPLED"

// least is the rate from which on that is so; the tests do with it what takes a lower one to be seen.
const least = 4096

var sampledTests = map[string]func(t *testing.T){
	"rate":          sampledRate,
	"one at a time": sampledOneAtATime,
	"mistakes":      sampledMistakes,
	"crowd":         sampledCrowd,
}

func TestSampled(t *testing.T) {
	if name := os.Getenv(sampledVar); name != "" {
		sampledTests[name](t)
		return
	}
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe := galloc.Must(os.Executable())
	for name := range sampledTests {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(exe, "-test.run=^TestSampled$")
			cmd.Env = append(os.Environ(), sampledVar+"="+name)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v:\n%s", err, out)
			}
		})
	}
}

// register makes a sampled heap the global allocator. Its handler is told of mistakes.
func register(t *testing.T, handler func(*wrap.Report), options ...wrap.DebugOption) (wrap.Debugging, *heap.Heap) {
	t.Helper()
	h, err := heap.New(heap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := wrap.Debug(h, append(options, wrap.Sample(least), wrap.OnMistake(handler))...)
	galloc.RegisterGlobal(d.(galloc.GlobalAlloc))
	if name := galloc.GlobalName(); !strings.HasPrefix(name, "debug(") {
		t.Errorf("GlobalName says %s", name)
	}
	return d, h
}

func unexpected(t *testing.T) func(*wrap.Report) { return func(r *wrap.Report) { t.Errorf("%v", r) } }

func picked(d wrap.Debugging) (n int) {
	for _, l := range d.Leaks(0) {
		n += l.Blocks
	}
	return n
}

// Blocks that come out of the cache count too.
func sampledRate(t *testing.T) {
	d, _ := register(t, unexpected(t), wrap.Stacks(0), wrap.GuardLimit(1000))
	const expected = 100
	l := layout(24, 8)
	for range expected * least {
		galloc.Alloc(l)
	}
	if n := picked(d); n < expected*4/10 || n > expected*2 { // six standard deviations; and time passes
		t.Errorf("%d of %d blocks were picked, and one in %d was wanted", n, expected*least, least)
	}
}

// The cache is never empty, and mistakes are found all the same, but only now and then.
func sampledOneAtATime(t *testing.T) {
	found, blocks := 0, 0
	d, _ := register(t, func(r *wrap.Report) { found++ }, wrap.Guard(wrap.AtStart, 0, 0))
	l := layout(20, 4) // the heap's blocks are larger
	for ; found < 20; blocks++ {
		p := galloc.Alloc(l)
		*offset(p, 20) = 1
		galloc.Dealloc(p, l)
	}
	if d.Mark()*100 > uint64(blocks) {
		t.Errorf("%d of %d blocks were picked", d.Mark(), blocks)
	}
}

// take returns a block that was picked, gotten by alloc. Those that were not are freed.
func take(d wrap.Debugging, l galloc.Layout, alloc func() unsafe.Pointer) unsafe.Pointer {
	var others []unsafe.Pointer
	free := func() {
		for _, p := range others {
			galloc.Dealloc(p, l)
		}
		others = others[:0]
	}
	defer free()
	for n := picked(d); ; {
		p := alloc()
		if picked(d) != n {
			return p
		}
		if others = append(others, p); len(others) == 300 {
			free()
		}
	}
}

func sampledMistakes(t *testing.T) {
	var kinds []wrap.MistakeKind
	d, h := register(t, func(r *wrap.Report) { kinds = append(kinds, r.Kind) }, wrap.Guard(wrap.AtStart, 0, 0))
	expect := func(what string, want ...wrap.MistakeKind) {
		t.Helper()
		if !slices.Equal(kinds, want) {
			t.Errorf("%s: %v reported, want %v", what, kinds, want)
		}
		kinds = nil
	}
	for _, size := range []uintptr{20, 3000, 100_000} { // the last has no class
		l := layout(size, 4)
		usable := size // as a wrapper has it
		if engine.SectionLimit() != 0 {
			usable = h.UsableSize(l)
		}
		if galloc.GlobalUsableSize(l) != usable {
			t.Errorf("%v has room for %d bytes", l, galloc.GlobalUsableSize(l))
		}
		plain := galloc.Alloc(l)
		for n := picked(d); n != 0; n = picked(d) { // by chance
			galloc.Dealloc(plain, l)
			plain = galloc.Alloc(l)
		}
		if !galloc.GlobalResize(plain, l, size-1) || galloc.Realloc(plain, layout(size-1, 4), size) != plain {
			t.Error("what the heap can do in place, it cannot any more")
		}
		galloc.Dealloc(plain, l)
		alloc := func() unsafe.Pointer { return galloc.Alloc(l) }
		p := take(d, l, alloc)
		galloc.Dealloc(p, layout(size+1, 4))
		expect("wrong size", wrap.WrongLayout)
		if galloc.GlobalResize(p, l, size+1) || galloc.GlobalResize(p, l, size-1) || !galloc.GlobalResize(p, l, size) {
			t.Error("it was resized in place")
		}
		expect("resize")
		if galloc.GlobalResize(p, layout(size+1, 4), size+2) {
			t.Error("a block was resized that is not so large")
		}
		expect("resize with a wrong size", wrap.WrongLayout)
		galloc.Dealloc(p, l)
		expect("free")
		galloc.Dealloc(p, l)
		expect("double free", wrap.DoubleFree)
		if galloc.Realloc(p, l, size+1) != nil {
			t.Error("a freed block was reallocated")
		}
		expect("realloc after free", wrap.UseAfterFree)

		p = take(d, l, alloc)
		*offset(p, int(size)-1) = 77
		q := galloc.Realloc(p, l, size+1) // of the same class
		if q == p || *offset(q, int(size)-1) != 77 {
			t.Error("a picked block was not moved, or not with its bytes")
		}
		expect("realloc")
		galloc.Dealloc(p, l)
		expect("free of the old", wrap.DoubleFree)
		galloc.Dealloc(q, layout(size+1, 4))
		expect("free of the new")

		p = take(d, l, func() unsafe.Pointer { return galloc.AllocZeroed(l) })
		if b := unsafe.Slice((*byte)(p), size); bytes.Count(b, []byte{0}) != int(size) {
			t.Error("not zeroed")
		}
		*offset(p, int(size)) = 1
		galloc.Dealloc(p, l)
		expect("overflow", wrap.Overflow)
	}
	if n := picked(d); n != 0 {
		t.Errorf("%d picked blocks are left", n)
	}
}

// Blocks go from one goroutine to another while caches are hidden and come back, are emptied, and change their Ps.
func sampledCrowd(t *testing.T) {
	d, h := register(t, unexpected(t), wrap.Stacks(2))
	type block struct {
		p    unsafe.Pointer
		l    galloc.Layout
		mark byte
	}
	rounds := 60_000
	if testing.Short() {
		rounds = 10_000
	}
	passing := make(chan block, 256)
	free := func(b block) {
		if v := *(*byte)(b.p); v != b.mark || *offset(b.p, int(b.l.Size())-1) != b.mark {
			t.Errorf("a block of %v holds %d, not %d", b.l, v, b.mark)
		}
		galloc.Dealloc(b.p, b.l)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(g)))
			for i := range rounds {
				b := block{l: layout(uintptr(1+r.IntN(1<<r.IntN(13))), 1<<r.IntN(5)), mark: byte(r.Uint32())}
				if i%500 == 0 {
					b.l = layout(40_000, 8)
				}
				switch i % 3 {
				case 0:
					b.p = galloc.AllocZeroed(b.l)
					if *offset(b.p, int(b.l.Size())-1) != 0 {
						t.Error("not zeroed")
					}
				case 1:
					b.p = galloc.Alloc(b.l)
				case 2:
					n := layout(b.l.Size()+uintptr(r.IntN(100)), b.l.Align())
					b.p = galloc.Realloc(galloc.Alloc(b.l), b.l, n.Size())
					b.l = n
				}
				*(*byte)(b.p), *offset(b.p, int(b.l.Size())-1) = b.mark, b.mark
				if n := b.l.Size() / 2; i%7 == 0 && n > 1 && galloc.GlobalResize(b.p, b.l, n) {
					b.l = layout(n, b.l.Align())
					*offset(b.p, int(n)-1) = b.mark
				}
				select {
				case passing <- b:
				case other := <-passing:
					free(other)
					free(b)
				}
				if g == 0 && i%1000 == 0 {
					h.Trim()
				}
			}
		})
	}
	wg.Wait()
	for close(passing); ; {
		b, ok := <-passing
		if !ok {
			break
		}
		free(b)
	}
	if n := picked(d); n != 0 || d.Mistakes() != 0 {
		t.Errorf("%d picked blocks are left, %d mistakes", n, d.Mistakes())
	}
	if d.Mark() == 0 {
		t.Error("nothing was picked")
	}
	if s := h.Stats(); s.Live != 0 {
		t.Errorf("%d bytes are left", s.Live)
	}
}
