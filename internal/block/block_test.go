package block

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"unsafe"
)

var sizes = []int{0, 1, 7, chunk - 1, chunk, chunk + 1, 2 * chunk, 2*chunk + 5}

func TestCopyAndClear(t *testing.T) {
	for _, n := range sizes {
		src, dst := bytes.Repeat([]byte{1}, n+2), make([]byte, n+2)
		for i := range src {
			src[i] = byte(i%251 + 1)
		}
		Copy(unsafe.Pointer(&dst[1]), unsafe.Pointer(&src[1]), uintptr(n))
		if !bytes.Equal(dst[1:n+1], src[1:n+1]) || dst[0] != 0 || dst[n+1] != 0 {
			t.Errorf("Copy of %d bytes", n)
		}
		Clear(unsafe.Pointer(&src[1]), uintptr(n))
		if src[0] == 0 || src[n+1] == 0 || len(bytes.Trim(src[1:n+1], "\x00")) != 0 {
			t.Errorf("Clear of %d bytes", n)
		}
		ClearBytes(dst[:n+1])
		if len(bytes.Trim(dst, "\x00")) != 0 {
			t.Errorf("ClearBytes of %d bytes", n)
		}
	}
	ClearBytes(nil)
}

func TestCopyWithinABlock(t *testing.T) {
	for _, n := range sizes {
		for _, by := range []int{0, 1, 8, chunk - 1, chunk, chunk + 1} {
			for _, up := range []bool{false, true} {
				b := make([]byte, n+by+1) // both parts begin within it
				for i := range b {
					b[i] = byte(i % 251)
				}
				want := bytes.Clone(b)
				dst, src := 0, by
				if up {
					dst, src = by, 0
				}
				copy(want[dst:], want[src:src+n])
				p := unsafe.Pointer(unsafe.SliceData(b))
				Copy(unsafe.Add(p, dst), unsafe.Add(p, src), uintptr(n))
				if !bytes.Equal(b, want) {
					t.Errorf("Copy of %d bytes from %d to %d", n, src, dst)
				}
			}
		}
	}
}

func TestCheckGrowAndShrink(t *testing.T) {
	CheckGrow("galloc/x", 8, 8)
	CheckShrink("galloc/x", 8, 8)
	for want, f := range map[string]func(){
		"galloc/x: Grow to a smaller size (8 < 16): use Shrink": func() { CheckGrow("galloc/x", 16, 8) },
		"galloc/x: Shrink to a larger size (16 > 8): use Grow":  func() { CheckShrink("galloc/x", 8, 16) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			}()
			f()
		}()
	}
}

func TestNumbers(t *testing.T) {
	for lg := range uint32(63) {
		align := uintptr(1) << lg
		if align == 0 || align > math.MaxInt {
			break
		}
		if Log2(align) != lg || RoundUp(0, align) != 0 || RoundUp(1, align) != align || RoundUp(align, align) != align {
			t.Errorf("align 1<<%d", lg)
		}
		if m := MaxSize(align); RoundUp(m, align) != math.MaxInt+1-align || m+align != math.MaxInt+1 {
			t.Errorf("align 1<<%d: MaxSize %d", lg, m)
		}
	}
}

func TestName(t *testing.T) {
	if got := Name(new(strings.Builder)); got != "" { // a Stringer
		t.Error(got)
	}
	if got := Name(3); got != "int" {
		t.Error(got)
	}
}
