package pages

import (
	"math/rand/v2"
	"testing"
)

func TestTree(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	spans := make([]Span, 300)
	for i := range spans {
		spans[i] = Span{Base: Ref(1+i) << PageShift, pages: 1 + r.Uint32N(50)}
	}
	var tree tree
	in := map[*Span]bool{}
	for range 5000 {
		s := &spans[r.IntN(len(spans))]
		if in[s] {
			tree.remove(s)
			if delete(in, s); s.next != 0 || s.prev != 0 {
				t.Fatal("a removed run has links")
			}
			s.pages = 1 + r.Uint32N(50)
		} else {
			tree.insert(s)
			in[s] = true
		}
		found := 0
		if err := tree.check(func(s *Span) {
			if found++; !in[s] {
				t.Fatal("a run that was removed")
			}
		}); err != nil || found != len(in) {
			t.Fatalf("%d runs, want %d: %v", found, len(in), err)
		}
		n := r.Uint32N(52)
		var want *Span
		for s := range in {
			if s.pages >= n && (want == nil || s.before(want)) {
				want = s
			}
		}
		if got := tree.find(n); got != want {
			t.Fatalf("find(%d) == %v, want %v", n, got, want)
		}
	}
}

// depth returns the length of the longest path.
func depth(r Ref) int {
	if r == 0 {
		return 0
	}
	s := r.span()
	return 1 + max(depth(s.next), depth(s.prev))
}

// A search, an insertion and a removal take few steps, however regular the runs are.
func TestTheTreeIsFlat(t *testing.T) {
	const n = 40_000
	spans := make([]Span, n)
	for _, stride := range []uint64{1, 3, 64, 66, 73, 89, 144, 512, 1 << 20} {
		if n*stride<<PageShift > uint64(^uintptr(0)) {
			continue // two of these would have one address
		}
		var tree tree
		for i := range spans {
			spans[i] = Span{Base: Ref((uint64(i) * stride) << PageShift), pages: 65}
			tree.insert(&spans[i])
		}
		if d := depth(tree.root); d > 60 {
			t.Errorf("%d runs every %d pages: depth %d", n, stride, d)
		}
	}
}

// To find no run among many that are all a bit too short takes no longer than to find one.
func BenchmarkFindAmongShortRuns(b *testing.B) {
	var a Allocator
	spans := make([]Span, 40_000)
	for i := range spans {
		spans[i] = Span{Base: Ref(i*200) << PageShift, pages: 128 + uint32(i%7)}
		a.link(&spans[i])
	}
	for b.Loop() {
		if a.find(140) != nil {
			b.Fatal("a run that is too short")
		}
	}
}
