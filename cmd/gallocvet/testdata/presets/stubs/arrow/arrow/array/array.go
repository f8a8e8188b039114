// Package array is a stub of Arrow's package array.
package array

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// Int64Builder builds.
type Int64Builder struct{ n int }

// NewInt64Builder makes a builder.
func NewInt64Builder(memory.Allocator) *Int64Builder { return &Int64Builder{} }

// Append appends.
func (b *Int64Builder) Append(int64) { b.n++ }

// Retain adds a reference.
func (b *Int64Builder) Retain() {}

// Release drops one.
func (b *Int64Builder) Release() {}

// NewArray makes an array.
func (b *Int64Builder) NewArray() arrow.Array { return nil }

// RecordBuilder builds records.
type RecordBuilder struct{ n int }

// NewRecordBuilder makes a builder.
func NewRecordBuilder(memory.Allocator) *RecordBuilder { return &RecordBuilder{} }

// Retain adds a reference.
func (b *RecordBuilder) Retain() {}

// Release drops one.
func (b *RecordBuilder) Release() {}

// NewRecordBatch makes a record.
func (b *RecordBuilder) NewRecordBatch() arrow.RecordBatch { return nil }

// NewRecordBatch makes a record.
func NewRecordBatch(rows int64) arrow.RecordBatch { return nil }
