package bufpool_test

import (
	"math/rand/v2"
	"testing"

	"github.com/galloc-go/galloc/bufpool"
)

func TestScopeFreesWhatWasTaken(t *testing.T) {
	for name, o := range map[string]bufpool.Options{
		"default": {}, "no idle": {MaxIdle: -1}, "guarded": {Guard: bufpool.GuardOptions{Rate: 2, OnMisuse: func(*bufpool.Misuse) {}}},
	} {
		t.Run(name, func(t *testing.T) {
			p, check := tracked(t, o)
			s := bufpool.NewScope(p)
			var kept *bufpool.Buffer
			for range 3 {
				first := s.Get(1000)
				second := s.Get(100)
				third := s.Get(5 << 20)
				second.Append(make([]byte, 1000)...) // moves, and stays in the scope
				p.Put(first)
				third.Release()
				if s.Len() != 1 || second.Len() != 1100 {
					t.Errorf("the scope has %d buffers", s.Len())
				}
				kept = s.Get(10).Retain()
				fill(kept)
				s.End()
				verify(t, kept)
				if s.Len() != 0 || p.Stats().Buffers == 0 || kept.Owners() != 1 {
					t.Errorf("the scope has %d buffers, and the kept one %d owners", s.Len(), kept.Owners())
				}
				wantPanic(t, "after Put", func() { second.Len() })
				kept.Release()
			}
			check()
		})
	}
}

// Scopes that end free what was taken in the scopes within, in any order.
func TestScopesNest(t *testing.T) {
	p, check := tracked(t, bufpool.Options{MaxIdle: -1})
	r := rand.New(rand.NewPCG(1, 2))
	type node struct {
		s       *bufpool.Scope
		parent  int
		buffers []*bufpool.Buffer
	}
	for range 50 {
		nodes := []node{{s: bufpool.NewScope(p), parent: -1}}
		inside := func(i, j int) bool { // reports whether scope i is j or within it
			for ; i >= 0; i = nodes[i].parent {
				if i == j {
					return true
				}
			}
			return false
		}
		for range 100 {
			i := r.IntN(len(nodes))
			switch r.IntN(5) {
			case 0:
				nodes = append(nodes, node{s: nodes[i].s.New(), parent: i})
			case 1:
				nodes[i].s.End()
				for j := range nodes {
					if inside(j, i) {
						for _, b := range nodes[j].buffers {
							if b.Owners() != 0 {
								t.Fatal("a buffer outlives its scope")
							}
						}
						nodes[j].buffers = nil
					}
				}
			case 2:
				if n := len(nodes[i].buffers); n > 0 {
					k := r.IntN(n)
					p.Put(nodes[i].buffers[k])
					nodes[i].buffers = append(nodes[i].buffers[:k:k], nodes[i].buffers[k+1:]...)
				}
			default:
				b := nodes[i].s.Get(100)
				fill(b)
				nodes[i].buffers = append(nodes[i].buffers, b)
			}
			total := 0
			for _, n := range nodes {
				total += len(n.buffers)
				if n.s.Len() != len(n.buffers) {
					t.Fatalf("a scope has %d buffers, not %d", n.s.Len(), len(n.buffers))
				}
				for _, b := range n.buffers {
					verify(t, b)
				}
			}
			if got := p.Stats().Buffers; got != total {
				t.Fatalf("%d buffers are in use, not %d", got, total)
			}
		}
		nodes[0].s.End()
		check()
	}
}

// Slices from Bytes do not overlap, and keep their content until End.
func TestScopeBytes(t *testing.T) {
	p, check := tracked(t, bufpool.Options{})
	s := bufpool.NewScope(p)
	for range 2 {
		r := rand.New(rand.NewPCG(1, 2))
		var all [][]byte
		for i := range 500 {
			b := s.Bytes(r.IntN(1 << r.IntN(13)))
			if cap(b) != len(b) {
				t.Fatalf("%d bytes have capacity %d", len(b), cap(b))
			}
			for j := range b {
				b[j] = byte(i)
			}
			all = append(all, b)
		}
		for i, b := range all {
			for _, c := range b {
				if c != byte(i) {
					t.Fatalf("slice %d has changed", i)
				}
			}
		}
		s.End()
	}
	wantPanic(t, "negative length", func() { s.Bytes(-1) })
	check()
}

func TestZeroScope(t *testing.T) {
	var s bufpool.Scope
	if b := s.Get(10); b.Len() != 10 || s.Len() != 1 {
		t.Error(b.Len(), s.Len())
	}
	if b, err := s.TryGet(20); err != nil || b.Len() != 20 {
		t.Error(err)
	}
	s.End()
	s.End()
}
