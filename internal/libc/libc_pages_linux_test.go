//go:build linux && !race && (galloc_pages || !cgo)

package libc

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The system refuses memory to a child process under a limit of 100 MiB more than it has at its
// start: RLIMIT_AS makes Reserve fail, RLIMIT_DATA makes Commit fail.
func TestRefusalsByTheSystem(t *testing.T) {
	const variable = "GALLOC_LIBC_TEST_LIMIT"
	limits := map[string]int{"AS": unix.RLIMIT_AS, "DATA": unix.RLIMIT_DATA}
	if name := os.Getenv(variable); name != "" {
		useAllBelow(t, limits[name])
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	for name := range limits {
		child := exec.Command(self, "-test.run=^TestRefusalsByTheSystem$", "-test.v")
		child.Env = append(os.Environ(), variable+"="+name)
		if output, err := child.CombinedOutput(); err != nil {
			t.Errorf("RLIMIT_%s: %v\n%s", name, err, output)
		}
	}
}

// useAllBelow allocates until memory runs out and frees everything, twice, with blocks of several
// sizes.
func useAllBelow(t *testing.T, resource int) {
	const room = 100 << 20
	blocks := make([]testBlock, 0, 2*room/(16<<10))
	// The Go heap ends the program if the system refuses it memory. So let it allocate first, and
	// never collect.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	runtime.KeepAlive(make([]byte, 16<<20))
	runtime.GC()

	var limit unix.Rlimit
	if err := unix.Getrlimit(resource, &limit); err != nil {
		t.Fatal(err)
	}
	lower := limit
	lower.Cur = inUse(t, resource) + room
	if err := unix.Setrlimit(resource, &lower); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(resource, &limit)
	// Runs come before classes, since classes keep their spans.
	for _, size := range []uintptr{3 << 20, 40 << 10, 7 << 20, 16 << 10, 16 << 10} {
		var sum uintptr
		for {
			p := Alloc(size, 8)
			if p == nil {
				break
			}
			if len(blocks) == cap(blocks) {
				t.Fatalf("the limit does not work: %d blocks of %d bytes", len(blocks), size)
			}
			fill(bytesAt(p, size), byte(len(blocks)))
			blocks = append(blocks, testBlock{p, size, 8, byte(len(blocks))})
			sum += size
		}
		t.Logf("%d bytes in blocks of %d", sum, size)
		if sum < room*3/4 {
			t.Errorf("%d bytes in blocks of %d, want nearly %d", sum, size, room)
		}
		first := &blocks[0]
		if p := Realloc(first.p, first.size, first.align, room); p != nil {
			t.Errorf("Realloc to all of the room succeeded: %#x", uintptr(p))
		}
		// A failure costs nothing: its reservation is released.
		addresses, extents := inUse(t, unix.RLIMIT_AS), len(large.extents)
		for range 16 {
			if p := AllocZeroed(room, 64); p != nil {
				t.Errorf("AllocZeroed of all of the room succeeded: %#x", uintptr(p))
			}
		}
		if got := inUse(t, unix.RLIMIT_AS); got > addresses+room || len(large.extents) != extents {
			t.Errorf("address space grew from %d to %d bytes, extents from %d to %d",
				addresses, got, extents, len(large.extents))
		}
		for _, b := range blocks {
			if err := b.close(); err != nil {
				t.Fatal(err)
			}
		}
		blocks = blocks[:0]
		spans := uintptr(0)
		for c := range small {
			spans += spansOf(&small[c], classSize(c)) * spanSize
		}
		if err := large.checkInvariants(spans); err != nil {
			t.Fatal(err)
		}
	}
}

// spansOf returns the number of spans that a class has, all of whose blocks are free.
func spansOf(c *class, size uintptr) uintptr {
	var blocks uintptr
	for p := c.free; p != nil; p = *(*unsafe.Pointer)(p) {
		blocks++
	}
	if c.span != nil {
		blocks += (spanSize - c.used) / size
	}
	return blocks / (spanSize / size)
}

// inUse returns the bytes that the kernel counts against the limit.
func inUse(t *testing.T, resource int) uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, resident, shared, code, lib, data uint64
	if _, err := fmt.Sscan(string(text), &size, &resident, &shared, &code, &lib, &data); err != nil {
		t.Fatal(err)
	}
	if resource == unix.RLIMIT_DATA {
		size = data
	}
	return size * uint64(os.Getpagesize())
}
