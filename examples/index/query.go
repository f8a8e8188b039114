package main

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/galloc-go/galloc/collections"
)

// This file has what an Index answers, and how a list is read.

// Len returns the number of documents.
func (ix *Index) Len() int { return int(ix.docs) }

// Words returns the number of words.
func (ix *Index) Words() int { return ix.lists.Len() }

// Postings returns the lengths of all lists together, in documents.
func (ix *Index) Postings() (n int) {
	for _, l := range ix.lists.Slice() {
		n += int(l.docs)
	}
	return n
}

// Query returns the documents that have all the words of a text in them, ascending: none for a text without words. While they are
// iterated over, nothing must be added: Add may move the lists.
func (ix *Index) Query(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		var cursors []cursor
		for w := range tokens(text) {
			id, ok := ix.words.LookupBytes(w)
			if !ok || int(id) >= ix.lists.Len() { // it may be known, and have no list, where memory has run out
				return
			}
			l := ix.list(id)
			cursors = append(cursors, cursor{rest: ix.postings.Slice()[l.at:][:l.size], docs: l.docs})
		}
		intersect(cursors, yield)
	}
}

// Range returns the words w with low <= w < high, ascending, and in how many documents each is. The words are views into the index: they
// end with it, so that what is to be kept must be cloned.
func (ix *Index) Range(low, high string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		// What is looked for must be what keys are. These two are not the index's: they are on the global allocator, for a moment.
		from, to := collections.NewString(nil, low), collections.NewString(nil, high)
		defer from.Free(nil)
		defer to.Free(nil)
		ix.yieldWords(ix.order.Range(from, to), yield)
	}
}

// Prefix returns the words that begin with prefix, as Range does.
func (ix *Index) Prefix(prefix string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		from := collections.NewString(nil, prefix)
		defer from.Free(nil)
		ix.yieldWords(ix.order.Ascend(from), func(word string, docs int) bool {
			return strings.HasPrefix(word, prefix) && yield(word, docs)
		})
	}
}

// yieldWords yields those words that are in documents: a word whose document could not be added is in none.
func (ix *Index) yieldWords(words iter.Seq2[collections.String, uint32], yield func(string, int) bool) {
	for word, id := range words {
		if l := ix.list(id); l.docs > 0 && !yield(word.View(), int(l.docs)) {
			return
		}
	}
}

// A cursor goes along a list.
type cursor struct {
	rest []byte
	doc  uint32 // where it is; 0 at first
	docs uint32 // in all of the list
}

// next goes to the next document, if there is one.
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

// uvarintLen returns how many bytes putUvarint needs for x.
func uvarintLen(x uint32) uint32 { return uint32(bits.Len32(x|1)+6) / 7 }

// putUvarint writes x to the beginning of p, and returns how many bytes that were.
func putUvarint(p []byte, x uint32) uint32 { return uint32(binary.PutUvarint(p, uint64(x))) }
