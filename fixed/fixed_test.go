package fixed_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/fixed"
)

// both is the methods of Buffer and Shared.
type both interface {
	galloc.Resizer
	galloc.Owner
	galloc.Resetter
	Used() int
	Bytes() []byte
	Offset(p unsafe.Pointer) int
	At(offset int) unsafe.Pointer
}

var kinds = map[string]func(mem []byte, used int) both{
	"Buffer": func(mem []byte, used int) both { return fixed.Resume(mem, used) },
	"Shared": func(mem []byte, used int) both { return fixed.ResumeShared(mem, used) },
}

// room is as many bytes as a rule of alloctest allocates in all, because almost nothing is freed.
const room = 512 << 20

func TestConformance(t *testing.T) {
	if math.MaxInt == math.MaxInt32 || runtime.GOARCH == "wasm" {
		t.Skip("the rules need more memory than 32 bits can address well")
	}
	mem, err := galloc.System.Allocate(layout(t, room, 1)) // mostly not touched or committed
	if err != nil {
		t.Fatal(err)
	}
	defer galloc.System.Deallocate(unsafe.Pointer(&mem[0]), layout(t, room, 1))
	alloctest.Run(t, func() galloc.Allocator { return fixed.New(mem) }, alloctest.SingleGoroutine)
	alloctest.Run(t, func() galloc.Allocator { return fixed.NewShared(mem[1:]) })
}

