package collections

import (
	"errors"
	"math"
	"math/bits"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// On 32 bits twice the length of a ring may overflow an int. This ring has memory only for its
// first bytes, and the test reads nothing.
func TestARingThatCannotDouble(t *testing.T) {
	if bits.UintSize != 32 {
		return
	}
	var b [8]byte
	const n = math.MaxInt/2 + 10
	d := Deque[byte]{alloc: galloc.Null, ring: unsafe.Slice(&b[0], n), n: n}
	front, _ := d.Slices()
	var e *galloc.LayoutError
	if err := d.TryAppend(front...); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

// huge is an allocator of blocks that have memory only for their first bytes.
type huge struct {
	p    unsafe.Pointer
	size uintptr // of the last block
}

func (h *huge) Allocate(l galloc.Layout) ([]byte, error) {
	h.size = l.Size()
	return unsafe.Slice((*byte)(h.p), l.Size()), nil
}

func (h *huge) Deallocate(unsafe.Pointer, galloc.Layout) {}

func (h *huge) Grow(_ unsafe.Pointer, _, l galloc.Layout) ([]byte, error) { return h.Allocate(l) }

func (h *huge) GrowZeroed(_ unsafe.Pointer, _, l galloc.Layout) ([]byte, error) { return h.Allocate(l) }

// An array that cannot double its capacity still grows to the capacity needed.
func TestArraysThatCannotDouble(t *testing.T) {
	if bits.UintSize == 32 {
		return // such a block would wrap around the address space
	}
	l := galloc.LayoutOf[uint64]()
	b := galloc.Must(galloc.System.Allocate(l))
	defer galloc.System.Deallocate(unsafe.Pointer(&b[0]), l)
	const n = math.MaxInt / 16 // twice the number exceeds any layout
	for _, first := range []int{n - 1000, n + 1000} {
		h := &huge{p: unsafe.Pointer(&b[0])}
		v := NewVec[uint64](h)
		v.ReserveExact(first)
		if err := v.TryReserve(n + 2000); err != nil {
			t.Errorf("from %d: %v", first, err)
		}
		want := uintptr(2 * first)
		if first > n { // half of the addition
			want = n + 2000 + uintptr(2*first-n-2000)/2
		}
		if h.size != want*8 {
			t.Errorf("from %d: %d bytes, want %d", first, h.size, want*8)
		}
	}
}
