package pages

import "fmt"

// A tree holds free runs, ordered by length and then by address. It is a treap: a search tree by
// that order, and a heap by priorities that are hashes of addresses, so that its depth is about
// twice the logarithm of the number of runs. The zero value is empty.
//
// The links are those of a [List]: next leads to the runs before s, prev to the runs after.
type tree struct{ root Ref }

// priority returns the priority of s.
func (s *Span) priority() uint64 {
	x := uint64(s.Base>>PageShift) * 0x9E3779B97F4A7C15
	return (x ^ x>>32) * 0xD6E8FEB86659FD93
}

// before reports whether s comes before t.
func (s *Span) before(t *Span) bool {
	return s.pages < t.pages || s.pages == t.pages && s.Base < t.Base
}

// insert adds s, which is in no tree and no list.
func (t *tree) insert(s *Span) {
	at, priority := &t.root, s.priority()
	for *at != 0 && at.span().priority() >= priority {
		at = at.span().child(s)
	}
	// s takes the place of the subtree at, whose runs go below s on either side.
	rest := *at
	*at = s.ref()
	before, after := &s.next, &s.prev
	for rest != 0 {
		if r := rest.span(); r.before(s) {
			*before = rest
			before, rest = &r.prev, r.prev
		} else {
			*after = rest
			after, rest = &r.next, r.next
		}
	}
	*before, *after = 0, 0
}

// child returns the link of s that leads towards t.
func (s *Span) child(t *Span) *Ref {
	if t.before(s) {
		return &s.next
	}
	return &s.prev
}

// remove removes s, whose length and address are as they were when it was inserted.
func (t *tree) remove(s *Span) {
	at := &t.root
	for *at != s.ref() {
		at = at.span().child(s)
	}
	before, after := s.next, s.prev
	for before != 0 && after != 0 {
		if b, a := before.span(), after.span(); b.priority() >= a.priority() {
			*at = before
			at, before = &b.prev, b.prev
		} else {
			*at = after
			at, after = &a.next, a.next
		}
	}
	*at = before | after
	s.next, s.prev = 0, 0
}

// find returns the shortest run of at least n pages, of several the lowest, or nil.
func (t *tree) find(n uint32) (best *Span) {
	for r := t.root; r != 0; {
		if s := r.span(); s.pages >= n {
			best, r = s, s.next
		} else {
			r = s.prev
		}
	}
	return best
}

// check calls f for each run, in order, and verifies the order and the priorities.
func (t *tree) check(f func(*Span)) error {
	var last *Span
	var walk func(r Ref, most uint64) error
	walk = func(r Ref, most uint64) error {
		if r == 0 {
			return nil
		}
		s := r.span()
		if s.priority() > most {
			return fmt.Errorf("the run at %#x has priority %#x, above %#x", s.Base, s.priority(), most)
		}
		if err := walk(s.next, s.priority()); err != nil {
			return err
		}
		if last != nil && !last.before(s) {
			return fmt.Errorf("%d pages at %#x come before %d at %#x", last.pages, last.Base, s.pages, s.Base)
		}
		last = s
		f(s)
		return walk(s.prev, s.priority())
	}
	return walk(t.root, ^uint64(0))
}
