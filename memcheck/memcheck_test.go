package memcheck_test

import (
	"errors"
	"math/bits"
	"os"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/internal/vm"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

// modes are options that check blocks in different ways.
var modes = map[string]memcheck.Options{
	"full":        {},
	"bare":        {RedZone: -1, Quarantine: -1, StackDepth: -1},
	"guard end":   {Guard: memcheck.GuardEnd},
	"guard start": {Guard: memcheck.GuardStart, GuardMin: 100, GuardMax: 10_000, GuardGap: 100_000, GuardLimit: 100},
	"sample 1":    {Sample: 1},
	"sample 7":    {Sample: 7, GuardLimit: 10_000},
}

// failing returns o with a handler that fails the test.
func failing(t testing.TB, o memcheck.Options) memcheck.Options {
	o.OnMisuse = func(r *memcheck.Report) { t.Errorf("a false report: %v", r) }
	return o
}

func TestCheckerKeepsTheContract(t *testing.T) {
	for name, o := range modes {
		t.Run(name, func(t *testing.T) {
			if vm.GoMemory && name != "full" && name != "sample 7" {
				t.Skip("it takes long, and differs little where pages cannot be guarded")
			}
			d := memcheck.New(heap.Default(), failing(t, o))
			alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
			if (name == "full" || name == "sample 7") && !vm.GoMemory {
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
		if vm.GoMemory {
			t.Skip("it takes long, and System allocates as the heap does there")
		}
		d := memcheck.New(galloc.System, failing(t, memcheck.Options{Quarantine: 1 << 20}))
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
	})
	t.Run("over GoHeap", func(t *testing.T) {
		d := memcheck.New(galloc.GoHeap, failing(t, memcheck.Options{}))
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.GoGarbage, alloctest.Slow)
		p := galloc.Must(galloc.New[*int](d))
		*p = new(int)
		d.CheckAll()
		galloc.Free(d, p)
	})
	t.Run("over another Checker", func(t *testing.T) {
		if vm.GoMemory {
			t.Skip("it takes long")
		}
		o := failing(t, memcheck.Options{Quarantine: 1 << 20})
		d := memcheck.New(memcheck.New(nil, o), o)
		alloctest.Run(t, func() galloc.Allocator { return d }, alloctest.Slow)
	})
}

func FuzzChecker(f *testing.F) {
	alloctest.Fuzz(f, func() galloc.Allocator {
		o := memcheck.Options{Quarantine: 1 << 20, Guard: memcheck.GuardEither, GuardMax: 300}
		return memcheck.New(heap.Default(), failing(f, o))
	})
}

// One write next to a block or into a freed block is found in any program, and nothing else is.
func FuzzPlantedMisuseIsFound(f *testing.F) {
	program := "\x00\x00\x08\x00\x00\x00\x18\x00\x01\x00\x40\x01\x04\x00\x00\x00\x02\x00\x41\x22\x03\x01\x43\x05"
	f.Add([]byte(program), uint16(1), uint8(0))
	f.Add([]byte(program), uint16(3), uint8(1))
	f.Add([]byte(program), uint16(5), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, when uint16, what uint8) {
		var found []*memcheck.Report
		d := memcheck.New(heap.Default(), memcheck.Options{
			Quarantine: 64 << 20,
			OnMisuse:   func(r *memcheck.Report) { found = append(found, r) },
		})
		blocks := map[uint64][]byte{}
		var freed []byte
		var want memcheck.Kind
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
					want, p = memcheck.Overflow, unsafe.Add(p, len(b)+int(what)%16)
				case 1:
					want, p = memcheck.Underflow, unsafe.Add(p, -1-int(what)%16)
				default:
					if freed == nil {
						continue
					}
					want, p = memcheck.UseAfterFree, unsafe.Pointer(&freed[int(what)%len(freed)])
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

func layout(size, align uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, align)) }
func layoutOf(b []byte) galloc.Layout          { return layout(uintptr(len(b)), 8) }
func address(b []byte) unsafe.Pointer          { return unsafe.Pointer(unsafe.SliceData(b)) }
func offset(p unsafe.Pointer, i int) *byte     { return (*byte)(unsafe.Add(p, i)) }

func TestExplain(t *testing.T) {
	for name, o := range modes {
		if name == "bare" || name == "sample 7" {
			continue
		}
		d := memcheck.New(heap.Default(), failing(t, o))
		p := d.Alloc(layout(200, 8))
		for _, c := range []struct {
			off  int
			kind memcheck.Kind
		}{{-5, memcheck.Underflow}, {0, 0}, {199, 0}, {200, memcheck.Overflow}, {220, memcheck.Overflow}} {
			r := d.Explain(uintptr(p) + uintptr(c.off))
			if r == nil || r.Kind != c.kind || r.Offset != c.off || r.Block.Size != 200 {
				t.Errorf("%s: byte %d: %v", name, c.off, r)
			}
		}
		d.Dealloc(p, layout(200, 8))
		r := d.Explain(uintptr(p) + 100)
		if r == nil || r.Kind != memcheck.UseAfterFree || len(r.Block.FreeStack) == 0 {
			t.Errorf("%s: freed: %v", name, r)
		}
		var local byte
		if r := d.Explain(uintptr(unsafe.Pointer(&local))); r != nil {
			t.Errorf("%s: Go memory: %v", name, r)
		}
	}
}

// A block that is passed on is a block of the allocator inside: it has its full length, and can be
// resized in place.
func TestSampledPassesOn(t *testing.T) {
	d := memcheck.New(heap.Default(), failing(t, memcheck.Options{Sample: 1 << 30}))
	b := galloc.Must(d.Allocate(layout(100, 8)))
	if len(b) != 104 || !d.Resize(address(b), layout(100, 8), 104) {
		t.Errorf("%d bytes", len(b))
	}
	d.Deallocate(address(b), layout(104, 8))
	if n := d.ReportLeaks(os.Stderr); n != 0 {
		t.Errorf("%d blocks", n)
	}
}

func TestCheckerPassesAbilitiesOn(t *testing.T) {
	h := galloc.Must(heap.New(heap.Options{}))
	for _, a := range []galloc.Allocator{h, galloc.System, galloc.GoHeap, &resetting{}} {
		d := memcheck.New(a, failing(t, memcheck.Options{}))
		_, resetter := a.(galloc.Resetter)
		p := d.Alloc(layout(10, 1))
		for q, want := range map[unsafe.Pointer]bool{p: true, unsafe.Add(p, 1): false, unsafe.Pointer(&sink): false} {
			if owns, err := d.Owns(q); owns != want || err != nil {
				t.Errorf("%T: Owns returns %v, %v, not %v", a, owns, err, want)
			}
		}
		if resetter {
			if err := galloc.Reset(d); err != nil {
				t.Error(err)
			}
			if len(d.Leaks(0)) != 0 || a.(*resetting).resets != 1 {
				t.Error("Reset has not reset")
			}
		} else {
			if err := galloc.Reset(d); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%T: Reset returns %v", a, err)
			}
			d.Dealloc(p, layout(10, 1))
		}
		if _, typed := a.(galloc.TypedAllocator); galloc.HoldsPointers(d) != typed {
			t.Errorf("%T: HoldsPointers returns %v", a, !typed)
		}
		f, ok := wrap.Find[*memcheck.Checker](d)
		if !ok || f != d || d.Unwrap() != a || !strings.HasPrefix(d.String(), "memcheck(") {
			t.Errorf("%v", d)
		}
	}
}

// In sampled mode, only the allocator inside knows the blocks that are passed on.
func TestOwnsOfBlocksPassedOn(t *testing.T) {
	for _, a := range []galloc.Allocator{galloc.Must(heap.New(heap.Options{})), galloc.System} {
		d := memcheck.New(a, failing(t, memcheck.Options{Sample: 1 << 30}))
		p := d.Alloc(layout(10, 1))
		want, wantErr := galloc.Owns(a, p)
		if owns, err := galloc.Owns(d, p); owns != want || errors.Is(err, errors.ErrUnsupported) != (wantErr != nil) {
			t.Errorf("%T: Owns returns %v, %v, not %v, %v", a, owns, err, want, wantErr)
		}
		d.Dealloc(p, layout(10, 1))
	}
}

type resetting struct{ resets int }

func (*resetting) Allocate(l galloc.Layout) ([]byte, error)     { return galloc.System.Allocate(l) }
func (*resetting) Deallocate(p unsafe.Pointer, l galloc.Layout) { galloc.System.Deallocate(p, l) }
func (r *resetting) Reset()                                     { r.resets++ }

func TestHugeSizesAreRefused(t *testing.T) {
	d := memcheck.New(nil, failing(t, memcheck.Options{}))
	top := layout(1<<(bits.UintSize-1)-8, 8)
	if b, err := d.Allocate(top); !errors.Is(err, galloc.ErrOutOfMemory) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
