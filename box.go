package galloc

// Box owns one T off the Go heap. The zero value is an empty box on [Global]. A Box must
// not be copied while it is full: the value would have two owners, and be freed twice. It is not safe for
// concurrent use.
type Box[T any] struct {
	a Allocator // nil means Global
	p *T
}

// NewBox returns a box on a, or on [Global] if a is nil, with v in it. It fails as [New]
// does.
func NewBox[T any](a Allocator, v T) (Box[T], error) {
	b := Box[T]{a: a}
	err := b.Set(v)
	return b, err
}

// Set puts v into the box, in place of the value that is there. It allocates only if the
// box is empty, and fails then as [New] does.
func (b *Box[T]) Set(v T) error {
	if b.p == nil {
		p, err := New[T](b.a)
		if err != nil {
			return err
		}
		b.p = p
	}
	*b.p = v
	return nil
}

// Get returns a pointer to the value in the box, valid until it is taken out, or nil if
// the box is empty.
func (b *Box[T]) Get() *T { return b.p }

// Take returns the value in the box, and empties it; ok is false if it was empty.
func (b *Box[T]) Take() (v T, ok bool) {
	if b.p != nil {
		v, ok = *b.p, true
		b.Free()
	}
	return v, ok
}

// Leak returns the value in the box and leaves the box empty: the value is the caller's,
// to be given back by [Free] with the allocator of the box.
func (b *Box[T]) Leak() *T {
	p := b.p
	b.p = nil
	return p
}

// Adopt frees what is in the box and puts in the value at p, made by [New] on the
// allocator of the box.
func (b *Box[T]) Adopt(p *T) {
	b.Free()
	b.p = p
}

// Free gives back the value in the box, if there is one, and leaves it empty.
func (b *Box[T]) Free() {
	Free(b.a, b.p)
	b.p = nil
}
