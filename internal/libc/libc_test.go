package libc

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"unsafe"
)

// A testBlock is a block that the test has allocated. Its bytes have a pattern made from seed.
type testBlock struct {
	p           unsafe.Pointer
	size, align uintptr
	seed        byte
}

// bytesAt returns the n bytes at p.
func bytesAt(p unsafe.Pointer, n uintptr) []byte {
	return unsafe.Slice((*byte)(p), n)
}

// fill writes the pattern of seed, which has no zeros and differs from the patterns of nearby seeds
// in every byte.
func fill(b []byte, seed byte) {
	for i := range b {
		b[i] = (byte(i>>6)*3 + seed) | 1
	}
}

// filled returns the length of the prefix that is as fill wrote it.
func filled(b []byte, seed byte) int {
	for i := range b {
		if b[i] != (byte(i>>6)*3+seed)|1 {
			return i
		}
	}
	return len(b)
}

// zeros returns the number of zero bytes at the start.
func zeros(b []byte) int {
	return len(b) - len(bytes.TrimLeft(b, "\x00"))
}

// makeBlock allocates a block, checks what Alloc promises, and fills it.
func makeBlock(size, align uintptr, seed byte, zeroed bool) (testBlock, error) {
	var p unsafe.Pointer
	if zeroed {
		p = AllocZeroed(size, align)
	} else {
		p = Alloc(size, align)
	}
	b := testBlock{p, size, align, seed}
	switch {
	case p == nil:
		return b, fmt.Errorf("size %d, align %d: no memory", size, align)
	case uintptr(p)&(align-1) != 0:
		return b, fmt.Errorf("size %d, align %d: address %#x", size, align, uintptr(p))
	case zeroed && zeros(bytesAt(p, size)) != int(size):
		return b, fmt.Errorf("size %d, align %d: byte %d of a zeroed block is not zero",
			size, align, zeros(bytesAt(p, size)))
	}
	fill(bytesAt(p, size), seed)
	return b, nil
}

