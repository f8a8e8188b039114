package main

import (
	"errors"
	"iter"
	"math"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// An Index knows for each word which documents it is in. All that it knows is in collections on one allocator, and nothing on the
// Go heap but their heads: so the garbage collector has nothing to do with it, however large it is.
//
// In collections there are no Go pointers, and so neither strings nor other collections. That decides the form:
//
//	words     word -> its number, 0, 1, 2, ...           an Interner
//	lists     number -> list of documents                a Vec, since the numbers have no gaps
//	postings  the bytes of all lists                     one Vec for all, as there is no Vec of Vecs
//	order     word -> number, in the order of words      a BTree, whose keys are collections.Strings
//
// Documents have the numbers 1, 2, 3, ... in the order in which they were added. In a list each stands as the difference to the one
// before, 7 bits a byte: one byte for most documents of a frequent word, and those are most of all. As numbers of 32 bits they would take
// four. The price is that a list is read from its beginning, but to find what several lists have in common one reads them anyway.
//
// Several goroutines may query an Index at once while nobody adds to it.
type Index struct {
	a        galloc.Allocator
	words    *collections.Interner
	lists    *collections.Vec[list]
	postings *collections.Vec[byte]
	order    *collections.BTreeFunc[collections.String, uint32]

	docs uint32                   // the number of the last document
	doc  *collections.Vec[uint32] // the words of the document that is being added, as numbers
}

// A list is postings[at:at+size], and may grow up to postings[at+room].
//
//	size <= last    since each difference takes no more bytes than it is large
type list struct {
	at         int
	size, room uint32
	last       uint32 // the last document, or 0
	docs       uint32 // how many they are
}

// maxDocs is the most documents that there can be: twice the room of a list has 32 bits, too.
const maxDocs = math.MaxInt32

var errFull = errors.New("index: there are as many documents as there can be")

// New returns an empty index on a; nil stands for the global allocator. In the end, its owner calls Free, or frees all that is on a.
func New(a galloc.Allocator) *Index {
	return &Index{
		a:        a,
		words:    collections.NewInterner(a),
		lists:    collections.NewVec[list](a),
		postings: collections.NewVec[byte](a),
		order: collections.NewBTreeFunc[collections.String, uint32](a, func(x, y collections.String) int {
			return strings.Compare(x.View(), y.View())
		}),
		doc: collections.NewVec[uint32](a),
	}
}

// Build returns an index of documents. If memory runs out, it returns the error, and all that it had allocated is given back.
//
// It counts how long the lists will be, and then fills them. Adding one document after the other to an empty index gives the same one, but
// one that has grown: lists have moved when they had no room, and so has the Vec that they are in. An allocator that takes back what they
// have left uses it again; an arena takes back the last block only, and lets that one grow where it is. So in an arena all that has moved
// is left behind until the arena goes: the program prints how much. What to do:
//
//   - Reserve what is known beforehand. What is not known can be counted, as here.
//   - Prefer what grows without moving: BTree, Slab, and the text of an Interner add blocks. Vec, Deque and hash tables move.
//   - Keep what is needed for a short time elsewhere, as the numbers of words here: where it grows, it leaves nothing in the arena.
//   - A collection that is alone in an arena grows where it is, as long as the chunk has room.
func Build(a galloc.Allocator, docs iter.Seq[string]) (*Index, error) {
	ix := New(a)
	if err := ix.build(docs); err != nil {
		ix.Free()
		return nil, err
	}
	return ix, nil
}

func (ix *Index) build(docs iter.Seq[string]) error {
	var ids collections.Vec[uint32] // the words of each document, once each; on the global allocator
	var ends collections.Vec[int]   // where the words of each document end in ids
	defer ids.Free()
	defer ends.Free()
	for text := range docs {
		n := uint32(ends.Len() + 1)
		if n > maxDocs {
			return errFull
		}
		for w := range tokens(text) {
			id, err := ix.number(w)
			if err != nil {
				return err
			}
			l := ix.list(id)
			if l.last == n {
				continue // the word has come before in this document
			}
			if err := ids.TryPush(id); err != nil {
				return err
			}
			l.room += uvarintLen(n - l.last)
			l.last = n
		}
		if err := ends.TryPush(ids.Len()); err != nil {
			return err
		}
	}
	total := 0
	for i := range ix.lists.Slice() {
		l := ix.list(uint32(i))
		l.at, l.last = total, 0
		total += int(l.room)
	}
	if err := ix.lengthen(total); err != nil {
		return err
	}
	from := 0
	for _, end := range ends.Slice() {
		ix.post(ids.Slice()[from:end])
		from = end
	}
	return nil
}

// Add adds a document; it gets the next number. If it fails, no document was added.
func (ix *Index) Add(text string) error {
	if ix.docs == maxDocs {
		return errFull
	}
	// First all that can fail.
	ix.doc.Clear()
	for w := range tokens(text) {
		id, err := ix.number(w)
		if err != nil {
			return err
		}
		l := ix.list(id)
		if err := ix.makeRoom(l, uvarintLen(ix.docs+1-l.last)); err != nil {
			return err
		}
		if err := ix.doc.TryPush(id); err != nil {
			return err
		}
	}
	ix.post(ix.doc.Slice())
	return nil
}

// post puts the next document into the lists of its words, which have the room.
func (ix *Index) post(ids []uint32) {
	ix.docs++
	for _, id := range ids {
		l := ix.list(id)
		if l.last == ix.docs {
			continue // the word has come before in this document
		}
		l.size += putUvarint(ix.postings.Slice()[l.at+int(l.size):], ix.docs-l.last)
		l.last = ix.docs
		l.docs++
	}
}

// number returns the number of a word, which has a list then.
func (ix *Index) number(word []byte) (uint32, error) {
	id, err := ix.words.TryInternBytes(word)
	if err != nil {
		return 0, err
	}
	for ix.lists.Len() <= int(id) { // a new word, and those for which this has failed
		if err := ix.enlist(uint32(ix.lists.Len())); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// enlist makes the list of the next word, and puts the word into the order. Its text is there twice thereby: in the Interner, and in
// a String that is a block of its own.
func (ix *Index) enlist(id uint32) error {
	if err := ix.lists.TryReserve(1); err != nil {
		return err
	}
	key, err := collections.TryNewString(ix.a, ix.words.View(id))
	if err != nil {
		return err
	}
	if err := ix.order.TryPut(key, id); err != nil {
		key.Free(ix.a)
		return err
	}
	ix.lists.Push(list{})
	return nil
}

// list returns the list of a word, as a view that ends when there is a new word.
func (ix *Index) list(id uint32) *list { return &ix.lists.Slice()[id] }

// makeRoom sees to it that n bytes can be put into l. If there is no room it moves to the end of postings, where it gets twice as much;
// where it was is lost.
func (ix *Index) makeRoom(l *list, n uint32) error {
	if l.size+n <= l.room {
		return nil
	}
	at, room := ix.postings.Len(), max(2*l.room, l.size+n)
	if err := ix.lengthen(int(room)); err != nil {
		return err
	}
	p := ix.postings.Slice()
	copy(p[at:], p[l.at:l.at+int(l.size)])
	l.at, l.room = at, room
	return nil
}

// lengthen adds n bytes to postings.
func (ix *Index) lengthen(n int) error {
	if err := ix.postings.TryReserve(n); err != nil {
		return err
	}
	var zeros [256]byte
	for n > 0 {
		k := min(n, len(zeros))
		ix.postings.Append(zeros[:k]...) // there is room
		n -= k
	}
	return nil
}

// Free gives back the memory, block by block; the index is then empty. Where all of an arena goes there is no need for it.
func (ix *Index) Free() {
	ix.order.FreeFunc(func(word *collections.String, _ *uint32) { word.Free(ix.a) })
	ix.words.Free()
	ix.lists.Free()
	ix.postings.Free()
	ix.doc.Free()
	ix.docs = 0
}
