package collections

import (
	"errors"
	"math/bits"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

// A text that does not fit into the rest of a chunk goes to the next one. Clear keeps the chunks.
func TestTextsStayWithinTheirChunks(t *testing.T) {
	for _, n := range []int{1, 10, 11, 12, 120, 121, 5000, 70_000} {
		a := alloctest.Track(galloc.System)
		in := NewInterner(a)
		in.Reserve(200)
		for i := range 100 {
			in.Intern(string([]byte{'a', 'b', byte(i), 'c'})) // 500 bytes of 512, with the lengths
		}
		calls := a.Calls()
		in.Intern(strings.Repeat("x", n))
		if want := min(n/12, 1); a.Calls()-calls != want || len(in.text.chunks) != 2+want {
			t.Errorf("%d allocations, %d chunks for a text of %d bytes, want %d", a.Calls()-calls, len(in.text.chunks), n, want)
		}
		calls = a.Calls()
		in.Clear()
		for i := range 100 {
			in.Intern(string([]byte{'a', 'b', byte(i), 'd'}))
		}
		if c := in.text.chunks[in.text.current]; a.Calls() != calls || in.text.current != 1 || c.top != 500 {
			t.Errorf("after Clear, %d allocations; the next text goes to %d in chunk %d", a.Calls()-calls, c.top, in.text.current)
		}
		if err := in.text.check(in.entries.Slice(), false); err != nil {
			t.Error(err)
		}
		in.Free()
		if len(a.Live())+len(a.Misuses()) != 0 {
			t.Error(a.Live(), a.Misuses())
		}
	}
	if bits.UintSize == 64 {
		n := uint64(1) << 32
		if err := NewInterner(galloc.Null).TryReserve(int(n)); !errors.Is(err, galloc.ErrUnsupported) {
			t.Errorf("Reserve of 2^32 strings: %v", err)
		}
	}
}
