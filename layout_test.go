package galloc_test

import (
	"errors"
	"math"
	"math/bits"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/vm"
)

const tooLarge = uintptr(math.MaxInt) + 1

func layout(t testing.TB, size, align uintptr) galloc.Layout {
	t.Helper()
	l, err := galloc.NewLayout(size, align)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantRule fails the test unless err is a *LayoutError about the rule.
func wantRule(t *testing.T, err error, rule string) {
	t.Helper()
	var le *galloc.LayoutError
	if !errors.As(err, &le) || !strings.Contains(le.Rule(), rule) {
		t.Errorf("got error %v, want a *LayoutError about %q", err, rule)
	}
}

func TestZeroLayoutIsValid(t *testing.T) {
	var l galloc.Layout
	if l.Size() != 0 || l.Align() != 1 || l != layout(t, 0, 1) {
		t.Errorf("zero value is %v", l)
	}
}

func TestLayoutKeepsWhatItIsGiven(t *testing.T) {
	l := layout(t, 0x2000, 0x1000)
	if l.Size() != 0x2000 || l.Align() != 0x1000 {
		t.Errorf("got %v", l)
	}
}

func TestLayoutAcceptsEveryPowerOfTwo(t *testing.T) {
	for k := range bits.UintSize {
		if l := layout(t, 0, 1<<k); l.Align() != 1<<k || l.Size() != 0 {
			t.Errorf("1<<%d: got %v", k, l)
		}
	}
}

func TestLayoutRefusesOtherAlignments(t *testing.T) {
	_, err := galloc.NewLayout(8, 0)
	wantRule(t, err, "alignment is zero")
	for _, align := range []uintptr{3, 6, 24, 4097, math.MaxInt, math.MaxUint} {
		_, err := galloc.NewLayout(8, align)
		wantRule(t, err, "not a power of two")
	}
}

// The size rounded up to the alignment may be MaxInt at most: checked on both sides of the edge,
// for every alignment.
func TestLayoutSizeLimit(t *testing.T) {
	for k := range bits.UintSize {
		align := uintptr(1) << k
		edge := tooLarge - align
		low, high := edge-min(edge, 10), edge+10
		for size := low; size <= high; size++ {
			sum, carry := bits.Add(uint(size), uint(align-1), 0)
			want := carry == 0 && sum/uint(align)*uint(align) <= math.MaxInt // size rounded up
			_, err := galloc.NewLayout(size, align)
			if (err == nil) != want {
				t.Fatalf("NewLayout(%#x, 1<<%d): error %v, want valid: %v", size, k, err, want)
			}
			if err != nil {
				wantRule(t, err, "exceeds math.MaxInt")
			}
		}
	}
}

func TestLayoutOf(t *testing.T) {
	type odd struct {
		a uint8
		b uint64
		c uint16
	}
	check := func(l galloc.Layout, typ reflect.Type) {
		if l.Size() != typ.Size() || l.Align() != uintptr(typ.Align()) {
			t.Errorf("%v: got %v", typ, l)
		}
	}
	check(galloc.LayoutOf[byte](), reflect.TypeFor[byte]())
	check(galloc.LayoutOf[odd](), reflect.TypeFor[odd]())
	check(galloc.LayoutOf[struct{}](), reflect.TypeFor[struct{}]())
	check(galloc.LayoutOf[[3]odd](), reflect.TypeFor[[3]odd]())
	check(galloc.LayoutOf[string](), reflect.TypeFor[string]())
}

func testArrayEdge[T any](t *testing.T) {
	t.Helper()
	size, align := galloc.LayoutOf[T]().Size(), galloc.LayoutOf[T]().Align()
	edge := int(tooLarge / size)
	for n := edge - 10; n > 0 && n < edge+10; n++ {
		want := uintptr(n) <= math.MaxInt/size // n*size <= MaxInt, without overflow
		l, err := galloc.ArrayLayout[T](n)
		if (err == nil) != want {
			t.Fatalf("%d elements of %d bytes: error %v, want valid: %v", n, size, err, want)
		}
		if err != nil {
			wantRule(t, err, "total size exceeds")
		} else if l.Size() != uintptr(n)*size || l.Align() != align {
			t.Fatalf("%d elements of %d bytes: got %v", n, size, l)
		}
	}
}

func TestArrayLayoutLimit(t *testing.T) {
	testArrayEdge[int64](t)
	testArrayEdge[[21]int32](t)
	testArrayEdge[[85]uint8](t)
	for _, n := range []int{0, 1, math.MaxInt} {
		if l, err := galloc.ArrayLayout[struct{}](n); err != nil || l != (galloc.Layout{}) {
			t.Errorf("%d elements of size 0: got %v, %v", n, l, err)
		}
	}
	for _, n := range []int{-1, math.MinInt} {
		_, err := galloc.ArrayLayout[struct{}](n)
		wantRule(t, err, "count is negative")
		_, err = galloc.ArrayLayout[int64](n)
		wantRule(t, err, "count is negative")
	}
}

func TestLayoutOfValue(t *testing.T) {
	var pair struct {
		a uint8
		b uint32
	}
	for _, c := range []struct {
		name  string
		value any
		want  galloc.Layout
	}{
		{"nil", nil, galloc.Layout{}},
		{"uint16", uint16(7), layout(t, 2, 2)},
		{"struct", pair, layout(t, 8, 4)},
		{"pointer to struct", &pair, layout(t, 8, 4)},
		{"nil pointer", (*uint32)(nil), layout(t, 4, 4)},
		{"string", "hello", layout(t, 5, 1)},
		{"slice", []uint32{1, 2, 3}, layout(t, 12, 4)},
		{"resliced", make([]uint32, 3, 9), layout(t, 12, 4)},
		{"nil slice", []uint32(nil), layout(t, 0, 4)},
		{"array", [5]uint16{}, layout(t, 10, 2)},
		{"map", map[int]int{}, galloc.LayoutOf[uintptr]()},
	} {
		if got := galloc.LayoutOfValue(c.value); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A struct of the same fields, laid out by the compiler, is the oracle.
func TestStructLayoutAgreesWithTheCompiler(t *testing.T) {
	type s struct {
		a uint64
		b uint32
		c uint16
		d uint32
		e [3]byte
		f uint16
	}
	var v s
	var fields []galloc.Layout
	var want []uintptr
	for f := range reflect.TypeOf(v).Fields() {
		fields = append(fields, layout(t, f.Type.Size(), uintptr(f.Type.Align())))
		want = append(want, f.Offset)
	}
	l, offsets, err := galloc.StructLayout(fields...)
	if err != nil || l != galloc.LayoutOf[s]() || !reflect.DeepEqual(offsets, want) {
		t.Errorf("got %v, offsets %v, error %v; want %v, %v", l, offsets, err, galloc.LayoutOf[s](), want)
	}
	l, offsets, err = galloc.StructLayout()
	if err != nil || l != (galloc.Layout{}) || len(offsets) != 0 {
		t.Errorf("no fields: got %v, %v, %v", l, offsets, err)
	}
	_, _, err = galloc.StructLayout(layout(t, math.MaxInt-7, 8), layout(t, 1, 1))
	wantRule(t, err, "exceeds math.MaxInt")
}

func TestAlignTo(t *testing.T) {
	l := layout(t, 16, 8)
	for _, c := range []struct{ align, want uintptr }{{1, 8}, {8, 8}, {16, 16}, {32, 32}} {
		got, err := l.AlignTo(c.align)
		if err != nil || got != layout(t, 16, c.want) { // the size does not change
			t.Errorf("AlignTo(%d): got %v, %v", c.align, got, err)
		}
	}
	_, err := l.AlignTo(0)
	wantRule(t, err, "alignment is zero")
	_, err = l.AlignTo(6)
	wantRule(t, err, "not a power of two")
	_, err = layout(t, math.MaxInt, 1).AlignTo(2)
	wantRule(t, err, "exceeds math.MaxInt")
}

func TestPadding(t *testing.T) {
	for _, c := range []struct{ size, align, want uintptr }{
		{9, 4, 3}, {9, 1, 0}, {8, 8, 0}, {0, 64, 0}, {1, 64, 63}, {math.MaxInt, 2, 1},
	} {
		if got := layout(t, c.size, 1).PaddingFor(c.align); got != c.want {
			t.Errorf("size %d: PaddingFor(%d) = %d, want %d", c.size, c.align, got, c.want)
		}
	}
	for k := range bits.UintSize {
		// The largest size that goes with the alignment: cannot fail either.
		l := layout(t, tooLarge-1<<k, 1<<k)
		if p := l.PadToAlign(); p.Size()%p.Align() != 0 || p.Size() < l.Size() || p.Align() != l.Align() {
			t.Errorf("PadToAlign of %v is %v", l, p)
		}
	}
	if p := layout(t, 9, 4).PadToAlign(); p != layout(t, 12, 4) {
		t.Errorf("got %v", p)
	}
}

func TestPaddingForPanicsOnACallersBug(t *testing.T) {
	for _, align := range []uintptr{0, 3} {
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.HasPrefix(err.Error(), "galloc: ") {
					t.Errorf("PaddingFor(%d) panicked with %v", align, err)
				}
			}()
			layout(t, 8, 8).PaddingFor(align)
			t.Errorf("PaddingFor(%d) did not panic", align)
		}()
	}
}

func TestExtend(t *testing.T) {
	for _, c := range []struct {
		a, b   [2]uintptr
		want   [2]uintptr
		offset uintptr
	}{
		{[2]uintptr{8, 8}, [2]uintptr{4, 4}, [2]uintptr{12, 8}, 8},
		{[2]uintptr{1, 1}, [2]uintptr{8, 8}, [2]uintptr{16, 8}, 8},
		{[2]uintptr{0, 1}, [2]uintptr{3, 2}, [2]uintptr{3, 2}, 0},
		{[2]uintptr{5, 4}, [2]uintptr{0, 16}, [2]uintptr{16, 16}, 16},
	} {
		got, offset, err := layout(t, c.a[0], c.a[1]).Extend(layout(t, c.b[0], c.b[1]))
		if err != nil || got != layout(t, c.want[0], c.want[1]) || offset != c.offset {
			t.Errorf("%v + %v: got %v at %d, %v", c.a, c.b, got, offset, err)
		}
	}
	huge := layout(t, math.MaxInt, 1)
	_, _, err := huge.Extend(layout(t, 1, 1))
	wantRule(t, err, "exceeds math.MaxInt")
	_, _, err = huge.Extend(huge)
	wantRule(t, err, "exceeds math.MaxInt")
	_, _, err = layout(t, 1, 1).Extend(layout(t, 0, tooLarge)) // the padding alone is too much
	wantRule(t, err, "exceeds math.MaxInt")
}

func TestExtendPacked(t *testing.T) {
	got, err := layout(t, 5, 4).ExtendPacked(layout(t, 8, 64))
	if err != nil || got != layout(t, 13, 4) {
		t.Errorf("got %v, %v", got, err)
	}
	huge := layout(t, math.MaxInt, 1)
	_, err = huge.ExtendPacked(huge)
	wantRule(t, err, "exceeds math.MaxInt")
}

func TestRepeat(t *testing.T) {
	for _, c := range []struct {
		size, align uintptr
		n           int
		want        uintptr
		stride      uintptr
	}{
		{12, 4, 3, 36, 12},
		{6, 4, 3, 22, 8}, // padding between, none after
		{6, 4, 1, 6, 8},
		{6, 4, 0, 0, 8},
		{0, 8, math.MaxInt, 0, 0},
		{1, 1, math.MaxInt, math.MaxInt, 1},
	} {
		got, stride, err := layout(t, c.size, c.align).Repeat(c.n)
		if err != nil || got != layout(t, c.want, c.align) || stride != c.stride {
			t.Errorf("(%d, %d) x %d: got %v, stride %d, %v", c.size, c.align, c.n, got, stride, err)
		}
	}
	for _, n := range []int{-1, math.MinInt} {
		_, _, err := layout(t, 0, 1).Repeat(n)
		wantRule(t, err, "count is negative")
		_, err = layout(t, 0, 1).RepeatPacked(n)
		wantRule(t, err, "count is negative")
	}
	_, _, err := layout(t, 1, 2).Repeat(math.MaxInt)
	wantRule(t, err, "total size exceeds")
	_, _, err = layout(t, math.MaxInt, 1).Repeat(math.MaxInt)
	wantRule(t, err, "total size exceeds")
}

func TestRepeatPacked(t *testing.T) {
	got, err := layout(t, 6, 4).RepeatPacked(3)
	if err != nil || got != layout(t, 18, 4) {
		t.Errorf("got %v, %v", got, err)
	}
	_, err = layout(t, 2, 1).RepeatPacked(math.MaxInt)
	wantRule(t, err, "total size exceeds")
}

func TestDanglingIsAlignedAndNotNil(t *testing.T) {
	seen := map[unsafe.Pointer]bool{}
	for k := range bits.UintSize {
		l := layout(t, 0, 1<<k)
		p := l.Dangling()
		if p == nil || p != l.Dangling() {
			t.Fatalf("1<<%d: got %p, then %p", k, p, l.Dangling())
		}
		if k <= 16 && uintptr(p)&(1<<k-1) != 0 {
			t.Errorf("1<<%d: %p is not aligned", k, p)
		}
		seen[p] = true
	}
	if len(seen) < 2 && bits.UintSize == 64 && !vm.GoMemory {
		t.Error("every alignment has the same address: nothing was reserved for the large ones")
	}
	// A live pointer that the Go runtime takes for a bad one crashes when a stack grows or the
	// collector runs.
	growStack(1 << 12)
}

func growStack(n int) int {
	p := galloc.Layout{}.Dangling()
	if n == 0 {
		return int(uintptr(p) & 1)
	}
	return growStack(n-1) + int(uintptr(p)&1)
}

func TestLayoutStringShowsTheLogarithm(t *testing.T) {
	if got, want := layout(t, 24576, 8192).String(), "Layout(size 24576, align 8192 = 1<<13)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLayoutErrorsSayRuleAndNumbers(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{second(galloc.NewLayout(48, 24)), "galloc: invalid layout: alignment is not a power of two (size 48, align 24)"},
		{second(galloc.NewLayout(48, 0)), "galloc: invalid layout: alignment is zero (size 48, align 0)"},
		{second(galloc.ArrayLayout[int32](-3)), "galloc: invalid layout: count is negative (count -3, size 4, align 4)"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("got %q, want %q", c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
