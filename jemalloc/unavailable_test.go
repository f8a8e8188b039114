//go:build !(cgo && galloc_jemalloc)

package jemalloc_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/jemalloc"
)

const message = "galloc/jemalloc: this program is built without the binding: build with cgo and -tags galloc_jemalloc, with jemalloc's headers (Debian: libjemalloc-dev) installed"

func TestWithoutTheBindingEveryUseSaysHowToBuild(t *testing.T) {
	if jemalloc.Available {
		t.Error("Available is true")
	}
	a, l, larger := jemalloc.Allocator, galloc.LayoutOf[[3]uint64](), galloc.LayoutOf[[300]uint64]()
	block := unsafe.Pointer(new([300]uint64))
	for name, use := range map[string]func(){
		"Alloc":          func() { a.Alloc(l) },
		"AllocZeroed":    func() { a.AllocZeroed(l) },
		"Dealloc":        func() { a.Dealloc(block, l) },
		"Realloc":        func() { a.Realloc(block, l, 100) },
		"Allocate":       func() { _, _ = a.Allocate(l) },
		"AllocateZeroed": func() { _, _ = a.AllocateZeroed(l) },
		"Deallocate":     func() { a.Deallocate(block, l) },
		"Grow":           func() { _, _ = a.Grow(block, l, larger) },
		"GrowZeroed":     func() { _, _ = a.GrowZeroed(block, l, larger) },
		"Shrink":         func() { _, _ = a.Shrink(block, larger, l) },
		"Resize":         func() { a.Resize(block, l, 100) },
		"UsableSize":     func() { a.UsableSize(l) },
	} {
		func() {
			defer func() {
				if r := recover(); r != message {
					t.Errorf("%s: panics with %v, want the message", name, r)
				}
			}()
			use()
		}()
	}
	for name, use := range map[string]func() error{
		"ReadControl":  func() error { _, err := jemalloc.ReadControl[uint64]("epoch"); return err },
		"of a string":  func() error { _, err := jemalloc.ReadControl[string]("version"); return err },
		"WriteControl": func() error { return jemalloc.WriteControl("epoch", uint64(1)) },
		"with strings": func() error { return jemalloc.WriteControl("prof.dump", "x") },
		"Control":      func() error { return jemalloc.Control("thread.tcache.flush") },
		"ReadStats":    func() error { _, err := jemalloc.ReadStats(); return err },
		"Purge":        jemalloc.Purge,
		"DumpProfile":  func() error { return jemalloc.DumpProfile("x") },
	} {
		if err := use(); !errors.Is(err, jemalloc.ErrUnavailable) || err.Error() != message {
			t.Errorf("%s: error %v, want ErrUnavailable with the message", name, err)
		}
	}
	if v, s := jemalloc.Version(), a.String(); v != "" || s != "jemalloc (not built in)" {
		t.Errorf("Version() = %q, String() = %q", v, s)
	}
}

func TestWithoutTheBindingSizeZeroWorks(t *testing.T) {
	b, err := jemalloc.Allocator.Allocate(galloc.Layout{})
	if b == nil || len(b) != 0 || err != nil {
		t.Errorf("Allocate = %v, %v", b, err)
	}
	jemalloc.Allocator.Deallocate(nil, galloc.Layout{})
}
