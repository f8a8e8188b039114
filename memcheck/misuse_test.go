package memcheck_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/memcheck"
)

// A misuseCase is a program that misuses memory, and what the report must say. It includes all that
// Miri and mimalloc-bench expect an allocator to notice.
type misuseCase struct {
	name    string
	options memcheck.Options
	guarded bool // needs pages that crash
	do      func(d *memcheck.Checker)
	kind    memcheck.Kind
	say     string
}

var sink byte

var misuses = []misuseCase{
	// Miri: alloc/deallocate-*, reallocate-*, stack_free, global_system_mixup.
	{
		name: "deallocate bad size", kind: memcheck.WrongLayout,
		say: "free of 0x… as 2 bytes (align 1), but it is the 1-byte block (align 1)",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Alloc(layout(1, 1)), layout(2, 1))
		},
	},
	{
		name: "deallocate bad alignment", kind: memcheck.WrongLayout,
		say: "as 8 bytes (align 2), but it is the 8-byte block (align 1)",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Alloc(layout(8, 1)), layout(8, 2))
		},
	},
	{
		name: "deallocate twice", kind: memcheck.DoubleFree,
		say: "the 1-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(1, 1))
			d.Dealloc(p, layout(1, 1))
			d.Dealloc(p, layout(1, 1))
		},
	},
	{
		name: "reallocate bad size", kind: memcheck.WrongLayout,
		say: "realloc of 0x… as 2 bytes (align 1), but it is the 1-byte",
		do: func(d *memcheck.Checker) {
			d.Realloc(d.Alloc(layout(1, 1)), layout(2, 1), 3)
		},
	},
	{
		name: "use after reallocate", kind: memcheck.UseAfterFree,
		say: "1 byte was written, 5 bytes into the freed 16-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(16, 1))
			d.Realloc(p, layout(16, 1), 16)
			*offset(p, 5) = 1
			d.CheckAll()
		},
	},
	{
		name: "reallocate dangling", kind: memcheck.UseAfterFree,
		say: "realloc of 0x… as 1 byte (align 1): it is the freed 1-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(1, 1))
			d.Dealloc(p, layout(1, 1))
			d.Realloc(p, layout(1, 1), 1)
		},
	},
	{
		name: "free of the stack", kind: memcheck.ForeignFree,
		say: "no block of this allocator is there, or was recently",
		do: func(d *memcheck.Checker) {
			var local [16]byte
			d.Dealloc(unsafe.Pointer(&local), layout(16, 1))
		},
	},
	{
		name: "global and System mixed up", kind: memcheck.ForeignFree,
		say: "no block of this allocator is there, or was recently",
		do: func(d *memcheck.Checker) {
			d.Dealloc(galloc.System.Alloc(layout(16, 8)), layout(16, 8))
		},
	},
	{
		name: "free of size 0 with a size", kind: memcheck.ZeroSize,
		say: "it is the address of blocks of size 0",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Alloc(layout(0, 16)), layout(64, 16))
		},
	},
	{
		name: "free of a block as one of size 0", kind: memcheck.WrongLayout,
		say: "as 0 bytes (align 8), but it is the 24-byte block",
		do: func(d *memcheck.Checker) {
			d.Deallocate(d.Alloc(layout(24, 8)), layout(0, 8))
		},
	},
	{
		name: "grow of a block as one of size 0", kind: memcheck.WrongLayout,
		say: "as 0 bytes (align 8), but it is the 24-byte block",
		do: func(d *memcheck.Checker) {
			_, _ = d.Grow(d.Alloc(layout(24, 8)), layout(0, 8), layout(48, 8))
		},
	},
	{
		name: "resize of a block as one of size 0", kind: memcheck.WrongLayout,
		say: "as 0 bytes (align 8), but it is the 24-byte block",
		do: func(d *memcheck.Checker) {
			d.Resize(d.Alloc(layout(24, 8)), layout(0, 8), 24)
		},
	},
	{
		name: "shrink with a wrong layout", kind: memcheck.WrongLayout,
		say: "realloc of 0x… as 32 bytes",
		do: func(d *memcheck.Checker) {
			_, _ = d.Shrink(d.Alloc(layout(24, 8)), layout(32, 8), layout(16, 8))
		},
	},
	{
		name: "resize with a wrong layout", kind: memcheck.WrongLayout,
		say: "realloc of 0x… as 32 bytes",
		do: func(d *memcheck.Checker) {
			d.Resize(d.Alloc(layout(24, 8)), layout(32, 8), 16)
		},
	},

	// mimalloc-bench: bench/security.
	{
		name: "double free interleaved", kind: memcheck.DoubleFree,
		say: "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p, q := d.Alloc(layout(24, 8)), d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			d.Dealloc(q, layout(24, 8))
			d.Dealloc(p, layout(24, 8))
		},
	},
	{
		name: "double free delayed", kind: memcheck.DoubleFree,
		options: memcheck.Options{Quarantine: 10_000},
		say:     "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			for range 200 {
				d.Dealloc(d.Alloc(layout(1000, 8)), layout(1000, 8))
			}
			d.Dealloc(p, layout(24, 8))
		},
	},
	{
		name: "double free large", kind: memcheck.DoubleFree,
		say: "the 1048576-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(1<<20, 8))
			d.Dealloc(p, layout(1<<20, 8))
			d.Dealloc(p, layout(1<<20, 8))
		},
	},
	{
		name: "double free by another goroutine", kind: memcheck.DoubleFree,
		say: "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			done := make(chan bool)
			go func() { d.Dealloc(p, layout(24, 8)); close(done) }()
			<-done
		},
	},
	{
		name: "invalid free unaligned", kind: memcheck.InteriorFree,
		say: "the address is 3 bytes into the 24-byte block",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 3), layout(24, 8))
		},
	},
	{
		name: "invalid free before the block", kind: memcheck.InteriorFree,
		say: "the address is 16 bytes before the 24-byte block",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), -16), layout(24, 8))
		},
	},
	{
		name: "invalid free in a large block", kind: memcheck.InteriorFree,
		say: "the address is 65536 bytes into the 1048576-byte block",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Add(d.Alloc(layout(1<<20, 8)), 65536), layout(24, 8))
		},
	},
	{
		name: "invalid free of readable memory", kind: memcheck.ForeignFree,
		say: "no block of this allocator",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Pointer(&sink), layout(24, 8))
		},
	},
	{
		name: "invalid free of protected memory", kind: memcheck.ForeignFree,
		say: "no block of this allocator",
		do: func(d *memcheck.Checker) {
			d.Dealloc(galloc.Must(vm.Reserve(1<<20, 0)), layout(24, 8))
		},
	},
	{
		name: "size mismatch, small as large", kind: memcheck.WrongLayout,
		say: "as 1048576 bytes",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Alloc(layout(24, 8)), layout(1<<20, 8))
		},
	},
	{
		name: "size mismatch, large as small", kind: memcheck.WrongLayout,
		say: "as 24 bytes",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Alloc(layout(1<<20, 8)), layout(24, 8))
		},
	},
	{
		name: "overflow by 1", kind: memcheck.Overflow,
		say: "1 byte was written, 0 bytes past the end of the 13-byte block",
		do:  overflow(13, 13, 1),
	},
	{
		name: "overflow by 8", kind: memcheck.Overflow,
		say: "8 bytes were written, from 0 bytes past the end of the 24-byte block",
		do:  overflow(24, 24, 8),
	},
	{
		name: "overflow by 32", kind: memcheck.Overflow,
		say: "1 byte was written, 31 bytes past the end of the 24-byte block",
		do:  overflow(24, 24+31, 1),
	},
	{
		name: "overflow of a large block", kind: memcheck.Overflow,
		say: "1 byte was written, 0 bytes past the end of the 1000000-byte block",
		do:  overflow(1_000_000, 1_000_000, 1),
	},
	{
		name: "underflow by 1", kind: memcheck.Underflow,
		say: "1 byte was written, 1 byte before the 24-byte block",
		do:  overflow(24, -1, 1),
	},
	{
		name: "underflow by 32", kind: memcheck.Underflow,
		say: "32 bytes were written, from 32 bytes before the 24-byte block",
		do:  overflow(24, -32, 32),
	},
	{
		name: "underflow of a large block", kind: memcheck.Underflow,
		say: "8 bytes before the 1000000-byte block",
		do:  overflow(1_000_000, -8, 1),
	},
	{
		name: "write after free", kind: memcheck.UseAfterFree,
		say: "8 bytes were written, from 16 bytes into the freed 24-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			clear(unsafe.Slice(offset(p, 16), 8))
			d.CheckAll()
		},
	},
	{
		name: "write after free of a large block", kind: memcheck.UseAfterFree,
		say: "500000 bytes into the freed 1000000-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(1_000_000, 8))
			d.Dealloc(p, layout(1_000_000, 8))
			*offset(p, 500_000) = 0
			d.Drain()
		},
	},
	{
		name: "write to a block of size 0", kind: memcheck.ZeroSize,
		say: "1 byte was written at 0x…, where blocks of size 0 are",
		do: func(d *memcheck.Checker) {
			*(*byte)(d.Alloc(layout(0, 8))) = 1
			d.CheckAll()
		},
	},

	// The layout and the address before a resize, and all that can be done to a freed block.
	{
		name: "old size after a realloc", kind: memcheck.WrongLayout,
		say: "as 24 bytes (align 8), but it is the 48-byte block",
		do: func(d *memcheck.Checker) {
			d.Dealloc(d.Realloc(d.Alloc(layout(24, 8)), layout(24, 8), 48), layout(24, 8))
		},
	},
	{
		name: "old address after a realloc", kind: memcheck.DoubleFree,
		say: "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Realloc(p, layout(24, 8), 48)
			d.Dealloc(p, layout(24, 8))
		},
	},
	{
		name: "grow of a freed block", kind: memcheck.UseAfterFree,
		say: "realloc of 0x… as 24 bytes (align 8): it is the freed 24-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			_, _ = d.GrowZeroed(p, layout(24, 8), layout(48, 8))
		},
	},
	{
		name: "shrink of a freed block", kind: memcheck.UseAfterFree,
		say: "realloc of 0x… as 24 bytes",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			_, _ = d.Shrink(p, layout(24, 8), layout(8, 8))
		},
	},
	{
		name: "resize of a freed block", kind: memcheck.UseAfterFree,
		say: "realloc of 0x… as 24 bytes",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			d.Resize(p, layout(24, 8), 8)
		},
	},
	{
		name: "shrink of a freed block to size 0", kind: memcheck.DoubleFree,
		say: "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			_, _ = d.Shrink(p, layout(24, 8), layout(0, 8))
		},
	},
	{
		name: "free of a freed block as one of size 0", kind: memcheck.DoubleFree,
		say: "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			d.Dealloc(p, layout(0, 8))
		},
	},
	{
		name: "realloc of size 0 with a size", kind: memcheck.ZeroSize,
		say: "realloc of 0x… as 24 bytes (align 8): it is the address of blocks of size 0",
		do: func(d *memcheck.Checker) {
			d.Realloc(d.Alloc(layout(0, 8)), layout(24, 8), 48)
		},
	},
	{
		name: "write to a block of size 0, and a free", kind: memcheck.ZeroSize,
		say: "8 bytes were written at 0x…, where blocks of size 0 are",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			copy(unsafe.Slice((*byte)(d.Alloc(layout(0, 8))), 8), "mistaken")
			d.Dealloc(p, layout(24, 8))
		},
	},
	{
		name: "free through another Checker", kind: memcheck.ForeignFree,
		say: "no block of this allocator",
		do: func(d *memcheck.Checker) {
			d.Dealloc(memcheck.New(heap.Default(), memcheck.Options{}).Alloc(layout(24, 8)), layout(24, 8))
		},
	},

	// The typed face.
	{
		name: "slice freed from its second element on", kind: memcheck.InteriorFree,
		say: "as 72 bytes (align 4): the address is 8 bytes into the 80-byte block",
		do: func(d *memcheck.Checker) {
			galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))[1:])
		},
	},
	{
		name: "slice freed with less capacity", kind: memcheck.WrongLayout,
		say: "as 16 bytes (align 4), but it is the 80-byte block",
		do: func(d *memcheck.Checker) {
			galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))[:2:2])
		},
	},
	{
		name: "old slice freed after it has grown", kind: memcheck.DoubleFree,
		say: "the 80-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			s := galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))
			_ = galloc.Must(galloc.GrowSlice(d, s, 20))
			galloc.FreeSlice(d, s)
		},
	},
	{
		name: "value freed as one of another type", kind: memcheck.WrongLayout,
		say: "as 4 bytes (align 4), but it is the 8-byte block (align 4)",
		do: func(d *memcheck.Checker) {
			galloc.Free(d, (*int32)(unsafe.Pointer(galloc.Must(galloc.New[[2]uint32](d)))))
		},
	},
	{
		name: "value freed by two faces", kind: memcheck.DoubleFree,
		say: "the 32-byte block (align 4) at 0x… was freed before",
		do: func(d *memcheck.Checker) {
			p := galloc.Must(galloc.New[[8]uint32](d))
			d.Deallocate(unsafe.Pointer(p), galloc.LayoutOf[[8]uint32]())
			galloc.Free(d, p)
		},
	},

	// Accesses further away than a small zone reaches.
	{
		name: "overflow by 64", kind: memcheck.Overflow,
		say: "64 bytes were written, from 0 bytes past the end of the 512-byte block",
		do:  overflow(512, 512, 64),
	},
	{
		name: "overflow by 2000", kind: memcheck.Overflow,
		say: "2000 bytes were written, from 0 bytes past the end of the 16384-byte block",
		do:  overflow(16384, 16384, 2000),
	},
	{
		name: "write 2000 bytes past a large block", kind: memcheck.Overflow,
		say: "1 byte was written, 2000 bytes past the end of the 1000000-byte block",
		do:  overflow(1_000_000, 1_002_000, 1),
	},
	{
		name: "write 2000 bytes before a large block", kind: memcheck.Underflow,
		say: "1 byte was written, 2000 bytes before the 1000000-byte block",
		do:  overflow(1_000_000, -2000, 1),
	},
	{
		name: "free between guarded blocks", kind: memcheck.InteriorFree,
		options: memcheck.Options{Guard: memcheck.GuardEnd},
		say:     "the address is 1000 bytes past the end of the 24-byte block",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 1024), layout(24, 8))
		},
	},
	{
		name: "free past all guarded blocks", kind: memcheck.ForeignFree,
		options: memcheck.Options{Guard: memcheck.GuardEnd},
		say:     "no block of this allocator",
		do: func(d *memcheck.Checker) {
			d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 1<<20), layout(24, 8))
		},
	},

	// Only guarded pages find reads, and accesses far away.
	{
		name: "read past a block", kind: memcheck.Overflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd},
		say: "access to 0x…, 0 bytes past the end of the 24-byte block",
		do:  read(24, 24),
	},
	{
		name: "read 32 bytes past a block", kind: memcheck.Overflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd},
		say: "32 bytes past the end of the 24-byte block",
		do:  read(24, 56),
	},
	{
		name: "read 1 MiB past a block", kind: memcheck.Overflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd, GuardGap: 2 << 20},
		say: "1048576 bytes past the end of the 24-byte block",
		do:  read(24, 24+1<<20),
	},
	{
		name: "read 1 MiB past a large block", kind: memcheck.Overflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd, GuardGap: 2 << 20},
		say: "1048576 bytes past the end of the 1000000-byte block",
		do:  read(1_000_000, 1_000_000+1<<20),
	},
	{
		name: "read before a block", kind: memcheck.Underflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardStart},
		say: "access to 0x…, 1 byte before the 24-byte block",
		do:  read(24, -1),
	},
	{
		name: "read 1 MiB before a block", kind: memcheck.Underflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardStart, GuardGap: 4 << 20},
		say: "1048576 bytes before the 24-byte block",
		do:  read(24, -1<<20),
	},
	{
		name: "write past a guarded block", kind: memcheck.Overflow,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd},
		say: "access to 0x…, 0 bytes past",
		do:  overflow(24, 24, 8),
	},
	{
		name: "write into the padding of a guarded block", kind: memcheck.Overflow,
		options: memcheck.Options{Guard: memcheck.GuardEnd},
		say:     "1 byte was written, 2 bytes past the end of the 13-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(13, 8))
			*offset(p, 15) = 1
			d.Dealloc(p, layout(13, 8))
		},
	},
	{
		name: "read after free", kind: memcheck.UseAfterFree,
		guarded: true, options: memcheck.Options{Guard: memcheck.GuardEnd},
		say: "access to 0x…, 5 bytes into the freed 24-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			sink = *offset(p, 5)
		},
	},
	{
		name: "write after free of a sampled block", kind: memcheck.UseAfterFree,
		guarded: true, options: memcheck.Options{Sample: 1},
		say: "access to 0x…, 5 bytes into the freed 24-byte block",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			*offset(p, 5) = 1
		},
	},
	{
		name: "double free of a sampled block", kind: memcheck.DoubleFree,
		options: memcheck.Options{Sample: 1},
		say:     "the 24-byte block … was freed before",
		do: func(d *memcheck.Checker) {
			p := d.Alloc(layout(24, 8))
			d.Dealloc(p, layout(24, 8))
			d.Dealloc(p, layout(24, 8))
		},
	},
}

