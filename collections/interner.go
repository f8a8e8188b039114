package collections

import (
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"math/bits"
	"unsafe"

	"github.com/galloc-go/galloc"
)

// Interner turns strings into numbers, the same for the same string, and back: symbols, labels, columns
// with few values. The numbers are 0, 1, 2, ... in the order in which the strings came. The zero value is
// empty, on galloc.Global.
//
// Each text is there once, packed with others into blocks. It never moves: a view of it is valid until
// Clear or Free. Intern, Lookup and View are O(length of the string), and do not copy a string that
// is known. Besides its text a string takes 8 bytes, and 11 to 21 in the table; up to 8 GiB of text
// fit.
type Interner struct {
	_       noCopy
	a       galloc.Allocator // nil means Global
	entries Vec[interned]    // by number
	text    segments         // in units of textUnit bytes
	next    uint64           // the unit where the next text goes, or 0 if there are no blocks

	// table is a hash table with open addressing and linear probing (Knuth 1963). A place is 0 if it
	// is empty, or else 32 bits of the hash, which begin the search at their upper bits, and the number + 1.
	//
	//	len(table) == 1<<lgTable, or 0; 4 * len(entries) <= 3 * len(table)
	table   []uint64
	lgTable int
	seed    maphash.Seed
}

// interned is where a text is: n bytes from a unit on.
type interned struct{ unit, n uint32 }

const (
	textUnit = 4 // bytes
	lowText  = 8 // the first block has 1 KiB
	lowTable = 4 // the first table has 16 places

	// maxTable: a table of more places could not be told by 32 bits, or not be had.
	maxTable = min(32, bits.UintSize-4)
)

// NewInterner returns an empty Interner on a, or on galloc.Global if a is nil.
func NewInterner(a galloc.Allocator) *Interner {
	return &Interner{a: a, entries: Vec[interned]{a: a}}
}

// Len returns the number of strings; they have the numbers below it.
func (in *Interner) Len() int { return in.entries.Len() }

// View returns the string with number id, without a copy. It panics if there is none.
func (in *Interner) View(id uint32) string {
	if uint64(id) >= uint64(len(in.entries.s)) {
		panic(fmt.Sprintf("galloc/collections: Interner: number %d of %d", id, in.entries.Len()))
	}
	return in.view(in.entries.s[id])
}

func (in *Interner) view(e interned) string {
	if e.n == 0 {
		return ""
	}
	// SAFETY: the n bytes from the unit on are in one block, and nobody writes to them.
	return unsafe.String((*byte)(in.text.at(e.unit)), e.n)
}

// Lookup returns the number of s; ok is false if it has none.
func (in *Interner) Lookup(s string) (id uint32, ok bool) {
	if in.Len() == 0 {
		return 0, false
	}
	id, _, ok = in.find(s, in.hash(s))
	return id, ok
}

// LookupBytes is Lookup of string(s).
func (in *Interner) LookupBytes(s []byte) (id uint32, ok bool) { return in.Lookup(bytesAsString(s)) }

// Intern returns the number of s; if it has none, the next one, after copying s.
func (in *Interner) Intern(s string) uint32 { return galloc.Must(in.TryIntern(s)) }

// InternBytes is Intern of string(s).
func (in *Interner) InternBytes(s []byte) uint32 { return in.Intern(bytesAsString(s)) }

// TryInternBytes is InternBytes that returns the error.
func (in *Interner) TryInternBytes(s []byte) (uint32, error) { return in.TryIntern(bytesAsString(s)) }

// bytesAsString returns s as a string while it is only read.
func bytesAsString(s []byte) string { return unsafe.String(unsafe.SliceData(s), len(s)) }

// TryIntern is Intern that returns the error.
func (in *Interner) TryIntern(s string) (uint32, error) {
	if in.table == nil {
		in.seed = maphash.MakeSeed()
		if err := in.setTable(lowTable); err != nil {
			return 0, err
		}
	}
	h := in.hash(s)
	id, place, ok := in.find(s, h)
	if ok {
		return id, nil
	}
	if err := in.entries.TryReserve(1); err != nil {
		return 0, err
	}
	if 4*(uint64(in.Len())+1) > 3*uint64(len(in.table)) {
		if err := in.setTable(in.lgTable + 1); err != nil {
			return 0, err
		}
		_, place, _ = in.find(s, h)
	}
	unit, err := in.store(s)
	if err != nil {
		return 0, err
	}
	id = uint32(in.Len())
	in.entries.Push(interned{unit, uint32(len(s))})
	in.table[place] = uint64(h)<<32 | uint64(id+1)
	return id, nil
}

func (in *Interner) hash(s string) uint32 { return uint32(maphash.String(in.seed, s) >> 32) }

// find returns the number of s, or the place in the table for it.
func (in *Interner) find(s string, h uint32) (id uint32, place uint32, ok bool) {
	mask := uint32(len(in.table) - 1)
	for place = h >> (32 - in.lgTable); ; place = (place + 1) & mask {
		e := in.table[place]
		if e == 0 {
			return 0, place, false
		}
		if uint32(e>>32) == h {
			if id = uint32(e) - 1; in.view(in.entries.s[id]) == s {
				return id, place, true
			}
		}
	}
}

