package main

import (
	"encoding/binary"
	"iter"
	"maps"
	"slices"
)

// A mapIndex is the same index on Go's maps and slices, for comparison: the same lists, in memory
// of the garbage collector.
type mapIndex struct {
	words map[string]uint32
	lists []mapList
	order []string // by sort
	docs  uint32
}

type mapList struct {
	bytes      []byte
	last, docs uint32
}

func (ix *mapIndex) add(text string) {
	ix.docs++
	for w := range tokens(text) {
		id, ok := ix.words[string(w)]
		if !ok {
			id = uint32(len(ix.lists))
			ix.words[string(w)] = id
			ix.lists = append(ix.lists, mapList{})
		}
		if l := &ix.lists[id]; l.last != ix.docs {
			l.bytes = binary.AppendUvarint(l.bytes, uint64(ix.docs-l.last))
			l.last = ix.docs
			l.docs++
		}
	}
}

// buildMaps returns the index of documents. It sorts the words once at the end; the Index keeps
// them sorted all the time.
func buildMaps(docs iter.Seq[string]) *mapIndex {
	ix := &mapIndex{words: map[string]uint32{}}
	for text := range docs {
		ix.add(text)
	}
	ix.order = slices.Sorted(maps.Keys(ix.words))
	return ix
}

func (ix *mapIndex) query(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		var cursors []cursor
		for w := range tokens(text) {
			id, ok := ix.words[string(w)]
			if !ok {
				return
			}
			l := &ix.lists[id]
			cursors = append(cursors, cursor{rest: l.bytes, docs: l.docs})
		}
		intersect(cursors, yield)
	}
}
