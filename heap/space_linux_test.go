package heap_test

import (
	"fmt"
	"runtime"
	"syscall" //nolint:depguard // for limits on child processes of the test
	"testing"
	"time"

	"github.com/galloc-go/galloc/heap"
)

// These tests limit what the system grants a child process, before it uses memory.

var spaceLimits = []struct {
	resource int
	size     uint64 // MiB
}{
	{syscall.RLIMIT_AS, 2048},
	{syscall.RLIMIT_AS, 3072},
	{syscall.RLIMIT_AS, 4096},
	{syscall.RLIMIT_DATA, 768},
}

func init() {
	for i, c := range spaceLimits {
		children[fmt.Sprint("space limit ", i)] = func() { sharedSpace(c.resource, c.size) }
	}
}

// sharedSpace uses 300 MiB of blocks from heaps, and lets the Go heap grow before, meanwhile and
// after.
func sharedSpace(resource int, size uint64) {
	limit := syscall.Rlimit{Cur: size * mib, Max: size * mib}
	if err := syscall.Setrlimit(resource, &limit); err != nil {
		die("Setrlimit: %v", err)
	}
	other, err := heap.New(heap.Options{})
	if err != nil {
		die("%v", err)
	}
	var garbage, live [][]byte
	use := func(n int) {
		for range n {
			live = append(live, make([]byte, mib))
			garbage = append(garbage[:0], make([]byte, 3*mib))
		}
	}
	use(int(min(size/64, 40) - 20))
	for i := range 300 * 4 {
		h := heap.Default()
		if i%4 == 0 {
			h = other
		}
		size := uintptr(256 << 10)
		if i%3 == 0 {
			size = 16 << 10
		}
		for n := uintptr(0); n < 256<<10; n += size {
			p := h.Alloc(layout(size, 8))
			if p == nil {
				die("no memory for %d bytes after %d MiB", size, i/4)
			}
			fill(view(p, size), byte(i))
		}
		if i%24 == 0 {
			use(1)
		}
	}
	for range 4 { // threads
		go func() { _ = syscall.Nanosleep(&syscall.Timespec{Nsec: 3e8}, nil) }()
	}
	use(int(min(size/64, 40) - 20))
	time.Sleep(100 * time.Millisecond)
	runtime.KeepAlive([][][]byte{live, garbage})
	fmt.Printf("reserved: %d and %d MiB\n", heap.Default().Stats().Reserved/mib, other.Stats().Reserved/mib)
}

func TestTheProgramKeepsMostOfALimitedAddressSpace(t *testing.T) {
	needPages(t)
	t.Setenv("MALLOC_ARENA_MAX", "1") // C's malloc takes 128 MiB per thread otherwise
	runs := 5
	if testing.Short() {
		runs = 1
	}
	for i, c := range spaceLimits {
		for range runs {
			t.Logf("resource %d, %d MiB", c.resource, c.size)
			runChild(t, fmt.Sprint("space limit ", i)).mustPass(t)
		}
	}
}