// setTable makes a table of 1<<lg places, which are enough.
func (in *Interner) setTable(lg int) error {
	if lg > maxTable {
		return errTooMany
	}
	table, err := resizeArray[uint64](in.a, nil, 1<<lg)
	if err != nil {
		return err
	}
	old := in.table
	in.table, in.lgTable = table[:1<<lg], lg
	clear(in.table)
	mask := uint32(len(in.table) - 1)
	for _, e := range old {
		if e == 0 {
			continue
		}
		place := uint32(e>>32) >> (32 - lg)
		for in.table[place] != 0 {
			place = (place + 1) & mask
		}
		in.table[place] = e
	}
	freeArray(in.a, old)
	return nil
}

// store copies s into the text and returns its unit. What is left of a block that is too short is lost.
func (in *Interner) store(s string) (uint32, error) {
	if len(s) == 0 {
		return 0, nil
	}
	if uint64(len(s)) > math.MaxUint32 {
		return 0, errTooMany
	}
	units := (uint64(len(s)) + textUnit - 1) / textUnit
	if in.text.stride == 0 {
		in.text = segments{stride: textUnit, align: textUnit, low: lowText}
	}
	unit := in.next
	if unit == 0 {
		unit = 1 << lowText
	}
	for k := bits.Len64(unit) - 1; ; k++ { // block k is where the units from 1<<k on are
		unit = max(unit, 1<<k)
		if k >= len(in.text.blocks) {
			k = max(k, bits.Len64(units-1))
			if err := in.text.growTo(in.a, k); err != nil {
				return 0, err
			}
			unit = 1 << k
		}
		if in.text.blocks[k] != nil && unit+units <= 2<<k {
			break
		}
	}
	in.next = unit + units
	copy(unsafe.Slice((*byte)(in.text.at(uint32(unit))), len(s)), s)
	return uint32(unit), nil
}

// Cap returns the number of strings that there is room for in the table; their text needs more.
func (in *Interner) Cap() int { return min(in.entries.Cap(), len(in.table)/4*3) }

// Reserve makes room in the table for additional more strings; their text needs more.
func (in *Interner) Reserve(additional int) { must(in.TryReserve(additional)) }

// TryReserve is Reserve that returns the error.
func (in *Interner) TryReserve(additional int) error {
	n, err := sum[interned](in.Len(), additional)
	if err != nil || additional == 0 {
		return err
	}
	lg := max(lowTable, bits.Len64(uint64(n)))
	for lg < 64 && uint64(n) > 1<<lg/4*3 {
		lg++
	}
	if lg > maxTable {
		return errTooMany
	}
	if err := in.entries.TryReserve(additional); err != nil {
		return err
	}
	if in.table == nil {
		in.seed = maphash.MakeSeed()
	}
	if in.table == nil || lg > in.lgTable {
		return in.setTable(lg)
	}
	return nil
}

// ShrinkToFit gives back the room in the table that the strings do not need. Their text stays where
// it is.
func (in *Interner) ShrinkToFit() {
	if in.Len() == 0 {
		in.Free()
		return
	}
	in.entries.ShrinkToFit()
	lg := in.lgTable
	for lg > lowTable && uint64(in.Len()) <= 1<<(lg-1)/4*3 {
		lg--
	}
	if lg < in.lgTable {
		_ = in.setTable(lg) // if there is no memory for a smaller one, the larger one stays
	}
}

// Clone returns a copy of in, on the same allocator.
func (in *Interner) Clone() *Interner { return galloc.Must(in.TryClone()) }

// TryClone is Clone that returns the error.
func (in *Interner) TryClone() (*Interner, error) {
	c := NewInterner(in.a)
	if in.Len() == 0 {
		return c, nil
	}
	table, err := resizeArray[uint64](in.a, nil, len(in.table))
	if err != nil {
		return nil, err
	}
	c.table, c.lgTable, c.seed = table[:len(in.table)], in.lgTable, in.seed
	copy(c.table, in.table)
	if err = c.entries.TryAppend(in.entries.s...); err == nil {
		err = c.text.copyFrom(in.a, &in.text, in.next)
	}
	if err != nil {
		c.Free()
		return nil, err
	}
	c.next = in.next
	return c, nil
}

// All returns the numbers and strings in ascending order of the numbers. The strings are views. Those
// that are added meanwhile are not seen.
func (in *Interner) All() iter.Seq2[uint32, string] {
	return func(yield func(uint32, string) bool) {
		for id, e := range in.entries.All() {
			if !yield(uint32(id), in.view(e)) {
				return
			}
		}
	}
}

// Clear removes all strings and keeps the memory. The numbers begin at 0 again.
func (in *Interner) Clear() {
	in.entries.Clear()
	clear(in.table)
	in.next = 0
	for k, b := range in.text.blocks {
		if b != nil {
			in.next = 1 << k
			break
		}
	}
}

// Free gives back the memory. in is then empty and can be used again.
func (in *Interner) Free() {
	in.entries.Free()
	freeArray(in.a, in.table)
	in.text.free(in.a)
	in.table, in.lgTable, in.next = nil, 0, 0
}