// newBlock is makeBlock for the goroutine of the test.
func newBlock(t testing.TB, size, align uintptr, seed byte, zeroed bool) testBlock {
	t.Helper()
	b, err := makeBlock(size, align, seed, zeroed)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// check returns an error if the first n bytes have changed.
func (b testBlock) check(n uintptr) error {
	if at := filled(bytesAt(b.p, n), b.seed); at != int(n) {
		return fmt.Errorf("size %d, align %d: byte %d has changed", b.size, b.align, at)
	}
	return nil
}

// resize reallocates, and checks what Realloc promises.
func (b *testBlock) resize(size uintptr) error {
	p := Realloc(b.p, b.size, b.align, size)
	if p == nil || uintptr(p)&(b.align-1) != 0 {
		return fmt.Errorf("Realloc from %d to %d, align %d: %#x", b.size, size, b.align, uintptr(p))
	}
	kept := min(b.size, size)
	b.p, b.size = p, size
	if err := b.check(kept); err != nil {
		return fmt.Errorf("after Realloc: %w", err)
	}
	b.seed += 50
	fill(bytesAt(p, size), b.seed)
	return nil
}

// close checks and frees the block.
func (b testBlock) close() error {
	err := b.check(b.size)
	b.free()
	return err
}

func (b testBlock) free() { Free(b.p, b.size, b.align) }

// sizes are the sizes at which allocators change their behavior: quarters between powers of two,
// one less and one more.
var sizes = func() (s []uintptr) {
	for power := uintptr(4); power <= 256<<10; power <<= 1 {
		for quarter := range uintptr(4) {
			at := power + quarter*power/4
			s = append(s, at-1, at, at+1)
		}
	}
	s = append(s, 1, 2)
	slices.Sort(s)
	return slices.Compact(s)
}()

func TestBlocksAreAlignedDisjointAndKeepTheirContents(t *testing.T) {
	var live []testBlock
	for align := uintptr(1); align <= 64<<10; align <<= 1 {
		for i, size := range sizes {
			if size > 64<<10 && align > 16 && align < 4096 {
				continue // as for other alignments, and much memory
			}
			live = append(live, newBlock(t, size, align, byte(len(live)), i%3 == 0))
		}
	}
	slices.SortFunc(live, func(a, b testBlock) int {
		if uintptr(a.p) < uintptr(b.p) {
			return -1
		}
		return 1
	})
	for i, b := range live {
		if i > 0 && uintptr(live[i-1].p)+live[i-1].size > uintptr(b.p) {
			t.Fatalf("%+v overlaps %+v", live[i-1], b)
		}
		if err := b.check(b.size); err != nil {
			t.Fatal(err)
		}
	}
	// Free every second block, and allocate others in the gaps.
	for i := 0; i < len(live); i += 2 {
		live[i].free()
	}
	for i := 0; i < len(live); i += 2 {
		live[i] = newBlock(t, live[i].size, live[i].align, live[i].seed+100, i%4 == 0)
	}
	for _, b := range live {
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestZeroedBlocksAreZeroAfterReuse(t *testing.T) {
	for _, size := range append([]uintptr{1 << 20, 1<<20 + 1}, sizes...) {
		for _, align := range []uintptr{8, 64, 4096} {
			newBlock(t, size, align, 1, false).free()
			newBlock(t, size, align, 2, true).free()
		}
	}
}

func TestReallocKeepsContentsAndAlignment(t *testing.T) {
	to := append([]uintptr{1 << 20, 1<<20 + 7}, sizes...)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, align := range []uintptr{1, 8, 16, 32, 64, 4096, 64 << 10} {
		b := newBlock(t, 1, align, 0, false)
		for range 150 {
			if err := b.resize(to[rnd.IntN(len(to))]); err != nil {
				t.Fatal(err)
			}
		}
		b.free()
	}
}

// Several goroutines allocate, resize and free at random, and some blocks pass from one to another.
func TestRandomUseByManyGoroutines(t *testing.T) {
	const workers = 6
	steps := 20000
	if testing.Short() || runtime.GOARCH == "wasm" {
		steps = 4000
	}
	pass := make(chan testBlock, workers*16)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			if err := useAtRandom(rand.New(rand.NewPCG(uint64(w), 7)), steps, pass); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(pass)
	for b := range pass {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	}
}

// useAtRandom is one goroutine of TestRandomUseByManyGoroutines.
func useAtRandom(rnd *rand.Rand, steps int, pass chan testBlock) error {
	var live []testBlock
	remove := func(i int) testBlock {
		b := live[i]
		live[i] = live[len(live)-1]
		live = live[:len(live)-1]
		return b
	}
	for step := range steps {
		var err error
		switch k := rnd.IntN(8); {
		case len(live) < 32 || k < 3 && len(live) < 300:
			size := 1 + uintptr(rnd.UintN(1<<(1+rnd.UintN(13))))
			if rnd.IntN(64) == 0 {
				size <<= 7
			}
			var b testBlock
			b, err = makeBlock(size, 1<<rnd.UintN(9), byte(step), k == 0)
			live = append(live, b)
		case k == 3:
			b := &live[rnd.IntN(len(live))]
			err = b.resize(1 + uintptr(rnd.UintN(2*uint(min(b.size, 1<<20)))))
		case k == 4:
			select {
			case pass <- live[0]:
				remove(0)
			case b := <-pass:
				err = b.close()
			}
		default:
			err = remove(rnd.IntN(len(live))).close()
		}
		if err != nil {
			return err
		}
	}
	for _, b := range live {
		if err := b.close(); err != nil {
			return err
		}
	}
	return nil
}

func TestHugeSizesFailAndTheAllocatorGoesOn(t *testing.T) {
	b := newBlock(t, 100, 8, 1, false)
	large := newBlock(t, 100<<10, 8, 2, false)
	for _, c := range []struct{ size, align uintptr }{
		{math.MaxInt, 1},
		{math.MaxInt - 15, 16},
		{math.MaxInt - 63, 64},
		{math.MaxInt - 4095, 4096},
		{math.MaxInt/2 + 1, math.MaxInt/2 + 1},
		{1, math.MaxInt/2 + 1},
		{math.MaxInt - 1<<20, 1},
	} {
		for range 3 {
			for _, p := range []unsafe.Pointer{Alloc(c.size, c.align), AllocZeroed(c.size, c.align)} {
				if p != nil && math.MaxInt > math.MaxInt32 {
					t.Fatalf("size %#x, align %#x: %#x", c.size, c.align, uintptr(p))
				} else if p != nil {
					// A 32-bit program under a 64-bit kernel can use nearly all its addresses.
					Free(p, c.size, c.align)
				}
			}
		}
		if c.align <= 8 && c.size > math.MaxInt-4096 {
			if Realloc(b.p, b.size, b.align, c.size) != nil ||
				Realloc(large.p, large.size, large.align, c.size) != nil {
				t.Fatalf("Realloc to size %#x succeeded", c.size)
			}
		}
		newBlock(t, 1<<20, 64, 3, true).free()
	}
	if err := errors.Join(b.close(), large.close()); err != nil {
		t.Error(err)
	}
}

func TestNothingIsAllocatedInGoMemory(t *testing.T) {
	for _, c := range []struct{ size, align uintptr }{
		{1, 1}, {64, 8}, {64, 64}, {4096, 4096}, {40 << 10, 8}, {300 << 10, 64},
	} {
		n := testing.AllocsPerRun(200, func() {
			p := Alloc(c.size, c.align)
			p = Realloc(p, c.size, c.align, c.size+c.size/2+1)
			p = Realloc(p, c.size+c.size/2+1, c.align, c.size)
			q := AllocZeroed(c.size, c.align)
			Free(p, c.size, c.align)
			Free(q, c.size, c.align)
		})
		if n != 0 {
			t.Errorf("size %d, align %d: %v Go allocations", c.size, c.align, n)
		}
	}
}

func TestAbort(t *testing.T) {
	const variable = "GALLOC_LIBC_TEST_ABORT"
	if os.Getenv(variable) != "" {
		defer println("deferred function")
		Abort()
		println("Abort has returned")
		os.Exit(0)
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	child := exec.Command(self, "-test.run=^TestAbort$")
	child.Env = append(os.Environ(), variable+"=1")
	output, err := child.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
	case err == nil:
		t.Fatalf("the child exited with status 0: %s", output)
	default:
		t.Skip(err) // no processes on this system
	}
	want, silent := "exit status 2", false
	switch runtime.GOOS {
	case "linux", "android":
		want, silent = "signal: aborted", true
	case "windows":
		want, silent = "exit status 3", true
	case "plan9":
		want, silent = "134", true
	}
	if got := exit.String(); got != want && got != want+" (core dumped)" {
		t.Errorf("the child ended with %q, want %q", got, want)
	}
	if silent && len(output) != 0 {
		t.Errorf("the child wrote %q", output)
	}
}
