package wrap_test

import (
	"bytes"
	"errors"
	"math/bits"
	"os"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

// debugModes are the ways to look after blocks; fails reports mistakes.
var debugModes = map[string][]wrap.DebugOption{
	"full":        nil,
	"bare":        {wrap.RedZone(0), wrap.Quarantine(0), wrap.Stacks(0)},
	"guard end":   {wrap.Guard(wrap.AtEnd, 0, 0)},
	"guard start": {wrap.Guard(wrap.AtStart, 100, 10_000), wrap.GuardGap(100_000), wrap.GuardLimit(100)},
	"sample 1":    {wrap.Sample(1)},
	"sample 7":    {wrap.Sample(7), wrap.GuardLimit(10_000)},
}

func failOnMistake(t testing.TB) wrap.DebugOption {
	return wrap.OnMistake(func(r *wrap.Report) { t.Errorf("a false report: %v", r) })
}

func TestDebugKeepsTheContract(t *testing.T) {
	for name, options := range debugModes {
		t.Run(name, func(t *testing.T) {
			if vm.GoMemory && name != "full" && name != "sample 7" {
				t.Skip("it takes long, and is not much different with pages that cannot be guarded")
			}
			d := wrap.Debug(heap.Default(), append(options, failOnMistake(t))...)
			alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
			if name == "full" || name == "sample 7" {
				alloctest.RunGlobal(t, func() galloc.GlobalAlloc { return d }, alloctest.Slow)
			}
			d.CheckAll()
			if n := d.ReportLeaks(os.Stderr); n != 0 {
				t.Errorf("%d blocks are left", n)
			}
			d.Drain()
		})
	}
	t.Run("over System", func(t *testing.T) {
		d := wrap.Debug(galloc.System, failOnMistake(t), wrap.Quarantine(1<<20))
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
	})
	t.Run("over GoHeap", func(t *testing.T) {
		d := wrap.Debug(galloc.GoHeap, failOnMistake(t))
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.GoGarbage, alloctest.Slow)
		p := galloc.Must(galloc.New[*int](d))
		*p = new(int)
		d.CheckAll()
		galloc.Free(d, p)
	})
	t.Run("over Debug", func(t *testing.T) {
		if vm.GoMemory {
			t.Skip("it takes long")
		}
		d := wrap.Debug(wrap.Debug(nil, failOnMistake(t), wrap.Quarantine(1<<20)), failOnMistake(t), wrap.Quarantine(1<<20))
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
	})
}

func FuzzDebug(f *testing.F) {
	alloctest.Fuzz(f, func() galloc.Allocator {
		return wrap.Debug(heap.Default(), failOnMistake(f), wrap.Quarantine(1<<20), wrap.Guard(wrap.AtEither, 0, 300))
	})
}

// Whatever a program does, one write beside one of its blocks or into a freed one is found, and nothing else.
func FuzzDebugFindsPlantedMistakes(f *testing.F) {
	program := "\x00\x00\x08\x00\x00\x00\x18\x00\x01\x00\x40\x01\x04\x00\x00\x00\x02\x00\x41\x22\x03\x01\x43\x05"
	f.Add([]byte(program), uint16(1), uint8(0))
	f.Add([]byte(program), uint16(3), uint8(1))
	f.Add([]byte(program), uint16(5), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, when uint16, what uint8) {
		var found []*wrap.Report
		d := wrap.Debug(heap.Default(), wrap.OnMistake(func(r *wrap.Report) { found = append(found, r) }), wrap.Quarantine(64<<20))
		blocks := map[uint64][]byte{}
		var freed []byte
		var want wrap.MistakeKind
		var at uintptr
		for i, op := range alloctest.Ops(data) {
			size, align := op.Layout()
			l := layout(uintptr(size), uintptr(align))
			switch op.Kind {
			case trace.Free:
				b := blocks[op.ID]
				delete(blocks, op.ID)
				if len(b) > 0 {
					freed = b
				}
				d.Deallocate(address(b), layoutOf(b))
			case trace.Realloc:
				b := blocks[op.Old]
				delete(blocks, op.Old)
				if p := d.Realloc(address(b), layoutOf(b), l.Size()); l.Size() != 0 {
					blocks[op.ID] = unsafe.Slice((*byte)(p), l.Size())
				}
				if len(b) > 0 {
					freed = b
				}
			default:
				blocks[op.ID] = galloc.Must(d.Allocate(layout(l.Size(), 8)))
			}
			if b := blocks[op.ID]; i >= int(when)%64 && want == 0 && len(b) > 0 {
				p := unsafe.Pointer(&b[0])
				switch what % 3 {
				case 0:
					want, p = wrap.Overflow, unsafe.Add(p, len(b)+int(what)%16)
				case 1:
					want, p = wrap.Underflow, unsafe.Add(p, -1-int(what)%16)
				default:
					if freed == nil {
						continue
					}
					want, p = wrap.UseAfterFree, unsafe.Pointer(&freed[int(what)%len(freed)])
				}
				at = uintptr(p)
				*(*byte)(p) = 1
			}
		}
		for _, b := range blocks {
			d.Deallocate(address(b), layoutOf(b))
		}
		d.Drain()
		switch {
		case want == 0 && len(found) != 0:
			t.Fatal(found)
		case want != 0 && (len(found) != 1 || found[0].Kind != want || found[0].Addr != at):
			t.Fatalf("planted %v at %#x, found %v", want, at, found)
		}
	})
}

