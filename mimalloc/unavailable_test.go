//go:build !(cgo && galloc_mimalloc)

package mimalloc_test

import (
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/mimalloc"
)

const message = "galloc/mimalloc: this program is built without the binding: build with cgo and -tags galloc_mimalloc, with mimalloc's headers (Debian: libmimalloc-dev) installed"

func TestWithoutTheBindingEveryUseSaysHowToBuild(t *testing.T) {
	if mimalloc.Available {
		t.Error("Available is true")
	}
	a, l, larger := mimalloc.Allocator, galloc.LayoutOf[[3]uint64](), galloc.LayoutOf[[300]uint64]()
	block := unsafe.Pointer(new([300]uint64))
	for name, use := range map[string]func(){
		"Alloc":           func() { a.Alloc(l) },
		"AllocZeroed":     func() { a.AllocZeroed(l) },
		"Dealloc":         func() { a.Dealloc(block, l) },
		"Realloc":         func() { a.Realloc(block, l, 100) },
		"Allocate":        func() { _, _ = a.Allocate(l) },
		"AllocateZeroed":  func() { _, _ = a.AllocateZeroed(l) },
		"Deallocate":      func() { a.Deallocate(block, l) },
		"Grow":            func() { _, _ = a.Grow(block, l, larger) },
		"GrowZeroed":      func() { _, _ = a.GrowZeroed(block, l, larger) },
		"Shrink":          func() { _, _ = a.Shrink(block, larger, l) },
		"Resize":          func() { a.Resize(block, l, 100) },
		"UsableSize":      func() { a.UsableSize(l) },
		"Collect":         func() { mimalloc.Collect(true) },
		"ReadProcessInfo": func() { mimalloc.ReadProcessInfo() },
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
	if v, s := mimalloc.Version(), a.String(); v != "" || s != "mimalloc (not built in)" {
		t.Errorf("Version() = %q, String() = %q", v, s)
	}
}

func TestWithoutTheBindingSizeZeroWorks(t *testing.T) {
	b, err := mimalloc.Allocator.Allocate(galloc.Layout{})
	if b == nil || len(b) != 0 || err != nil {
		t.Errorf("Allocate = %v, %v", b, err)
	}
	mimalloc.Allocator.Deallocate(nil, galloc.Layout{})
}