func TestAllOfTheMemory(t *testing.T) {
	for name, kind := range kinds {
		mem := make([]byte, 1000)
		a := kind(mem[10:900], 0)
		for i := range 89 {
			b, err := a.Allocate(layout(t, 10, 1))
			if err != nil || &b[0] != &mem[10+10*i] || len(b) != 10 || cap(b) != 10 {
				t.Fatalf("%s: block %d: %v", name, i, err)
			}
		}
		if _, err := a.Allocate(layout(t, 1, 1)); err != galloc.ErrLimit || a.Used() != 890 {
			t.Errorf("%s: %v, used %d", name, err, a.Used())
		}
		if b, err := a.Allocate(layout(t, 0, 4096)); len(b) != 0 || err != nil {
			t.Errorf("%s: size 0: %v, %v", name, b, err)
		}
		for _, b := range mem {
			if b != 0 {
				t.Fatalf("%s: the allocator wrote to the memory", name)
			}
		}
		a.Reset()
		for range 2 {
			if _, err := a.Allocate(layout(t, math.MaxInt, 1)); err != galloc.ErrLimit || a.Used() > 880 {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := a.Allocate(layout(t, 1, math.MaxInt/2+1)); err != galloc.ErrLimit || a.Used() > 880 {
				t.Errorf("%s: %v", name, err)
			}
			if b, err := a.Allocate(layout(t, 880, 1)); err == nil && &b[0] != &mem[10] {
				t.Errorf("%s: Reset did not free everything", name)
			}
		}
		if _, err := kind(nil, 0).Allocate(layout(t, 1, 1)); err != galloc.ErrLimit {
			t.Errorf("%s of no memory: %v", name, err)
		}
	}
}

func TestTheLastBlock(t *testing.T) {
	for name, kind := range kinds {
		mem := make([]byte, 100)
		a := kind(mem, 0)
		l10, l20, l80 := layout(t, 10, 1), layout(t, 20, 1), layout(t, 80, 1)
		p := address(a.Allocate(l10))
		q := address(a.Allocate(l10))
		a.Deallocate(p, l10)
		if a.Used() != 20 {
			t.Errorf("%s: a block that is not the last one was freed", name)
		}
		a.Deallocate(q, l10)
		a.Deallocate(q, l10)
		if a.Used() != 10 {
			t.Errorf("%s: %d bytes used after the last block was freed", name, a.Used())
		}
		if address(a.Allocate(l20)) != q || !a.Resize(q, l20, 80) || a.Used() != 90 ||
			a.Resize(q, l80, 91) || !a.Resize(q, l80, 90) {
			t.Errorf("%s: the last block cannot grow to the end, or can grow past it", name)
		}
		if !a.Resize(q, layout(t, 90, 1), 10) || a.Used() != 20 {
			t.Errorf("%s: shrinking freed nothing", name)
		}
		if a.Resize(p, l10, 11) || !a.Resize(p, l10, 9) || a.Used() != 20 || a.Resize(p, l10, math.MaxUint) {
			t.Errorf("%s: another block grew, or freed memory", name)
		}
		a.Deallocate(nil, layout(t, 0, 1))
		a.Deallocate(unsafe.Pointer(&mem[20]), layout(t, 0, 1))
		if a.Used() != 20 {
			t.Errorf("%s: a block of size 0 freed memory", name)
		}
	}
}

// Freeing a foreign block from before the memory, which ends where the last block does, changes
// nothing.
func TestForeignBlocksChangeNothing(t *testing.T) {
	for name, kind := range kinds {
		mem := make([]byte, 200)
		a := kind(mem[100:], 0)
		p := address(a.Allocate(layout(t, 50, 1)))
		before, l := unsafe.Pointer(&mem[40]), layout(t, 110, 1)
		a.Deallocate(before, l)
		if a.Resize(before, l, 5); a.Used() != 50 {
			t.Errorf("%s: %d bytes are used", name, a.Used())
		}
		if a.Resize(before, l, 111); a.Used() != 50 {
			t.Errorf("%s: %d bytes are used", name, a.Used())
		}
		if a.Deallocate(p, layout(t, 50, 1)); a.Used() != 0 {
			t.Errorf("%s: %d bytes are used", name, a.Used())
		}
	}
}

// Offsets are valid in a copy of the memory at another address, such as a file that is mapped
// again.
func TestOffsetsAtAnotherAddress(t *testing.T) {
	type item struct{ next, value uint32 } // next is an offset
	for name, kind := range kinds {
		mem := make([]uint64, 1024)
		a := kind(bytesOf(mem), 0)
		var last uint32
		for i := range uint32(10) {
			p := galloc.Must(galloc.New[item](a))
			*p = item{last, i}
			last = uint32(a.Offset(unsafe.Pointer(p)))
			if a.At(int(last)) != unsafe.Pointer(p) {
				t.Fatalf("%s: At does not undo Offset", name)
			}
		}
		moved := make([]uint64, 1024)
		copy(moved, mem)
		b := kind(bytesOf(moved), a.Used())
		clear(mem)
		if &b.Bytes()[0] != (*byte)(unsafe.Pointer(&moved[0])) {
			t.Fatalf("%s: Bytes is not the memory", name)
		}
		galloc.Must(galloc.New[item](b)).value = 77 // after the existing blocks
		for i := uint32(9); i > 0; i-- {
			p := (*item)(b.At(int(last)))
			if p.value != i {
				t.Fatalf("%s: item %d is %+v", name, i, *p)
			}
			last = p.next
		}
	}
}

func TestOwnsItsMemory(t *testing.T) {
	for name, kind := range kinds {
		mem := make([]byte, 100)
		a := kind(mem[10:90], 0)
		for i := range mem {
			p := unsafe.Pointer(&mem[i])
			if in := 10 <= i && i < 90; a.Owns(p) != in {
				t.Errorf("%s: Owns of byte %d", name, i)
			} else if in && a.Offset(p) != i-10 {
				t.Errorf("%s: Offset of byte %d is %d", name, i, a.Offset(p))
			} else if !in {
				wantPanic(t, "is not in the memory", func() { a.Offset(p) })
			}
		}
		wantPanic(t, "At(80)", func() { a.At(80) })
		wantPanic(t, "At(-1)", func() { a.At(-1) })
		wantPanic(t, "101 bytes in use, but the memory has 100", func() { kind(mem, 101) })
		wantPanic(t, "-1 bytes in use, but the memory has 100", func() { kind(mem, -1) })
		if a.Owns(nil) {
			t.Errorf("%s owns nil", name)
		}
	}
	got := fmt.Sprint(fixed.New(make([]byte, 10)), ", ", fixed.NewShared(make([]byte, 10)))
	if got != "fixed buffer of 10 bytes, shared fixed buffer of 10 bytes" {
		t.Error(got)
	}
}

// Goroutines allocate, free and grow blocks concurrently until the memory is full. Each writes to
// its blocks, and no blocks overlap.
func TestSharedAtOnce(t *testing.T) {
	s := fixed.NewShared(make([]byte, 1<<20))
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for g := range byte(8) {
		wg.Go(func() {
			var mine [][]byte
			l, _ := galloc.NewLayout(16, 8)
			long, _ := galloc.NewLayout(32, 8)
			for i := 0; ; i++ {
				b, err := s.Allocate(l)
				if err != nil {
					break
				}
				p := unsafe.Pointer(&b[0])
				switch {
				case i%3 == 0 && s.Resize(p, l, 32):
					b = unsafe.Slice(&b[0], 32)
					if i%2 == 0 {
						s.Resize(p, long, 16)
						b = b[:16]
					}
				case i%3 == 1:
					s.Deallocate(p, l)
					continue
				}
				for j := range b {
					b[j] = g
				}
				mine = append(mine, b)
			}
			for _, b := range mine {
				for _, c := range b {
					if c != g {
						errs <- errors.New("two goroutines have the same memory")
						return
					}
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func FuzzBuffer(f *testing.F) {
	mem := make([]byte, 1<<20+7)
	alloctest.Fuzz(f, func() galloc.Allocator { return fixed.New(mem[7:]) })
}

func FuzzShared(f *testing.F) {
	mem := make([]byte, 1<<20+7)
	alloctest.Fuzz(f, func() galloc.Allocator { return fixed.NewShared(mem[7:]) })
}

// FuzzModel compares a Buffer with a model that computes the exact address of each block.
func FuzzModel(f *testing.F) {
	f.Add(uint8(3), []byte("\x01\x10\x25\x20\x03\x00\x44\x30\x02\x00"))
	f.Fuzz(func(t *testing.T, start uint8, data []byte) {
		mem := make([]byte, 4096)[start%64:]
		base := int(uintptr(unsafe.Pointer(&mem[0])))
		for _, kind := range kinds {
			a := kind(mem, 0)
			type block struct {
				at int
				l  galloc.Layout
			}
			var blocks []block
			used := 0
			for data := data; len(data) >= 2; data = data[2:] {
				size, align := uintptr(data[1])<<(data[0]>>7*3), uintptr(1)<<(data[0]>>4&7)
				l := layout(t, size, align)
				i := 0
				if len(blocks) > 0 {
					i = len(blocks) - 1 - int(data[0]>>4)%len(blocks)
				}
				switch op := data[0] & 3; {
				case op == 0 || len(blocks) == 0:
					at := used + -(base+used)&int(align-1)
					b, err := a.Allocate(l)
					if fits := at+int(size) <= len(mem); fits != (err == nil) && size != 0 {
						t.Fatalf("%v with %d of %d used: %v", l, used, len(mem), err)
					}
					if err == nil && size != 0 {
						if a.Offset(unsafe.Pointer(&b[0])) != at || uintptr(len(b)) != size {
							t.Fatalf("%v with %d used is at %d", l, used, a.Offset(unsafe.Pointer(&b[0])))
						}
						used = at + int(size)
						blocks = append(blocks, block{at, l})
					}
				case op == 1:
					b := blocks[i]
					a.Deallocate(a.At(b.at), b.l)
					if b.at+int(b.l.Size()) == used {
						used = b.at
					}
					blocks = append(blocks[:i], blocks[i+1:]...)
				case op == 2:
					b := &blocks[i]
					last := b.at+int(b.l.Size()) == used
					want := size <= b.l.Size() || last && b.at+int(size) <= len(mem)
					if size == 0 {
						continue
					}
					if a.Resize(a.At(b.at), b.l, size) != want {
						t.Fatalf("Resize of %v at %d to %d, %d used", b.l, b.at, size, used)
					}
					if want {
						b.l = layout(t, size, b.l.Align())
						if last {
							used = b.at + int(size)
						}
					}
				case size == 255:
					a.Reset()
					used, blocks = 0, nil
				}
				if a.Used() != used {
					t.Fatalf("%d bytes are used, not %d", a.Used(), used)
				}
			}
		}
	})
}

func bytesOf(mem []uint64) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(mem))), len(mem)*8)
}

func address(b []byte, _ error) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(b)) }

func layout(t *testing.T, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func wantPanic(t *testing.T, want string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if got := fmt.Sprint(recover()); !strings.HasPrefix(got, "galloc/fixed: ") || !strings.Contains(got, want) {
			t.Errorf("panicked with %q, want %q", got, want)
		}
	}()
	f()
}
