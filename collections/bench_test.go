package collections_test

import (
	"testing"

	"github.com/galloc-go/galloc/collections"
)

// for i in 1 2 3 4 5 6 7; do go test -run '^$' -bench . -benchtime 50ms ./collections; done
//
// Each pair does the same work on a collection and on its Go counterpart, one after the other. The
// loop interleaves the runs, which -count does not, so their medians are comparable.

const benchLen = 1 << 16

var total uint64

func BenchmarkVecPush(b *testing.B) {
	b.Run("impl=galloc", func(b *testing.B) {
		for b.Loop() {
			var v collections.Vec[uint64]
			for i := range uint64(benchLen) {
				v.Push(i)
			}
			v.Free()
		}
	})
	b.Run("impl=go", func(b *testing.B) {
		for b.Loop() {
			var s []uint64
			for i := range uint64(benchLen) {
				s = append(s, i)
			}
			total += s[len(s)-1]
		}
	})
}

func BenchmarkVecAppend8(b *testing.B) {
	var xs [8]uint64
	b.Run("impl=galloc", func(b *testing.B) {
		for b.Loop() {
			var v collections.Vec[uint64]
			for range benchLen / 8 {
				v.Append(xs[:]...)
			}
			v.Free()
		}
	})
	b.Run("impl=go", func(b *testing.B) {
		for b.Loop() {
			var s []uint64
			for range benchLen / 8 {
				s = append(s, xs[:]...)
			}
			total += s[len(s)-1]
		}
	})
}

func BenchmarkVecPushReserved(b *testing.B) {
	b.Run("impl=galloc", func(b *testing.B) {
		var v collections.Vec[uint64]
		defer v.Free()
		v.Reserve(benchLen)
		for b.Loop() {
			v.Clear()
			for i := range uint64(benchLen) {
				v.Push(i)
			}
		}
	})
	b.Run("impl=go", func(b *testing.B) {
		s := make([]uint64, 0, benchLen)
		for b.Loop() {
			s = s[:0]
			for i := range uint64(benchLen) {
				s = append(s, i)
			}
		}
		total += s[len(s)-1]
	})
	b.Run("impl=gofield", func(b *testing.B) { // a slice in memory, as in a Vec
		held.s = make([]uint64, 0, benchLen)
		for b.Loop() {
			held.s = held.s[:0]
			for i := range uint64(benchLen) {
				held.s = append(held.s, i)
			}
		}
	})
}

var held = new(struct{ s []uint64 })

func BenchmarkVecIndex(b *testing.B) {
	var v collections.Vec[uint64]
	defer v.Free()
	s := make([]uint64, benchLen)
	v.Append(s...)
	b.Run("impl=galloc", func(b *testing.B) {
		for b.Loop() {
			for i, w := range v.Slice() {
				total += w ^ uint64(i)
			}
		}
	})
	b.Run("impl=at", func(b *testing.B) {
		for b.Loop() {
			for i := range v.Len() {
				total += v.At(i) ^ uint64(i)
			}
		}
	})
	b.Run("impl=go", func(b *testing.B) {
		for b.Loop() {
			for i, w := range s {
				total += w ^ uint64(i)
			}
		}
	})
}
