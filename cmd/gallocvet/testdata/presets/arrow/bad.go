// Package arrow uses Arrow.
package arrow

import (
	"errors"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

func notReleased(mem memory.Allocator, fail bool) int64 {
	b := array.NewRecordBuilder(mem) // want "the memory of array.NewRecordBuilder is not freed by the return"
	if fail {
		return 0
	}
	r := b.NewRecordBatch()
	b.Release()
	defer r.Release()
	return r.NumRows()
}

func builderNotReleased(mem memory.Allocator, all []int64) error {
	b := array.NewInt64Builder(mem) // want "the memory of array.NewInt64Builder is not freed by the return"
	for _, x := range all {
		if x < 0 {
			return errors.New("negative")
		}
		b.Append(x)
	}
	b.Release()
	return nil
}

func bufferNotReleased(mem memory.Allocator, n int) int {
	b := memory.NewResizableBuffer(mem) // want "the memory of memory.NewResizableBuffer is not freed by the return"
	if n < 0 {
		return 0
	}
	b.Resize(n)
	defer b.Release()
	return len(b.Bytes())
}

func afterFree(mem memory.Allocator) byte {
	b := mem.Allocate(10)
	mem.Free(b)
	return b[0] // want "memory is used after memory.Allocator.Free"
}
