// Package collections measures galloc's collections against others that Go programs use.
//
//	cd bench && for i in 1 2 3 4 5 6 7; do go test -run '^$' -bench . -benchtime 50ms ./collections; done
package collections

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/galloc-go/galloc/collections"
	"github.com/google/btree"
)

// item is an entry of google/btree, which has items instead of keys and values.
type item struct{ key, value uint64 }

func less(x, y item) bool { return x.key < y.key }

// degree is the degree in google/btree's benchmarks.
const degree = 32

// keys returns n different keys: ascending, or in no order.
func keys(n int, ascending bool) []uint64 {
	ks := make([]uint64, n)
	for i := range ks {
		ks[i] = uint64(i) * 3
	}
	if !ascending {
		rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { ks[i], ks[j] = ks[j], ks[i] })
	}
	return ks
}

var sink uint64

// each runs f for trees of several lengths, of keys in and out of order. Times are per entry.
func each(b *testing.B, f func(b *testing.B, ks []uint64, impl string)) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		for _, order := range []string{"random", "ascending"} {
			ks := keys(n, order == "ascending")
			for _, impl := range []string{"galloc", "google"} {
				b.Run(fmt.Sprintf("n=%d/keys=%s/impl=%s", n, order, impl), func(b *testing.B) {
					f(b, ks, impl)
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
				})
			}
		}
	}
}

func fill(ks []uint64) *collections.BTree[uint64, uint64] {
	t := new(collections.BTree[uint64, uint64])
	for _, k := range ks {
		t.Put(k, k)
	}
	return t
}

func fillGoogle(ks []uint64) *btree.BTreeG[item] {
	t := btree.NewG(degree, less)
	for _, k := range ks {
		t.ReplaceOrInsert(item{k, k})
	}
	return t
}

func BenchmarkBTreeInsert(b *testing.B) {
	each(b, func(b *testing.B, ks []uint64, impl string) {
		for b.Loop() {
			if impl == "galloc" {
				fill(ks).Free()
			} else {
				fillGoogle(ks)
			}
		}
	})
}

func BenchmarkBTreeGet(b *testing.B) {
	each(b, func(b *testing.B, ks []uint64, impl string) {
		if impl == "galloc" {
			t := fill(ks)
			defer t.Free()
			for b.Loop() {
				for _, k := range ks {
					v, _ := t.Get(k)
					sink += v
				}
			}
			return
		}
		t := fillGoogle(ks)
		for b.Loop() {
			for _, k := range ks {
				v, _ := t.Get(item{key: k})
				sink += v.value
			}
		}
	})
}

func BenchmarkBTreeRange(b *testing.B) {
	each(b, func(b *testing.B, ks []uint64, impl string) {
		if impl == "galloc" {
			t := fill(ks)
			defer t.Free()
			for b.Loop() {
				for _, v := range t.Range(0, 3*uint64(len(ks))) {
					sink += v
				}
			}
			return
		}
		t := fillGoogle(ks)
		for b.Loop() {
			t.AscendRange(item{key: 0}, item{key: 3 * uint64(len(ks))}, func(i item) bool {
				sink += i.value
				return true
			})
		}
	})
}

// BenchmarkBTreeDelete is deleting all entries, in the order in which they came; the time that it
// takes to make the tree is left out.
func BenchmarkBTreeDelete(b *testing.B) {
	each(b, func(b *testing.B, ks []uint64, impl string) {
		for b.Loop() {
			b.StopTimer()
			if impl == "galloc" {
				t := fill(ks)
				b.StartTimer()
				for _, k := range ks {
					t.Delete(k)
				}
				b.StopTimer()
				t.Free()
			} else {
				t := fillGoogle(ks)
				b.StartTimer()
				for _, k := range ks {
					t.Delete(item{key: k})
				}
				b.StopTimer()
			}
			b.StartTimer()
		}
	})
}

// BenchmarkBTreeChurn is deleting one entry and inserting another one in turn, in a tree that keeps
// its length: with keys in no order, any entry and one with a key next to it; with ascending keys
// the first entry and a new last one, as in a queue.
func BenchmarkBTreeChurn(b *testing.B) {
	each(b, func(b *testing.B, ks []uint64, impl string) {
		step, wrap := uint64(1), uint64(1)
		if slices.IsSorted(ks) {
			step, wrap = 3*uint64(len(ks)), ^uint64(0)
		}
		t, g := new(collections.BTree[uint64, uint64]), btree.NewG(degree, less)
		if impl == "galloc" {
			t = fill(ks)
			defer t.Free()
		} else {
			g = fillGoogle(ks)
		}
		for from := uint64(0); b.Loop(); {
			to := (from + step) & wrap
			if impl == "galloc" {
				for _, k := range ks {
					t.Delete(k + from)
					t.Put(k+to, k)
				}
			} else {
				for _, k := range ks {
					g.Delete(item{key: k + from})
					g.ReplaceOrInsert(item{k + to, k})
				}
			}
			from = to
		}
		if t.Len()+g.Len() != len(ks) {
			b.Fatalf("%d entries are left, of %d", t.Len()+g.Len(), len(ks))
		}
	})
}