// overflow writes n bytes from the given offset on in a block of size bytes, and frees it.
func overflow(size uintptr, from, n int) func(*memcheck.Checker) {
	return func(d *memcheck.Checker) {
		p := d.Alloc(layout(size, 1))
		clear(unsafe.Slice(offset(p, from), n))
		d.Dealloc(p, layout(size, 1))
	}
}

func read(size uintptr, at int) func(*memcheck.Checker) {
	return func(d *memcheck.Checker) { sink = *offset(d.Alloc(layout(size, 8)), at) }
}

const misuseVar = "GALLOC_TEST_MISUSE"

// TestMakeMisuse is the child process of the tests below: it makes the misuse that misuseVar names.
func TestMakeMisuse(t *testing.T) {
	name := os.Getenv(misuseVar)
	if name == "" {
		t.Skip("for child processes")
	}
	for _, m := range misuses {
		if m.name == name {
			d := memcheck.New(heap.Default(), m.options)
			if os.Getenv(misuseVar+"_RAW") == "" {
				defer d.CatchPageFaults()()
			}
			m.do(d)
		}
	}
}

func child(t *testing.T, name string, env ...string) (stderr string, err error) {
	t.Helper()
	if runtime.GOOS == "js" || runtime.GOOS == "wasip1" {
		t.Skip("this platform has no child processes")
	}
	exe := galloc.Must(os.Executable())
	cmd := exec.Command(exe, "-test.run=^TestMakeMisuse$")
	cmd.Env = append(append(os.Environ(), misuseVar+"="+name), env...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	return out.String(), err
}

func TestMisuseEndsTheProgram(t *testing.T) {
	for i, m := range misuses {
		t.Run(m.name, func(t *testing.T) {
			if m.guarded && vm.GoMemory {
				t.Skip("pages of Go memory do not crash")
			}
			if testing.Short() || vm.GoMemory && i%8 != 0 {
				t.Skip("TestMisuseIsReported makes the same calls")
			}
			t.Parallel()
			stderr, err := child(t, m.name)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() == 0 || exit.ExitCode() == 1 {
				t.Errorf("it ends with %v", err)
			}
			if runtime.GOOS == "linux" && strings.TrimSuffix(err.Error(), " (core dumped)") != "signal: aborted" {
				t.Errorf("it ends with %v", err)
			}
			first, rest, _ := strings.Cut(stderr, "\n")
			if !strings.HasPrefix(first, "galloc: "+m.kind.String()+": ") || !says(first, m.say) {
				t.Errorf("it says\n%s\nand not %s: %s", first, m.kind, m.say)
			}
			hasBlock := m.kind != memcheck.ForeignFree && m.kind != memcheck.ZeroSize
			if hasBlock && !strings.Contains(rest, "was allocated here (allocation ") {
				t.Errorf("no stacks:\n%s", rest)
			}
			label := regexp.MustCompile(`^(at|detected by) this \w+:\n\t`)
			if !label.MatchString(rest) || strings.Count(rest, "memcheck_test.") < 2 {
				t.Errorf("no stacks:\n%s", rest)
			}
		})
	}
}

// says reports whether text contains what, in which … matches any text.
func says(text, what string) bool {
	for part := range strings.SplitSeq(what, "…") {
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text = after
	}
	return true
}

func TestMisuseIsReported(t *testing.T) {
	for _, m := range misuses {
		t.Run(m.name, func(t *testing.T) {
			if m.guarded && vm.GoMemory {
				t.Skip("pages of Go memory do not crash")
			}
			var found []*memcheck.Report
			m.options.OnMisuse = func(r *memcheck.Report) { found = append(found, r) }
			d := memcheck.New(heap.Default(), m.options)
			func() {
				defer func() {
					if v := recover(); v != nil && (!m.guarded || len(found) != 1 || v != found[0]) {
						t.Errorf("panic: %v", v)
					}
				}()
				defer d.CatchPageFaults()()
				m.do(d)
			}()
			if len(found) != 1 || found[0].Kind != m.kind || d.Misuses() != 1 {
				t.Fatalf("found %v, not one %v", found, m.kind)
			}
			if !says(found[0].Error(), m.say) {
				t.Errorf("it says\n%v\nand not %s", found[0], m.say)
			}
			if (found[0].Op == memcheck.OpAccess) != m.guarded {
				t.Errorf("found at %v", found[0].Op)
			}
		})
	}
}

// Without CatchPageFaults, Go ends the program. The address it prints can be passed to Explain.
func TestUncaughtAccessEndsTheProgram(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	stderr, err := child(t, "read after free", misuseVar+"_RAW=1")
	if err == nil || !strings.Contains(stderr, "unexpected fault address 0x") {
		t.Errorf("it ends with %v:\n%s", err, stderr)
	}
}

func TestOtherPanicsPass(t *testing.T) {
	d := memcheck.New(nil, failing(t, memcheck.Options{}))
	defer func() {
		if v := recover(); v != "another" {
			t.Errorf("recovered %v", v)
		}
	}()
	defer d.CatchPageFaults()()
	panic("another")
}
