package main

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
)

// Queries of an Index, and reading of lists.

// Len returns the number of documents.
func (ix *Index) Len() int { return int(ix.docs) }

// Words returns the number of words.
func (ix *Index) Words() int { return ix.lists.Len() }

// Postings returns the sum of the lengths of all lists, in documents.
func (ix *Index) Postings() (n int) {
	for _, l := range ix.lists.Slice() {
		n += int(l.docs)
	}
	return n
}

// Query returns the documents that contain all words of a text, in ascending order; none for a text
// without words. Do not call Add during the iteration: it may move the lists.
func (ix *Index) Query(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		var cursors []cursor
		for w := range tokens(text) {
			id, ok := ix.words.LookupBytes(w)
			// If memory ran out, a known word may have no list.
			if !ok || int(id) >= ix.lists.Len() {
				return
			}
			l := ix.list(id)
			cursors = append(cursors, cursor{rest: ix.postings.Slice()[l.at:][:l.size], docs: l.docs})
		}
		intersect(cursors, yield)
	}
}

// Range returns the words w with low <= w < high, in ascending order, and the number of documents
// of each. The words are views into the index: clone them to keep them.
func (ix *Index) Range(low, high string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		// Bounds must have the type of the keys. These two are temporary, on the global allocator.
		from, to := galloc.Must(collections.NewString(nil, low)), galloc.Must(collections.NewString(nil, high))
		defer from.Free(nil)
		defer to.Free(nil)
		ix.yieldWords(ix.order.Range(from, to), yield)
	}
}

// Prefix returns the words that begin with prefix, as Range does.
func (ix *Index) Prefix(prefix string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		from := galloc.Must(collections.NewString(nil, prefix))
		defer from.Free(nil)
		ix.yieldWords(ix.order.Ascend(from), func(word string, docs int) bool {
			return strings.HasPrefix(word, prefix) && yield(word, docs)
		})
	}
}

// yieldWords yields the words that are in documents: a word whose document could not be added is in
// none.
func (ix *Index) yieldWords(words iter.Seq2[collections.String, uint32], yield func(string, int) bool) {
	for word, id := range words {
		if l := ix.list(id); l.docs > 0 && !yield(word.View(), int(l.docs)) {
			return
		}
	}
}

// A cursor iterates over a list.
type cursor struct {
	rest []byte
	doc  uint32 // the current document; 0 at first
	docs uint32 // in the list
}

// next moves to the next document, if any.
func (c *cursor) next() bool {
	d, n := binary.Uvarint(c.rest)
	c.rest = c.rest[n:]
	c.doc += uint32(d)
	return n > 0
}

// intersect yields the documents that are in all lists.
func intersect(cursors []cursor, yield func(int) bool) {
	if len(cursors) == 0 {
		return
	}
	slices.SortFunc(cursors, func(x, y cursor) int { return cmp.Compare(x.docs, y.docs) })
	shortest, others := &cursors[0], cursors[1:]
next:
	for shortest.next() {
		for i := range others {
			c := &others[i]
			for c.doc < shortest.doc {
				if !c.next() {
					return
				}
			}
			if c.doc > shortest.doc {
				continue next
			}
		}
		if !yield(int(shortest.doc)) {
			return
		}
	}
}

// uvarintLen returns the number of bytes that putUvarint writes for x.
func uvarintLen(x uint32) uint32 { return uint32(bits.Len32(x|1)+6) / 7 }

// putUvarint writes x to the beginning of p, and returns the number of bytes written.
func putUvarint(p []byte, x uint32) uint32 { return uint32(binary.PutUvarint(p, uint64(x))) }
