// Package copies copies each type that must not be copied, one on a line: go vet must report every
// line with a dereference.
package copies

import (
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/alloctest"
	"github.com/galloc-go/galloc/buddy"
	"github.com/galloc-go/galloc/bump"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/fixed"
	"github.com/galloc-go/galloc/freelist"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/pool"
	"github.com/galloc-go/galloc/tlsf"
	"github.com/galloc-go/galloc/trace"
	"github.com/galloc-go/galloc/wrap"
)

func use(...any) {}

func values(b *galloc.Box[int]) {
	box := *b
	use(&box)
}

func sources(h *heap.Heap, a *bump.Arena, p *pool.Pool, o *pool.Of[int], b *fixed.Buffer, s *fixed.Shared,
	l *freelist.List, t *tlsf.Region, r *buddy.Region,
) {
	h1 := *h
	a1 := *a
	p1 := *p
	o1 := *o
	b1 := *b
	s1 := *s
	l1 := *l
	t1 := *t
	r1 := *r
	use(&h1, &a1, &p1, &o1, &b1, &s1, &l1, &t1, &r1)
}

func wrappers(c *wrap.Counter, l *wrap.Limiter, m *wrap.Locker, t *wrap.Tracer, k *memcheck.Checker) {
	k1 := *k
	c1 := *c
	l1 := *l
	m1 := *m
	t1 := *t
	use(&c1, &l1, &m1, &t1, &k1)
}

func tests(f *alloctest.Failer, g *alloctest.Guard, t *alloctest.Tracker, m *alloctest.Model, w *trace.Writer) {
	m1 := *m
	f1 := *f
	g1 := *g
	t1 := *t
	w1 := *w
	use(&f1, &g1, &t1, &m1, &w1)
}

func lists(v *collections.Vec[int], b *collections.Bytes, d *collections.Deque[int], s *collections.Slab[int],
	l *collections.LinkedMap[int, int],
) {
	v1 := *v
	b1 := *b
	d1 := *d
	s1 := *s
	l1 := *l
	use(&v1, &b1, &d1, &s1, &l1)
}

func tables(m *collections.Map[int, int], s *collections.Set[int], n *collections.StringMap[int],
	t *collections.TextMap, i *collections.Interner, b *collections.BTree[int, int], f *collections.BTreeFunc[int, int],
) {
	m1 := *m
	s1 := *s
	n1 := *n
	t1 := *t
	i1 := *i
	b1 := *b
	f1 := *f
	use(&m1, &s1, &n1, &t1, &i1, &b1, &f1)
}
