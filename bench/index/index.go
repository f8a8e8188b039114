package main

import (
	"errors"
	"iter"
	"math"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// An Index has for each word the documents that contain it. Its data are in collections on one
// allocator, and only their heads are on the Go heap, so that the garbage collector does not scan
// it, however large it is.
//
// Collections contain no Go pointers, and so neither strings nor other collections. This determines
// the structure:
//
//	words     word -> its number, 0, 1, 2, ...           an Interner
//	lists     number -> list of documents                a Vec, since the numbers have no gaps
//	postings  the bytes of all lists                     one Vec for all, as there is no Vec of Vecs
//	order     word -> number, in the order of words      a BTree, whose keys are collections.Strings
//
// Documents have the numbers 1, 2, 3, ... in the order in which they were added. A list has the
// differences of successive numbers, 7 bits per byte: one byte for most documents of a frequent
// word, and these are the majority. 32-bit numbers would take four bytes. The price is that a list
// must be read from its beginning, which intersecting lists does anyway.
//
// Several goroutines may query an Index at once while none adds to it.
type Index struct {
	a        galloc.Allocator
	words    *collections.Interner
	lists    *collections.Vec[list]
	postings *collections.Vec[byte]
	order    *collections.BTreeFunc[collections.String, uint32]

	docs uint32                   // the number of the last document
	doc  *collections.Vec[uint32] // the numbers of the words of the document that is being added
}

// A list is postings[at:at+size], and may grow up to postings[at+room].
//
//	size <= last    since each difference takes at most as many bytes as its value
type list struct {
	at         int
	size, room uint32
	last       uint32 // the last document, or 0
	docs       uint32 // the number of documents
}

// maxDocs is the maximum number of documents: twice the room of a list must also fit in 32 bits.
const maxDocs = math.MaxInt32

var errFull = errors.New("index: too many documents")

// New returns an empty index on a; nil means the global allocator. The caller must call Free, or
// free everything on a.
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

// Build returns an index of documents. If memory runs out, it frees what it allocated and returns
// the error.
//
// It first counts the lengths of the lists, and then fills them. Adding document after document to
// an empty index has the same result, but lists without room move while they grow, and so does the
// Vec that contains them. Most allocators reuse the abandoned memory. An arena frees and grows only
// its last block, so in an arena the memory is lost until the arena is freed: the program prints
// how much. To avoid this:
//
//   - Reserve sizes that are known, or count them first, as here.
//   - Prefer collections that grow without moving: BTree, Slab, and the text of an Interner add
//     blocks. Vec, Deque and hash tables move.
//   - Keep temporary data elsewhere, as the numbers of words here.
//   - A collection that is alone in an arena grows in place, as long as the chunk has room.
func Build(a galloc.Allocator, docs iter.Seq[string]) (*Index, error) {
	ix := New(a)
	if err := ix.build(docs); err != nil {
		ix.Free()
		return nil, err
	}
	return ix, nil
}

func (ix *Index) build(docs iter.Seq[string]) error {
	var ids collections.Vec[uint32] // the different words of each document; on the global allocator
	var ends collections.Vec[int]   // the ends of the documents in ids
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
				continue // a repeated word of this document
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

// Add adds a document, which gets the next number. If Add fails, the index is unchanged.
func (ix *Index) Add(text string) error {
	if ix.docs == maxDocs {
		return errFull
	}
	// Steps that can fail come first.
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

// post adds the next document to the lists of its words, which have room.
func (ix *Index) post(ids []uint32) {
	ix.docs++
	for _, id := range ids {
		l := ix.list(id)
		if l.last == ix.docs {
			continue // a repeated word of this document
		}
		l.size += putUvarint(ix.postings.Slice()[l.at+int(l.size):], ix.docs-l.last)
		l.last = ix.docs
		l.docs++
	}
}

// number returns the number of a word, and makes its list if it has none.
func (ix *Index) number(word []byte) (uint32, error) {
	id, err := ix.words.TryInternBytes(word)
	if err != nil {
		return 0, err
	}
	for ix.lists.Len() <= int(id) { // a new word, and words for which this failed before
		if err := ix.enlist(uint32(ix.lists.Len())); err != nil {
			return 0, err
		}
	}
	return id, nil
}

// enlist makes the list of the next word, and adds the word to the order. So its text is stored
// twice: in the Interner, and in a String.
func (ix *Index) enlist(id uint32) error {
	if err := ix.lists.TryReserve(1); err != nil {
		return err
	}
	key, err := collections.NewString(ix.a, ix.words.View(id))
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

// list returns the list of a word, as a view that is valid until a word is added.
func (ix *Index) list(id uint32) *list { return &ix.lists.Slice()[id] }

// makeRoom ensures room for n bytes in l. Without room, the list moves to the end of postings with
// twice the room; the old room is lost.
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
		ix.postings.Append(zeros[:k]...) // it has capacity
		n -= k
	}
	return nil
}

// Free frees the memory, block by block, and leaves the index empty. It is not needed if a whole
// arena is freed.
func (ix *Index) Free() {
	ix.order.FreeFunc(func(word *collections.String, _ *uint32) { word.Free(ix.a) })
	ix.words.Free()
	ix.lists.Free()
	ix.postings.Free()
	ix.doc.Free()
	ix.docs = 0
}
