package collections_test

import (
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// Operations on elements do not allocate on the Go heap. Only the tables of segments are there,
// which grow at most 31 times.
func TestElementsCostNoGoMemory(t *testing.T) {
	var v collections.Vec[uint64]
	var d collections.Deque[uint64]
	var s collections.Slab[uint64]
	var b collections.Bytes
	var tree collections.BTree[uint64, uint64]
	var in collections.Interner
	defer func() {
		v.Free()
		d.Free()
		s.Free()
		b.Free()
		tree.Free()
		in.Free()
	}()
	s.Reserve(5000)
	tree.Reserve(5000)
	word := []byte("word 0")
	in.InternBytes(word)
	i, sum := uint64(0), uint64(0)
	for what, f := range map[string]func(){
		"Vec": func() {
			v.Push(i)
			v.Append(i, i)
			v.Insert(0, i)
			v.ShrinkToFit()
			if !v.Equal(&v) {
				t.Error("not equal to itself")
			}
		},
		"Deque": func() {
			d.PushBack(i)
			d.PushFront(i)
			d.Append(i, i)
			d.Insert(1, i, i)
			d.Remove(d.Len() - 2)
			d.ReserveExact(0)
		},
		"Slab":  func() { h := s.Add(i); s.Add(i); s.Delete(h) },
		"Bytes": func() { b.AppendString("abc"); b.WriteByte('d') },
		"BTree": func() {
			tree.Put(i, i)
			tree.Put(i*7919, i)
			tree.Delete(i / 2)
			for k := range tree.Range(i/2, i/2+100) {
				sum += k
			}
		},
		"Interner": func() {
			if id, ok := in.LookupBytes(word); !ok || in.InternBytes(word) != id {
				t.Error("not known")
			}
		},
		"String": func() { x := galloc.Must(collections.NewString(nil, "text")); x.Free(nil) },
		"Rc":     func() { r, _ := collections.NewRc(nil, i); q := r.Share(); r.Free(nil); q.Free(nil) },
		"failure": func() {
			if collections.NewVec[uint64](none{}).TryPush(1) == nil {
				t.Error("no error")
			}
		},
	} {
		if n := testing.AllocsPerRun(1000, func() { i++; f() }); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	_ = sum
}

// none is an allocator that always fails.
type none struct{}

func (none) Allocate(galloc.Layout) ([]byte, error) { return nil, galloc.ErrOutOfMemory }
func (none) Deallocate(ptr, galloc.Layout)          {}
