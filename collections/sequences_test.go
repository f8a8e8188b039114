package collections_test

import (
	"fmt"
	stdmaps "maps"
	"slices"
	"strings"
	"testing"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/collections"
)

// The iterators of a collection can fill another, or the same one.
func TestSequencesFillCollections(t *testing.T) {
	alloctest.FailureCheck{Retries: true}.Run(t, func(a galloc.Allocator) error {
		model := map[int]int{}
		texts := map[string]string{}
		for i := range 60 {
			model[i] = i * i
			texts[fmt.Sprint(i)] = strings.Repeat("x", i)
		}
		inOrder := func(yield func(int, int) bool) { // always in the same order
			for i := range 60 {
				if !yield(i, model[i]) {
					return
				}
			}
		}
		textsInOrder := func(yield func(string, string) bool) {
			for i := range 60 {
				if k := fmt.Sprint(i); !yield(k, texts[k]) {
					return
				}
			}
		}
		m, s, x := collections.NewMap[int, int](a), collections.NewStringMap[int](a), collections.NewTextMap(a)
		b, f := collections.NewBTree[int, int](a), collections.NewBTreeFunc[int, int](a, ascending)
		d := collections.NewDeque[int](a)
		defer m.Free()
		defer s.Free()
		defer x.Free()
		defer b.Free()
		defer f.Free()
		defer d.Free()
		d.Clear()
		lengths := func(yield func(string, int) bool) {
			for k, v := range textsInOrder {
				if !yield(k, len(v)) {
					return
				}
			}
		}
		for _, err := range []error{
			m.TryPutSeq(inOrder), b.TryPutSeq(inOrder), f.TryPutSeq(inOrder), s.TryPutSeq(lengths),
			x.TryPutSeq(textsInOrder),
		} {
			if err != nil {
				return err
			}
		}
		if err := d.TryPushFront(-1); err != nil {
			return err
		}
		if err := d.TryAppendSeq(b.Values()); err != nil {
			if d.Len() != 1 || d.At(0) != -1 {
				t.Errorf("%d elements after AppendSeq failed", d.Len())
			}
			return err
		}
		if !stdmaps.Equal(stdmaps.Collect(m.All()), model) || !stdmaps.Equal(stdmaps.Collect(b.All()), model) ||
			!stdmaps.Equal(stdmaps.Collect(f.All()), model) || !stdmaps.Equal(stdmaps.Collect(x.All()), texts) ||
			s.Len() != 60 || d.Len() != 61 || d.At(60) != 59*59 {
			t.Error("the elements differ")
		}
		// Each from itself.
		for _, err := range []error{
			m.TryPutSeq(m.All()), b.TryPutSeq(b.All()), s.TryPutSeq(s.All()), x.TryPutSeq(x.All()),
			d.TryAppendSeq(d.Values()),
		} {
			if err != nil {
				return err
			}
		}
		if !stdmaps.Equal(stdmaps.Collect(m.All()), model) || !stdmaps.Equal(stdmaps.Collect(x.All()), texts) ||
			d.Len() != 122 {
			t.Error("a map changed when it was put into itself")
		}
		return nil
	})
}

// The methods that take a sequence abort without memory, as the others do.
func TestSequencesAbortWithoutMemory(t *testing.T) {
	defer galloc.SetAllocErrorHook(galloc.SetAllocErrorHook(nil))
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	pairs, texts := stdmaps.All(map[int]int{1: 2}), stdmaps.All(map[string]string{"a": "b"})
	for what, f := range map[string]func(a galloc.Allocator){
		"Map":       func(a galloc.Allocator) { collections.NewMap[int, int](a).PutSeq(pairs) },
		"StringMap": func(a galloc.Allocator) { collections.NewStringMap[int](a).PutSeq(stdmaps.All(map[string]int{"a": 1})) },
		"TextMap":   func(a galloc.Allocator) { collections.NewTextMap(a).PutSeq(texts) },
		"BTree":     func(a galloc.Allocator) { collections.NewBTree[int, int](a).PutSeq(pairs) },
		"Deque":     func(a galloc.Allocator) { collections.NewDeque[int](a).AppendSeq(slices.Values([]int{1})) },
		"Bytes":     func(a galloc.Allocator) { collections.NewStringMap[int](a).GetOrPutBytes(nil) },
		"BTreeFunc": func(a galloc.Allocator) {
			collections.NewBTreeFunc[int, int](a, func(x, y int) int { return x - y }).PutSeq(pairs)
		},
	} {
		func() {
			defer func() {
				if e, _ := recover().(*galloc.AllocError); e == nil || e.Layout().Size() == 0 {
					t.Errorf("%s: %v", what, e)
				}
			}()
			f(galloc.Null)
			t.Errorf("%s: no panic", what)
		}()
	}
}