func layoutOf(b []byte) galloc.Layout      { return layout(uintptr(len(b)), 8) }
func address(b []byte) unsafe.Pointer      { return unsafe.Pointer(unsafe.SliceData(b)) }
func offset(p unsafe.Pointer, i int) *byte { return (*byte)(unsafe.Add(p, i)) }

// A mistake is a program that makes one, and what is to be said about it. Miri's and mimalloc-bench's lists of what an allocator should
// notice are all here.
type mistake struct {
	name    string
	options []wrap.DebugOption
	guarded bool // needs pages that crash
	do      func(d wrap.Debugging)
	kind    wrap.MistakeKind
	say     string
}

var sink byte

var mistakes = []mistake{
	// Miri: alloc/deallocate-*, reallocate-*, stack_free, global_system_mixup.
	{name: "deallocate bad size", kind: wrap.WrongLayout, say: "free of 0x… as 2 bytes (align 1), but it is the 1-byte block (align 1)", do: func(d wrap.Debugging) {
		d.Dealloc(d.Alloc(layout(1, 1)), layout(2, 1))
	}},
	{name: "deallocate bad alignment", kind: wrap.WrongLayout, say: "as 8 bytes (align 2), but it is the 8-byte block (align 1)", do: func(d wrap.Debugging) {
		d.Dealloc(d.Alloc(layout(8, 1)), layout(8, 2))
	}},
	{name: "deallocate twice", kind: wrap.DoubleFree, say: "the freed 1-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(1, 1))
		d.Dealloc(p, layout(1, 1))
		d.Dealloc(p, layout(1, 1))
	}},
	{name: "reallocate bad size", kind: wrap.WrongLayout, say: "realloc of 0x… as 2 bytes (align 1), but it is the 1-byte", do: func(d wrap.Debugging) {
		d.Realloc(d.Alloc(layout(1, 1)), layout(2, 1), 3)
	}},
	{name: "use after reallocate", kind: wrap.UseAfterFree, say: "1 byte was written, 5 bytes into the freed 16-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(16, 1))
		d.Realloc(p, layout(16, 1), 16)
		*offset(p, 5) = 1
		d.CheckAll()
	}},
	{name: "reallocate dangling", kind: wrap.UseAfterFree, say: "realloc of 0x… as 1 byte (align 1): that is the freed 1-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(1, 1))
		d.Dealloc(p, layout(1, 1))
		d.Realloc(p, layout(1, 1), 1)
	}},
	{name: "free of the stack", kind: wrap.ForeignFree, say: "no block of this allocator is there, or was lately", do: func(d wrap.Debugging) {
		var local [16]byte
		d.Dealloc(unsafe.Pointer(&local), layout(16, 1))
	}},
	{name: "global and System mixed up", kind: wrap.ForeignFree, say: "no block of this allocator is there, or was lately", do: func(d wrap.Debugging) {
		d.Dealloc(galloc.System.Alloc(layout(16, 8)), layout(16, 8))
	}},
	{name: "free of size 0 with a size", kind: wrap.ZeroSize, say: "the address stands for blocks of size 0", do: func(d wrap.Debugging) {
		d.Dealloc(d.Alloc(layout(0, 16)), layout(64, 16))
	}},
	{name: "free of a block as one of size 0", kind: wrap.WrongLayout, say: "as 0 bytes (align 8), but it is the 24-byte block", do: func(d wrap.Debugging) {
		d.Deallocate(d.Alloc(layout(24, 8)), layout(0, 8))
	}},
	{name: "grow of a block as one of size 0", kind: wrap.WrongLayout, say: "as 0 bytes (align 8), but it is the 24-byte block", do: func(d wrap.Debugging) {
		_, _ = d.Grow(d.Alloc(layout(24, 8)), layout(0, 8), layout(48, 8))
	}},
	{name: "resize of a block as one of size 0", kind: wrap.WrongLayout, say: "as 0 bytes (align 8), but it is the 24-byte block", do: func(d wrap.Debugging) {
		d.Resize(d.Alloc(layout(24, 8)), layout(0, 8), 24)
	}},
	{name: "shrink with a wrong layout", kind: wrap.WrongLayout, say: "realloc of 0x… as 32 bytes", do: func(d wrap.Debugging) {
		_, _ = d.Shrink(d.Alloc(layout(24, 8)), layout(32, 8), layout(16, 8))
	}},
	{name: "resize with a wrong layout", kind: wrap.WrongLayout, say: "realloc of 0x… as 32 bytes", do: func(d wrap.Debugging) {
		d.Resize(d.Alloc(layout(24, 8)), layout(32, 8), 16)
	}},

	// mimalloc-bench: bench/security.
	{name: "double free interleaved", kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p, q := d.Alloc(layout(24, 8)), d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		d.Dealloc(q, layout(24, 8))
		d.Dealloc(p, layout(24, 8))
	}},
	{name: "double free delayed", kind: wrap.DoubleFree, say: "the freed 24-byte block", options: []wrap.DebugOption{wrap.Quarantine(10_000)}, do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		for range 200 {
			d.Dealloc(d.Alloc(layout(1000, 8)), layout(1000, 8))
		}
		d.Dealloc(p, layout(24, 8))
	}},
	{name: "double free large", kind: wrap.DoubleFree, say: "the freed 1048576-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(1<<20, 8))
		d.Dealloc(p, layout(1<<20, 8))
		d.Dealloc(p, layout(1<<20, 8))
	}},
	{name: "double free by another goroutine", kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		done := make(chan bool)
		go func() { d.Dealloc(p, layout(24, 8)); close(done) }()
		<-done
	}},
	{name: "invalid free unaligned", kind: wrap.InteriorFree, say: "that is 3 bytes into the 24-byte block", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 3), layout(24, 8))
	}},
	{name: "invalid free before the block", kind: wrap.InteriorFree, say: "that is 16 bytes before the 24-byte block", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), -16), layout(24, 8))
	}},
	{name: "invalid free in a large block", kind: wrap.InteriorFree, say: "that is 65536 bytes into the 1048576-byte block", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Add(d.Alloc(layout(1<<20, 8)), 65536), layout(24, 8))
	}},
	{name: "invalid free of readable memory", kind: wrap.ForeignFree, say: "no block of this allocator", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Pointer(&sink), layout(24, 8))
	}},
	{name: "invalid free of protected memory", kind: wrap.ForeignFree, say: "no block of this allocator", do: func(d wrap.Debugging) {
		d.Dealloc(galloc.Must(vm.Reserve(1<<20, 0)), layout(24, 8))
	}},
	{name: "size mismatch, small as large", kind: wrap.WrongLayout, say: "as 1048576 bytes", do: func(d wrap.Debugging) {
		d.Dealloc(d.Alloc(layout(24, 8)), layout(1<<20, 8))
	}},
	{name: "size mismatch, large as small", kind: wrap.WrongLayout, say: "as 24 bytes", do: func(d wrap.Debugging) {
		d.Dealloc(d.Alloc(layout(1<<20, 8)), layout(24, 8))
	}},
	{name: "overflow by 1", kind: wrap.Overflow, say: "1 byte was written, 0 bytes past the end of the 13-byte block", do: overflow(13, 13, 1)},
	{name: "overflow by 8", kind: wrap.Overflow, say: "8 bytes were written, from 0 bytes past the end of the 24-byte block", do: overflow(24, 24, 8)},
	{name: "overflow by 32", kind: wrap.Overflow, say: "1 byte was written, 31 bytes past the end of the 24-byte block", do: overflow(24, 24+31, 1)},
	{name: "overflow of a large block", kind: wrap.Overflow, say: "1 byte was written, 0 bytes past the end of the 1000000-byte block", do: overflow(1_000_000, 1_000_000, 1)},
	{name: "underflow by 1", kind: wrap.Underflow, say: "1 byte was written, 1 byte before the 24-byte block", do: overflow(24, -1, 1)},
	{name: "underflow by 32", kind: wrap.Underflow, say: "32 bytes were written, from 32 bytes before the 24-byte block", do: overflow(24, -32, 32)},
	{name: "underflow of a large block", kind: wrap.Underflow, say: "8 bytes before the 1000000-byte block", do: overflow(1_000_000, -8, 1)},
	{name: "write after free", kind: wrap.UseAfterFree, say: "8 bytes were written, from 16 bytes into the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		clear(unsafe.Slice(offset(p, 16), 8))
		d.CheckAll()
	}},
	{name: "write after free of a large block", kind: wrap.UseAfterFree, say: "500000 bytes into the freed 1000000-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(1_000_000, 8))
		d.Dealloc(p, layout(1_000_000, 8))
		*offset(p, 500_000) = 0
		d.Drain()
	}},
	{name: "write to a block of size 0", kind: wrap.ZeroSize, say: "it was written to, 1 byte from 0x", do: func(d wrap.Debugging) {
		*(*byte)(d.Alloc(layout(0, 8))) = 1
		d.CheckAll()
	}},

	// The layout and address of before a resize, and whatever can be done to a freed block.
	{name: "old size after a realloc", kind: wrap.WrongLayout, say: "as 24 bytes (align 8), but it is the 48-byte block", do: func(d wrap.Debugging) {
		d.Dealloc(d.Realloc(d.Alloc(layout(24, 8)), layout(24, 8), 48), layout(24, 8))
	}},
	{name: "old address after a realloc", kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Realloc(p, layout(24, 8), 48)
		d.Dealloc(p, layout(24, 8))
	}},
	{name: "grow of a freed block", kind: wrap.UseAfterFree, say: "realloc of 0x… as 24 bytes (align 8): that is the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		_, _ = d.GrowZeroed(p, layout(24, 8), layout(48, 8))
	}},
	{name: "shrink of a freed block", kind: wrap.UseAfterFree, say: "realloc of 0x… as 24 bytes", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		_, _ = d.Shrink(p, layout(24, 8), layout(8, 8))
	}},
	{name: "resize of a freed block", kind: wrap.UseAfterFree, say: "realloc of 0x… as 24 bytes", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		d.Resize(p, layout(24, 8), 8)
	}},
	{name: "shrink of a freed block to size 0", kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		_, _ = d.Shrink(p, layout(24, 8), layout(0, 8))
	}},
	{name: "free of a freed block as one of size 0", kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		d.Dealloc(p, layout(0, 8))
	}},
	{name: "realloc of size 0 with a size", kind: wrap.ZeroSize, say: "realloc of 0x… as 24 bytes (align 8): the address stands for", do: func(d wrap.Debugging) {
		d.Realloc(d.Alloc(layout(0, 8)), layout(24, 8), 48)
	}},
	{name: "write to a block of size 0, and a free", kind: wrap.ZeroSize, say: "it was written to, 8 bytes from 0x", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		copy(unsafe.Slice((*byte)(d.Alloc(layout(0, 8))), 8), "mistaken")
		d.Dealloc(p, layout(24, 8))
	}},
	{name: "free through another Debug", kind: wrap.ForeignFree, say: "no block of this allocator", do: func(d wrap.Debugging) {
		d.Dealloc(wrap.Debug(heap.Default()).Alloc(layout(24, 8)), layout(24, 8))
	}},

	// The typed face.
	{name: "slice freed from its second element on", kind: wrap.InteriorFree, say: "as 72 bytes (align 4): that is 8 bytes into the 80-byte block", do: func(d wrap.Debugging) {
		galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))[1:])
	}},
	{name: "slice freed with less capacity", kind: wrap.WrongLayout, say: "as 16 bytes (align 4), but it is the 80-byte block", do: func(d wrap.Debugging) {
		galloc.FreeSlice(d, galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))[:2:2])
	}},
	{name: "old slice freed after it has grown", kind: wrap.DoubleFree, say: "the freed 80-byte block", do: func(d wrap.Debugging) {
		s := galloc.Must(galloc.MakeSlice[[2]uint32](d, 10))
		_ = galloc.Must(galloc.GrowSlice(d, s, 20))
		galloc.FreeSlice(d, s)
	}},
	{name: "value freed as one of another type", kind: wrap.WrongLayout, say: "as 4 bytes (align 4), but it is the 8-byte block (align 4)", do: func(d wrap.Debugging) {
		galloc.Free(d, (*int32)(unsafe.Pointer(galloc.Must(galloc.New[[2]uint32](d)))))
	}},
	{name: "value freed by two faces", kind: wrap.DoubleFree, say: "the freed 32-byte block (align 4)", do: func(d wrap.Debugging) {
		p := galloc.Must(galloc.New[[8]uint32](d))
		d.Deallocate(unsafe.Pointer(p), galloc.LayoutOf[[8]uint32]())
		galloc.Free(d, p)
	}},

	// Further than a small zone reaches.
	{name: "overflow by 64", kind: wrap.Overflow, say: "64 bytes were written, from 0 bytes past the end of the 512-byte block", do: overflow(512, 512, 64)},
	{name: "overflow by 2000", kind: wrap.Overflow, say: "2000 bytes were written, from 0 bytes past the end of the 16384-byte block", do: overflow(16384, 16384, 2000)},
	{name: "write 2000 bytes behind a large block", kind: wrap.Overflow, say: "1 byte was written, 2000 bytes past the end of the 1000000-byte block", do: overflow(1_000_000, 1_002_000, 1)},
	{name: "write 2000 bytes before a large block", kind: wrap.Underflow, say: "1 byte was written, 2000 bytes before the 1000000-byte block", do: overflow(1_000_000, -2000, 1)},
	{name: "free between guarded blocks", options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.InteriorFree, say: "that is 1000 bytes past the end of the 24-byte block", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 1024), layout(24, 8))
	}},
	{name: "free beyond all guarded blocks", options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.ForeignFree, say: "no block of this allocator", do: func(d wrap.Debugging) {
		d.Dealloc(unsafe.Add(d.Alloc(layout(24, 8)), 1<<20), layout(24, 8))
	}},

	// What only pages can find: reads, and what is far away.
	{name: "read behind a block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.Overflow, say: "access to 0x…, 0 bytes past the end of the 24-byte block", do: read(24, 24)},
	{name: "read 32 bytes behind a block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.Overflow, say: "32 bytes past the end of the 24-byte block", do: read(24, 56)},
	{name: "read 1 MiB behind a block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0), wrap.GuardGap(2 << 20)}, kind: wrap.Overflow, say: "1048576 bytes past the end of the 24-byte block", do: read(24, 24+1<<20)},
	{name: "read 1 MiB behind a large block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0), wrap.GuardGap(2 << 20)}, kind: wrap.Overflow, say: "1048576 bytes past the end of the 1000000-byte block", do: read(1_000_000, 1_000_000+1<<20)},
	{name: "read before a block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtStart, 0, 0)}, kind: wrap.Underflow, say: "access to 0x…, 1 byte before the 24-byte block", do: read(24, -1)},
	{name: "read 1 MiB before a block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtStart, 0, 0), wrap.GuardGap(4 << 20)}, kind: wrap.Underflow, say: "1048576 bytes before the 24-byte block", do: read(24, -1<<20)},
	{name: "write behind a guarded block", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.Overflow, say: "access to 0x…, 0 bytes past", do: overflow(24, 24, 8)},
	{name: "write into the padding of a guarded block", options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.Overflow, say: "1 byte was written, 2 bytes past the end of the 13-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(13, 8))
		*offset(p, 15) = 1
		d.Dealloc(p, layout(13, 8))
	}},
	{name: "read after free", guarded: true, options: []wrap.DebugOption{wrap.Guard(wrap.AtEnd, 0, 0)}, kind: wrap.UseAfterFree, say: "access to 0x…, 5 bytes into the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		sink = *offset(p, 5)
	}},
	{name: "write after free of a sampled block", guarded: true, options: []wrap.DebugOption{wrap.Sample(1)}, kind: wrap.UseAfterFree, say: "access to 0x…, 5 bytes into the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		*offset(p, 5) = 1
	}},
	{name: "double free of a sampled block", options: []wrap.DebugOption{wrap.Sample(1)}, kind: wrap.DoubleFree, say: "the freed 24-byte block", do: func(d wrap.Debugging) {
		p := d.Alloc(layout(24, 8))
		d.Dealloc(p, layout(24, 8))
		d.Dealloc(p, layout(24, 8))
	}},
}

// overflow writes n bytes from the given offset on in a block of size bytes, and frees it.
func overflow(size uintptr, from, n int) func(wrap.Debugging) {
	return func(d wrap.Debugging) {
		p := d.Alloc(layout(size, 1))
		clear(unsafe.Slice(offset(p, from), n))
		d.Dealloc(p, layout(size, 1))
	}
}

func read(size uintptr, at int) func(wrap.Debugging) {
	return func(d wrap.Debugging) { sink = *offset(d.Alloc(layout(size, 8)), at) }
}

const mistakeVar = "GALLOC_TEST_MISTAKE"

// TestMakeMistake is the child process of the two below: it makes the mistake that it is told to make.
func TestMakeMistake(t *testing.T) {
	name := os.Getenv(mistakeVar)
	if name == "" {
		t.Skip("for child processes")
	}
	for _, m := range mistakes {
		if m.name == name {
			d := wrap.Debug(heap.Default(), m.options...)
			if os.Getenv(mistakeVar+"_RAW") == "" {
				defer d.Faults()()
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
	cmd := exec.Command(exe, "-test.run=^TestMakeMistake$")
	cmd.Env = append(append(os.Environ(), mistakeVar+"="+name), env...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err = cmd.Run()
	return out.String(), err
}

func TestMistakesEndTheProgram(t *testing.T) {
	for i, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			if m.guarded && vm.GoMemory {
				t.Skip("pages of Go memory do not crash")
			}
			if testing.Short() || vm.GoMemory && i%8 != 0 {
				t.Skip("TestMistakesAreReported makes the same mistakes")
			}
			t.Parallel()
			stderr, err := child(t, m.name)
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() == 0 || exit.ExitCode() == 1 {
				t.Errorf("it ends with %v", err)
			}
			if runtime.GOOS == "linux" && err.Error() != "signal: aborted" && err.Error() != "signal: aborted (core dumped)" {
				t.Errorf("it ends with %v", err)
			}
			first, rest, _ := strings.Cut(stderr, "\n")
			if !strings.HasPrefix(first, "galloc: "+m.kind.String()+": ") || !says(first, m.say) {
				t.Errorf("it says\n%s\nand not %s: %s", first, m.kind, m.say)
			}
			if m.kind != wrap.ForeignFree && m.kind != wrap.ZeroSize && !strings.Contains(rest, "was allocated here (allocation ") {
				t.Errorf("no stacks:\n%s", rest)
			}
			if !strings.HasPrefix(rest, "found here:\n\t") || strings.Count(rest, "wrap_test.") < 2 {
				t.Errorf("no stacks:\n%s", rest)
			}
		})
	}
}

// says reports whether text contains what, in which … stands for anything.
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

func TestMistakesAreReported(t *testing.T) {
	for _, m := range mistakes {
		t.Run(m.name, func(t *testing.T) {
			if m.guarded && vm.GoMemory {
				t.Skip("pages of Go memory do not crash")
			}
			var found []*wrap.Report
			d := wrap.Debug(heap.Default(), append(m.options, wrap.OnMistake(func(r *wrap.Report) { found = append(found, r) }))...)
			func() {
				defer func() {
					if v := recover(); v != nil && (!m.guarded || len(found) != 1 || v != found[0]) {
						t.Errorf("panic: %v", v)
					}
				}()
				defer d.Faults()()
				m.do(d)
			}()
			if len(found) != 1 || found[0].Kind != m.kind || d.Mistakes() != 1 {
				t.Fatalf("found %v, not one %v", found, m.kind)
			}
			if !says(found[0].Error(), m.say) {
				t.Errorf("it says\n%v\nand not %s", found[0], m.say)
			}
			if (found[0].Op == wrap.AtAccess) != m.guarded {
				t.Errorf("found at %v", found[0].Op)
			}
		})
	}
}

// Without Faults, Go ends the program itself, and Explain is there for who has the address.
func TestAccessWithoutFaultsEndsTheProgram(t *testing.T) {
	if vm.GoMemory {
		t.Skip("pages of Go memory do not crash")
	}
	stderr, err := child(t, "read after free", mistakeVar+"_RAW=1")
	if err == nil || !strings.Contains(stderr, "unexpected fault address 0x") {
		t.Errorf("it ends with %v:\n%s", err, stderr)
	}
}

func TestFaultsLetOtherPanicsPass(t *testing.T) {
	d := wrap.Debug(nil, failOnMistake(t))
	defer func() {
		if v := recover(); v != "another" {
			t.Errorf("recovered %v", v)
		}
	}()
	defer d.Faults()()
	panic("another")
}

func TestExplain(t *testing.T) {
	for name, options := range debugModes {
		if name == "bare" || name == "sample 7" {
			continue
		}
		d := wrap.Debug(heap.Default(), append(options, failOnMistake(t))...)
		p := d.Alloc(layout(200, 8))
		for _, c := range []struct {
			off  int
			kind wrap.MistakeKind
		}{{-5, wrap.Underflow}, {0, 0}, {199, 0}, {200, wrap.Overflow}, {220, wrap.Overflow}} {
			r := d.Explain(uintptr(p) + uintptr(c.off))
			if r == nil || r.Kind != c.kind || r.Offset != c.off || r.Block.Size != 200 {
				t.Errorf("%s: byte %d: %v", name, c.off, r)
			}
		}
		d.Dealloc(p, layout(200, 8))
		if r := d.Explain(uintptr(p) + 100); r == nil || r.Kind != wrap.UseAfterFree || len(r.Block.FreeStack) == 0 {
			t.Errorf("%s: freed: %v", name, r)
		}
		var local byte
		if r := d.Explain(uintptr(unsafe.Pointer(&local))); r != nil {
			t.Errorf("%s: Go memory: %v", name, r)
		}
	}
}

// What is not looked after is as if the wrapper were not there: full length, resized in place, zero for nothing.
func TestSampledPassesOn(t *testing.T) {
	d := wrap.Debug(heap.Default(), wrap.Sample(1<<30), failOnMistake(t))
	b := galloc.Must(d.Allocate(layout(100, 8)))
	if len(b) != 104 || !d.Resize(address(b), layout(100, 8), 104) {
		t.Errorf("%d bytes", len(b))
	}
	d.Deallocate(address(b), layout(104, 8))
	if n := d.ReportLeaks(os.Stderr); n != 0 {
		t.Errorf("%d blocks", n)
	}
}

func TestDebugKeepsAbilities(t *testing.T) {
	h := galloc.Must(heap.New(heap.Options{}))
	for _, a := range []galloc.Allocator{h, galloc.System, galloc.GoHeap, &resetting{}} {
		d := wrap.Debug(a, failOnMistake(t))
		_, owner := a.(galloc.Owner)
		_, resetter := a.(galloc.Resetter)
		_, typed := a.(galloc.TypedAllocator)
		o, owner2 := d.(galloc.Owner)
		r, resetter2 := d.(galloc.Resetter)
		_, typed2 := d.(galloc.TypedAllocator)
		if owner != owner2 || resetter != resetter2 || typed != typed2 {
			t.Errorf("%T: owner %v, resetter %v, typed %v", a, owner2, resetter2, typed2)
		}
		p := d.Alloc(layout(10, 1))
		if owner && (!o.Owns(p) || o.Owns(unsafe.Add(p, 1)) || o.Owns(unsafe.Pointer(&sink))) {
			t.Errorf("%T: Owns is wrong", a)
		}
		if resetter {
			r.Reset()
			if len(d.Leaks(0)) != 0 || a.(*resetting).resets != 1 {
				t.Error("Reset has not reset")
			}
		} else {
			d.Dealloc(p, layout(10, 1))
		}
		if f, ok := wrap.Find[wrap.Debugging](d); !ok || f != d || reflect.TypeOf(d.Unwrap()) != reflect.TypeOf(a) || !strings.HasPrefix(d.String(), "debug(") {
			t.Errorf("%v", d)
		}
	}
}

type resetting struct{ resets int }

func (*resetting) Allocate(l galloc.Layout) ([]byte, error)     { return galloc.System.Allocate(l) }
func (*resetting) Deallocate(p unsafe.Pointer, l galloc.Layout) { galloc.System.Deallocate(p, l) }
func (r *resetting) Reset()                                     { r.resets++ }

func TestHugeSizesAreRefused(t *testing.T) {
	d := wrap.Debug(nil, failOnMistake(t))
	top := layout(1<<(bits.UintSize-1)-8, 8)
	if b, err := d.Allocate(top); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
