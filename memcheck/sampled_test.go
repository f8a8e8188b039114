package memcheck_test

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
	"github.com/galloc-go/galloc/internal/percpu"
	"github.com/galloc-go/galloc/memcheck"
)

// A sampled heap that is registered as the global allocator keeps its fast path. A program can
// register once, so each of these tests runs in a separate process.

const sampledVar = "GALLOC_TEST_SAMPLED"

// least is the smallest Sample with which a heap keeps its fast path.
const least = 4096

var sampledTests = map[string]func(t *testing.T){
	"rate":          sampledRate,
	"one at a time": sampledOneAtATime,
	"misuse":        sampledMisuse,
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

// register makes a sampled heap the global allocator. The handler is called for each misuse.
func register(t *testing.T, handler func(*memcheck.Report), o memcheck.Options) (*memcheck.Checker, *heap.Heap) {
	t.Helper()
	h, err := heap.New(heap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o.Sample, o.OnMisuse = least, handler
	d := memcheck.New(h, o)
	galloc.RegisterGlobal(d)
	if name := galloc.DescribeGlobal(); !strings.HasPrefix(name, "memcheck(") {
		t.Errorf("DescribeGlobal says %s", name)
	}
	return d, h
}

func unexpected(t *testing.T) func(*memcheck.Report) {
	return func(r *memcheck.Report) { t.Errorf("%v", r) }
}

func picked(d *memcheck.Checker) (n int) {
	for _, l := range d.Leaks(0) {
		n += l.Blocks
	}
	return n
}

// Blocks from the cache count too.
func sampledRate(t *testing.T) {
	d, _ := register(t, unexpected(t), memcheck.Options{StackDepth: -1, GuardLimit: 1000})
	const expected = 100
	l := layout(24, 8)
	for range expected * least {
		galloc.Alloc(l)
	}
	// The lower bound is six standard deviations away. The upper bound is further, since one more
	// is picked every 10 ms.
	if n := picked(d); n < expected*4/10 || n > expected*2 {
		t.Errorf("%d of %d blocks were picked, and one in %d was wanted", n, expected*least, least)
	}
}

// Misuse is found even if the cache is never empty, but seldom.
func sampledOneAtATime(t *testing.T) {
	found, blocks := 0, 0
	d, _ := register(t, func(r *memcheck.Report) { found++ }, memcheck.Options{Guard: memcheck.GuardStart})
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

// take calls alloc until a block is picked, and returns that block. It frees the others.
func take(d *memcheck.Checker, l galloc.Layout, alloc func() unsafe.Pointer) unsafe.Pointer {
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

func sampledMisuse(t *testing.T) {
	var kinds []memcheck.Kind
	note := func(r *memcheck.Report) { kinds = append(kinds, r.Kind) }
	d, h := register(t, note, memcheck.Options{Guard: memcheck.GuardStart})
	expect := func(what string, want ...memcheck.Kind) {
		t.Helper()
		if !slices.Equal(kinds, want) {
			t.Errorf("%s: %v reported, want %v", what, kinds, want)
		}
		kinds = nil
	}
	for _, size := range []uintptr{20, 3000, 100_000} { // the last has no class
		l := layout(size, 4)
		usable := size // as a wrapper has it
		if percpu.Limit() != 0 {
			usable = h.UsableSize(l)
		}
		if galloc.Global.GoodSize(l) != usable {
			t.Errorf("%v has room for %d bytes", l, galloc.Global.GoodSize(l))
		}
		plain := galloc.Alloc(l)
		for n := picked(d); n != 0; n = picked(d) { // by chance
			galloc.Dealloc(plain, l)
			plain = galloc.Alloc(l)
		}
		if !galloc.Global.Resize(plain, l, size-1) || galloc.Realloc(plain, layout(size-1, 4), size) != plain {
			t.Error("what the heap can do in place, it cannot any more")
		}
		galloc.Dealloc(plain, l)
		alloc := func() unsafe.Pointer { return galloc.Alloc(l) }
		p := take(d, l, alloc)
		galloc.Dealloc(p, layout(size+1, 4))
		expect("wrong size", memcheck.WrongLayout)
		if galloc.Global.Resize(p, l, size+1) || galloc.Global.Resize(p, l, size-1) || !galloc.Global.Resize(p, l, size) {
			t.Error("it was resized in place")
		}
		expect("resize")
		if galloc.Global.Resize(p, layout(size+1, 4), size+2) {
			t.Error("a block was resized that is not so large")
		}
		expect("resize with a wrong size", memcheck.WrongLayout)
		galloc.Dealloc(p, l)
		expect("free")
		galloc.Dealloc(p, l)
		expect("double free", memcheck.DoubleFree)
		if galloc.Realloc(p, l, size+1) != nil {
			t.Error("a freed block was reallocated")
		}
		expect("realloc after free", memcheck.UseAfterFree)

		p = take(d, l, alloc)
		*offset(p, int(size)-1) = 77
		q := galloc.Realloc(p, l, size+1) // of the same class
		if q == p || *offset(q, int(size)-1) != 77 {
			t.Error("a picked block was not moved, or not with its bytes")
		}
		expect("realloc")
		galloc.Dealloc(p, l)
		expect("free of the old", memcheck.DoubleFree)
		galloc.Dealloc(q, layout(size+1, 4))
		expect("free of the new")

		p = take(d, l, func() unsafe.Pointer { return galloc.AllocZeroed(l) })
		if b := unsafe.Slice((*byte)(p), size); bytes.Count(b, []byte{0}) != int(size) {
			t.Error("not zeroed")
		}
		*offset(p, int(size)) = 1
		galloc.Dealloc(p, l)
		expect("overflow", memcheck.Overflow)
	}
	if n := picked(d); n != 0 {
		t.Errorf("%d picked blocks are left", n)
	}
}

// Blocks move between goroutines while caches are diverted and resumed, trimmed, and move between
// Ps.
func sampledCrowd(t *testing.T) {
	d, h := register(t, unexpected(t), memcheck.Options{StackDepth: 2})
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
				if n := b.l.Size() / 2; i%7 == 0 && n > 1 && galloc.Global.Resize(b.p, b.l, n) {
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
	if n := picked(d); n != 0 || d.Misuses() != 0 {
		t.Errorf("%d picked blocks are left, %d misuses", n, d.Misuses())
	}
	if d.Mark() == 0 {
		t.Error("nothing was picked")
	}
	if s := h.Stats(); s.Live != 0 {
		t.Errorf("%d bytes are left", s.Live)
	}
}
