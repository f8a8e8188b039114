package collections

import (
	"fmt"
	"iter"
	"math"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/internal/block"
)

// Interner turns strings into numbers, the same number for the same string, and back: for symbols,
// labels, columns with few values. The numbers are 0, 1, 2, ... in the order in which the strings
// were interned. The zero value is empty, on galloc.Global.
//
// Each text is stored once, packed with others into blocks. It never moves: a view of it is valid
// until Clear or Free. Intern, Lookup and View are O(length of the string), and do not copy a
// string that is known. A string takes its text and a byte (3 from 126 bytes on), 8 bytes for its
// place, and 10 to 21 in the table, which is like Map's.
type Interner struct {
	_       block.NoCopy
	entries Vec[uint64] // the handles of the texts, by number
	t       table[uint64]
	text    store
}

// A slot of the table is the lowest 32 bits of the hash without the tag, so that growing reads no
// texts, and a number:
//
//	slot = untagged(hash)<<32 | number
const (
	numberBits = 32
	numberMask = 1<<numberBits - 1
)

// maxNumbers is the maximum number of strings.
const maxNumbers = math.MaxUint32

// NewInterner returns an empty Interner that allocates from a, or from galloc.Global if a is nil.
func NewInterner(a galloc.Allocator) *Interner {
	in := new(Interner)
	in.entries.alloc, in.t.alloc, in.text.alloc = usable(a), a, a
	return in
}

// MakeInterner returns an empty Interner on a with capacity for at least n strings. Their text will
// need more memory. It panics if n is negative.
func MakeInterner(a galloc.Allocator, n int) (*Interner, error) {
	in := NewInterner(a)
	return filled(in, func() error { return in.TryReserve(n) })
}

// Len returns the number of strings. Their numbers are less than that.
func (in *Interner) Len() int { return in.entries.Len() }

// Cap returns the number of strings that fit without allocating, except for their text.
func (in *Interner) Cap() int { return min(in.entries.Cap(), in.t.capacity()) }

// View returns the string with number id, without copying it. It panics if there is none.
func (in *Interner) View(id uint32) string {
	if uint64(id) >= uint64(len(in.entries.s)) {
		panic(fmt.Sprintf("galloc/collections: Interner.View: number %d out of range (length %d)", id, in.entries.Len()))
	}
	return in.text.get(in.entries.s[id])
}

// Lookup returns the number of s; ok reports whether it has one.
func (in *Interner) Lookup(s string) (id uint32, ok bool) {
	if in.t.guard.read(); in.t.used == 0 {
		return 0, false
	}
	return in.find(s, in.t.seeds.text(s))
}

// LookupBytes is Lookup for a string in a byte slice.
func (in *Interner) LookupBytes(s []byte) (id uint32, ok bool) { return in.Lookup(viewOf(s)) }

// Intern returns the number of s. If s has none, Intern copies s and assigns the next number.
func (in *Interner) Intern(s string) uint32 { return mustValue(in.TryIntern(s)) }

// TryIntern is like Intern but returns an error if memory runs out.
func (in *Interner) TryIntern(s string) (uint32, error) {
	var h uint64
	in.t.guard.read()
	if in.t.limit != 0 {
		h = in.t.seeds.text(s)
		if id, ok := in.find(s, h); ok {
			return id, nil
		}
	}
	id := uint64(in.Len())
	if id >= maxNumbers {
		return 0, errTooMany
	}
	if err := in.entries.TryReserve(1); err != nil {
		return 0, err
	}
	if in.t.limit == 0 {
		if err := in.t.start(); err != nil {
			return 0, err
		}
		h = in.t.seeds.text(s)
	}
	if in.t.full(in.t.at(h)) {
		if err := in.t.makeRoom(h, in.rehash); err != nil {
			return 0, err
		}
	}
	handle, err := in.text.put(s, "")
	if err != nil {
		return 0, err
	}
	in.entries.Push(handle)
	in.t.guard.begin()
	*in.t.add(in.t.at(h), h) = in.t.untagged(h)<<numberBits | id
	in.t.guard.end()
	return uint32(id), nil
}

// InternBytes is Intern for a string in a byte slice.
func (in *Interner) InternBytes(s []byte) uint32 { return in.Intern(viewOf(s)) }

