package galloc_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// resizing is a registered allocator that is a Resizer and a UsableSizer.
type resizing struct{ roomy }

func (resizing) Alloc(l galloc.Layout) unsafe.Pointer {
	b, err := roomy{}.Allocate(l)
	if err != nil {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(b))
}
func (resizing) Dealloc(p unsafe.Pointer, l galloc.Layout) { roomy{}.Deallocate(p, l) }

// expectInPlace fails the child unless a block of 10 bytes can be made grown bytes large where it
// is, but not more, and usable is what is set aside for it. grown 0 is never.
func expectInPlace(grown, usable uintptr) {
	l := testLayout(10, 8)
	if n := galloc.Global.GoodSize(l); n != usable {
		fail("usable size %d, want %d", n, usable)
	}
	if n := galloc.Global.GoodSize(testLayout(0, 8)); n != 0 {
		fail("usable size of nothing is %d", n)
	}
	p := galloc.Alloc(l)
	for _, n := range []uintptr{0, 1 << 20, ^uintptr(0)} {
		if galloc.Global.Resize(p, l, n) {
			fail("resized to %d", n)
		}
	}
	if !galloc.Global.Resize(p, l, 10) {
		fail("not resized to the size that it has")
	}
	for n := uintptr(11); n < 100; n++ {
		if can := galloc.Global.Resize(p, l, n); can != (n <= grown) {
			fail("resized to %d: %t", n, can)
		}
		if n <= grown {
			l = testLayout(n, 8)
		}
	}
	for i := range unsafe.Slice((*byte)(p), l.Size()) {
		*(*byte)(unsafe.Add(p, i)) = byte(i)
	}
	galloc.Dealloc(p, l)
	if zero := testLayout(0, 8); galloc.Global.Resize(zero.Dangling(), zero, 8) {
		fail("resized nothing")
	}
}

func init() {
	children["in place, heap"] = func() { expectInPlace(16, 16) }
	children["in place, System"] = func() {
		galloc.RegisterGlobal(galloc.System)
		expectInPlace(0, 10)
	}
	children["in place, no methods"] = func() {
		galloc.RegisterGlobal(new(counting))
		expectInPlace(0, 10)
	}
	children["in place, methods"] = func() {
		galloc.RegisterGlobal(resizing{})
		expectInPlace(64, 64)
	}
	children["in place, adapted"] = func() {
		galloc.RegisterGlobal(galloc.AsGlobal(roomy{}))
		expectInPlace(64, 64)
	}
}

func TestGlobalResizes(t *testing.T) {
	for _, name := range []string{"in place, heap", "in place, System", "in place, no methods", "in place, methods", "in place, adapted"} {
		if o := runChild(t, name); o.err != nil {
			t.Errorf("%s: %v\n%s", name, o.err, o.stderr)
		}
	}
}
