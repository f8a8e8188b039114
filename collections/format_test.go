package collections_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/galloc-go/galloc/collections"
)

func TestCollectionsPrintTheirElements(t *testing.T) {
	var v collections.Vec[int]
	var d collections.Deque[float32]
	var s collections.Slab[bool]
	var b collections.BTree[int8, int]
	var f collections.Vec[[2]uint8]
	defer v.Free()
	defer d.Free()
	defer s.Free()
	defer b.Free()
	defer f.Free()
	if got := fmt.Sprint(&v, &d, &s, &b); got != "[] [] [] map[]" {
		t.Errorf("empty: %s", got)
	}
	v.Append(1, 20, 300)
	d.Append(2, 3)
	d.PushFront(0.5)
	s.Delete(s.Add(false))
	s.Add(true)
	b.Put(2, 20)
	b.Put(-1, 10)
	f.Push([2]uint8{1, 2})
	for _, c := range []struct {
		format string
		x      fmt.Stringer
		want   string
	}{
		{"%v", &v, "[1 20 300]"},
		{"%d", &v, "[1 20 300]"},
		{"%04x", &v, "[0001 0014 012c]"},
		{"%s", &v, "[%!s(int=1) %!s(int=20) %!s(int=300)]"}, // as a slice prints
		{"%v", &d, "[0.5 2 3]"},
		{"%.2f", &d, "[0.50 2.00 3.00]"},
		{"%v", &s, "[true]"},
		{"%v", &b, "map[-1:10 2:20]"},
		{"%+d", &b, "map[-1:+10 +2:+20]"},
		{"%v", &f, "[[1 2]]"},
		{"%#v", &f, "[[2]uint8{0x1, 0x2}]"},
	} {
		if got := fmt.Sprintf(c.format, c.x); got != c.want {
			t.Errorf("%s of %T: %s, want %s", c.format, c.x, got, c.want)
		}
		if c.format == "%v" && c.x.String() != c.want {
			t.Errorf("String of %T: %s, want %s", c.x, c.x.String(), c.want)
		}
	}
	var none *collections.Vec[int]
	if got := fmt.Sprint(none); got != "<nil>" {
		t.Errorf("a nil Vec prints %q", got)
	}
}

// A long collection prints a bounded number of elements.
func TestPrintingIsBounded(t *testing.T) {
	var v collections.Vec[int]
	var b collections.BTree[int, int]
	defer v.Free()
	defer b.Free()
	for i := range 100 {
		v.Push(i)
		b.Put(i, i)
	}
	if got := v.String(); strings.Contains(got, "more") || !strings.HasSuffix(got, " 98 99]") {
		t.Error(got)
	}
	for i := 100; i < 1234; i++ {
		v.Push(i)
		b.Put(i, i)
	}
	if got := v.String(); !strings.HasPrefix(got, "[0 1 2 ") || !strings.HasSuffix(got, " 98 99 ...1134 more]") {
		t.Error(got)
	}
	got := b.String()
	if !strings.HasPrefix(got, "map[0:0 1:1 ") || !strings.HasSuffix(got, " 98:98 99:99 ...1134 more]") {
		t.Error(got)
	}
}
