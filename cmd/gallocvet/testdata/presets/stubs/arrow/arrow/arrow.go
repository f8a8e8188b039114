// Package arrow is a stub of Arrow's package arrow. It has the functions that the preset names.
package arrow

// Array is an array.
type Array interface {
	Retain()
	Release()
	Len() int
}

// RecordBatch is a record.
type RecordBatch interface {
	Retain()
	Release()
	NumRows() int64
	Column(i int) Array
}

// Record is a RecordBatch.
type Record = RecordBatch
