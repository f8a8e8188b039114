package arrow

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func released(mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem)
	defer b.Release()
	return b.NewRecordBatch()
}

func builtArray(mem memory.Allocator) arrow.Array {
	b := array.NewInt64Builder(mem)
	defer b.Release()
	b.Append(1)
	return b.NewArray()
}

func keptBuilder(mem memory.Allocator, all []*array.Int64Builder) []*array.Int64Builder {
	b := array.NewInt64Builder(mem)
	b.Retain()
	return append(all, b)
}

func retained(r arrow.RecordBatch) int64 {
	r.Retain()
	r.Release()
	return r.NumRows() // the caller has a reference
}

func reallocated(mem memory.Allocator) int {
	b := mem.Allocate(10)
	b = mem.Reallocate(20, b)
	n := len(b)
	mem.Free(b)
	return n
}

type column struct{ a arrow.Array }

func (c *column) set(a arrow.Array) {
	a.Retain()
	if c.a != nil {
		c.a.Release()
	}
	c.a = a
}
