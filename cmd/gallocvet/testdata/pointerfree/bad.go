// Package pointerfree has values with Go pointers off the Go heap, and correct code that looks like
// them.
package pointerfree

import (
	"reflect"
	"sync/atomic"
	"time"

	"example.com/vet/pointerfree/lib"
	"example.com/vet/pointerfree/mid"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/wrap"
)

type record struct {
	id   uint64
	name string
}

type nested struct {
	n    int
	many [4]struct{ inner record }
}

func value() (*record, error) {
	return galloc.New[record](nil) // want "galloc.New keeps pointerfree.record off the Go heap.*: pointerfree.record.name is a string"
}

func path() (*nested, error) {
	return galloc.New[nested](galloc.Global) // want "pointerfree.nested.many\\[\\].inner.name is a string"
}

func slice(a *bump.Arena) ([]string, error) {
	return galloc.MakeSlice[string](a, 10) // want "galloc.MakeSlice keeps string off the Go heap.*: it is a Go pointer"
}

func appended(s []*record) ([]*record, error) {
	return galloc.AppendSlice(nil, s, new(record)) // want "galloc.AppendSlice keeps \\*pointerfree.record off the Go heap"
}

func box() error {
	b, err := galloc.NewBox(galloc.System, time.Now()) // want "time.Time.loc is a \\*time.Location"
	b.Free()
	return err
}

func emptyBox() error {
	var b galloc.Box[record]
	defer b.Free()
	return b.Set(record{}) // want "galloc.Box.Set keeps pointerfree.record off the Go heap"
}

func uninit() (*[2]any, error) {
	return galloc.NewUninit[[2]any](galloc.GoHeap) // want "\\[2\\]any\\[\\] is an any"
}

var names collections.Vec[string] // want "collections.Vec keeps string off the Go heap"

type table struct {
	rows collections.Map[string, int]   // want "collections.Map keeps string off the Go heap"
	tree collections.BTree[int, func()] // want "collections.BTree keeps func\\(\\) off the Go heap"
}

func constructed() *collections.Slab[record] { // want "collections.Slab keeps pointerfree.record"
	return collections.NewSlab[record](nil) // want "collections.NewSlab keeps pointerfree.record"
}

func pooled() error {
	p, err := pool.NewOf[record](nil) // want "pool.NewOf keeps pointerfree.record off the Go heap"
	if err == nil {
		p.Close()
	}
	return err
}

func typed(a *bump.Arena) error {
	_, err := galloc.AllocateTyped(a, reflect.TypeFor[record](), 1) // want "galloc.AllocateTyped needs an allocator whose memory the garbage collector scans, for pointerfree.record: pointerfree.record.name is a string"
	return err
}

func wrapped() (*record, error) {
	return galloc.New[record](wrap.Stats(bump.New(nil))) // want "galloc.New keeps pointerfree.record"
}

func hidden() (*atomic.Pointer[int], error) {
	return galloc.New[atomic.Pointer[int]](nil) // want "atomic.Pointer\\[int\\].v is an unsafe.Pointer"
}

func generic() {
	_, _ = lib.Make[record](nil)          // want "lib.Make keeps pointerfree.record off the Go heap.*: pointerfree.record.name is a string"
	_, _ = lib.MakePair[int, string]()    // want "lib.MakePair keeps string off the Go heap.*: lib.Pair\\[A, B\\].Second is a string"
	_, _ = mid.Build[record](nil)         // want "mid.Build keeps pointerfree.record off the Go heap.*: mid.Boxed\\[T\\].Value.name is a string"
	_, _ = mid.Here[[]byte]()             // want "mid.Here keeps \\[\\]byte off the Go heap"
	_, _ = lib.Copy(nil, []string{"tea"}) // want "lib.Copy keeps string off the Go heap"
	_, _ = lib.Scratch(nil)               // want "lib.Scratch needs an allocator whose memory the garbage collector scans, for string: it is a Go pointer"
}

type uses struct {
	c lib.Cache[string, int] // want "lib.Cache keeps string off the Go heap"
	i mid.Index[error]       // want "mid.Index keeps error off the Go heap"
	t lib.Tree[*int, int]    // want "lib.Tree keeps \\*int off the Go heap"
}

type textual interface{ ~string }

func constrained[S textual]() (*S, error) {
	return galloc.New[S](nil) // want "galloc.New keeps S off the Go heap"
}
