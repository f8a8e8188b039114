package peers

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
)

func TestEveryPeerIsAnAllocator(t *testing.T) {
	for _, p := range All() {
		if p.Name == "sink" || p.Name == "syncpool" {
			continue // one block for everything, and one size for all blocks
		}
		var options []alloctest.Option
		if p.Name == "go" || p.Name == "arrow" {
			options = append(options, alloctest.GoGarbage)
		}
		t.Run(p.Name, func(t *testing.T) {
			alloctest.RunGlobal(t, func() galloc.GlobalAlloc {
				a, err := p.Open(Need{})
				if err != nil {
					t.Fatal(err)
				}
				return a
			}, options...)
		})
	}
}

func TestAPoolHasOneSize(t *testing.T) {
	if _, err := Open("syncpool", Need{}); err == nil {
		t.Error("no error without a size")
	}
	a, err := Open("syncpool", Need{Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	l := galloc.Must(galloc.NewLayout(64, 8))
	p := a.Alloc(l)
	clear(unsafe.Slice((*byte)(p), 64))
	if n := testing.AllocsPerRun(100, func() { a.Dealloc(p, l); p = a.Alloc(l) }); n > 0.5 {
		t.Errorf("%v allocations of Go memory for a round trip", n)
	}
	a.Dealloc(p, l)
	if p := a.Alloc(galloc.Must(galloc.NewLayout(65, 8))); p != nil {
		t.Error("a block of another size")
	}
}

func TestAnUnknownNameIsAnsweredWithThoseThereAre(t *testing.T) {
	_, err := Open("hoard", Need{})
	if err == nil || !strings.Contains(err.Error(), "heap") {
		t.Errorf("got %v, want the names", err)
	}
}

func TestNamesAreUnique(t *testing.T) {
	var names []string
	for _, p := range All() {
		names = append(names, p.Name)
	}
	if n := len(names); len(slices.Compact(names)) != n {
		t.Errorf("%v", names)
	}
}