// TryInternBytes is like InternBytes but returns an error if memory runs out.
func (in *Interner) TryInternBytes(s []byte) (uint32, error) { return in.TryIntern(viewOf(s)) }

// find returns the number of s, which has hash h, from a table that exists.
func (in *Interner) find(s string, h uint64) (id uint32, ok bool) {
	b := in.t.at(h)
	tags := b.tags(h)
	g := b.home(h)
	for d := uintptr(1); ; d++ {
		grp := b.group(g)
		control := grp.control
		for x := match(control, tags); x != 0; x &= x - 1 {
			slot := *grp.slot(x.first())
			if (slot^in.t.untagged(h)<<numberBits)&^numberMask == 0 && in.text.is(in.entries.s[uint32(slot)], s) {
				return uint32(slot), true
			}
		}
		if matchEmpty(control) != 0 {
			return 0, false
		}
		g = (g + d) & uintptr(b.mask)
	}
}

// rehash is the hasher of the table. A table for 2^32 numbers has at most 2^32 groups, and so uses
// only these bits. Nothing is removed, but the tag of an entry that a sweep moves may be unknown.
func (in *Interner) rehash(control uint64, slot *uint64) uint64 {
	if control == 0 {
		return in.t.seeds.text(in.text.get(in.entries.s[uint32(*slot)]))
	}
	return in.t.tagged(*slot>>numberBits, control)
}

// Reserve ensures capacity for at least n more strings. Their text will need more memory. It panics
// if n is negative.
func (in *Interner) Reserve(n int) { must(in.TryReserve(n)) }

// TryReserve is like Reserve but returns an error if memory runs out.
func (in *Interner) TryReserve(n int) error {
	need, err := sum[string](in.Len(), n)
	if err != nil {
		return err
	}
	if uint64(need) > maxNumbers {
		return errTooMany
	}
	if err := in.t.reserve(n, in.rehash); err != nil {
		return err
	}
	return in.entries.TryReserve(n)
}

// ShrinkToFit releases the memory that the numbers do not need. The text stays where it is.
func (in *Interner) ShrinkToFit() { _ = in.TryShrinkToFit() }

// TryShrinkToFit is like ShrinkToFit but returns an error if there is no memory for a smaller
// table.
func (in *Interner) TryShrinkToFit() error {
	if in.Len() == 0 {
		in.Free()
		return nil
	}
	if err := in.entries.TryShrinkToFit(); err != nil {
		return err
	}
	return in.t.shrink(in.rehash)
}

// Clone returns a copy of in on the same allocator.
func (in *Interner) Clone() *Interner { return mustValue(in.TryClone()) }

// TryClone is like Clone but returns an error if memory runs out.
func (in *Interner) TryClone() (*Interner, error) {
	c := NewInterner(in.t.alloc)
	if in.Len() == 0 {
		return c, nil
	}
	return filled(c, func() error {
		if err := c.t.copyFrom(&in.t); err != nil {
			return err
		}
		if err := c.entries.TryAppend(in.entries.s...); err != nil {
			return err
		}
		return c.text.copyFrom(&in.text)
	})
}

// All returns an iterator over the numbers and strings, in ascending order of the numbers. The
// strings are views. Strings added during the iteration are not visited.
func (in *Interner) All() iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		for id, handle := range in.entries.All() {
			if !yield(uint32(id), in.text.get(handle)) {
				return
			}
		}
	}
}

// Values is like All but yields strings only.
func (in *Interner) Values() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, s := range in.All() {
			if !yield(s) {
				return
			}
		}
	}
}

// Format implements fmt.Formatter: see the package comment.
func (in *Interner) Format(f fmt.State, verb rune) { formatValues(f, verb, in.Len(), in.Values()) }

// Clear removes all strings and keeps the memory, but frees blocks that hold one long string. The
// numbers begin at 0 again.
func (in *Interner) Clear() {
	in.entries.Clear()
	in.t.clear()
	in.text.reset()
}

// Free releases all memory. in is then empty and can be used again.
func (in *Interner) Free() {
	in.entries.Free()
	in.t.free()
	in.text.release()
}
