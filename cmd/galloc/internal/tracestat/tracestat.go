// Package tracestat describes a trace: its events, sizes, lifetimes and threads, and the bytes in
// use over time.
package tracestat

import (
	"fmt"
	"io"
	"math"
	"math/bits"

	"github.com/galloc-go/galloc/trace"
)

// Stats describes a trace. Sizes are in bytes as the program requested them. Time is counted in
// events.
//
//	Events == Mallocs + Callocs + Aligned + Reallocs + Frees
//	Objects == Mallocs + Callocs + Aligned + Reallocs == Σ Sizes[i].Objects
//	Objects == Σ Lifetimes[i].Objects + EndObjects
type Stats struct {
	Events   int `json:"events"`
	Mallocs  int `json:"mallocs"`
	Callocs  int `json:"callocs"`
	Aligned  int `json:"aligned"`
	Reallocs int `json:"reallocs"`
	Frees    int `json:"frees"`

	ReallocGrown  int `json:"reallocGrown"`  // reallocs to more bytes
	ReallocShrunk int `json:"reallocShrunk"` // to fewer
	ReallocNew    int `json:"reallocNew"`    // of no object

	Objects     int    `json:"objects"`
	TotalBytes  uint64 `json:"totalBytes"` // of all objects, at most 1<<64 - 1
	MaxSize     uint64 `json:"maxSize"`
	PeakObjects int    `json:"peakObjects"`
	PeakBytes   uint64 `json:"peakBytes"` // the most in use
	PeakEvent   int    `json:"peakEvent"` // after how many events that was first
	EndObjects  int    `json:"endObjects"`
	EndBytes    uint64 `json:"endBytes"`

	// Sizes has the objects of 0 bytes, and then of 1<<(i-1) to 1<<i - 1 bytes.
	Sizes []Bucket `json:"sizes"`
	// Lifetimes has the objects that end with the next event in 1, with the 2nd or 3rd in 2, and so
	// on.
	Lifetimes []Bucket `json:"lifetimes"`
	Threads   []Thread `json:"threads"`

	// Live is the most bytes in use during each Step events.
	Live []uint64 `json:"live"`
	Step int      `json:"step"`
}

// A Bucket is a part of the objects.
type Bucket struct {
	Objects int    `json:"objects"`
	Bytes   uint64 `json:"bytes"`
}

// A Thread is the events of a thread.
type Thread struct {
	Events int `json:"events"`
	Allocs int `json:"allocs"` // objects that begin, by realloc too
	Ends   int `json:"ends"`   // objects that end, by realloc too
	Others int `json:"others"` // of these, objects that another thread has allocated
}

// maxPoints is the greatest length of Stats.Live.
const maxPoints = 512

// object is an object that is alive.
type object struct {
	size   uint64
	born   int // events before
	thread int
}

// Read reads a trace to its end. progress is called now and then with the number of events so far;
// if it returns an error, Read stops with that. It takes some 100 bytes for each object that is
// alive at a time.
func Read(src trace.Source, progress func(events int) error) (*Stats, error) {
	s := &Stats{Step: 1}
	live := map[uint64]object{}
	var bytes uint64
	end := func(thread int, id uint64) uint64 {
		o := live[id] // the reader has checked that it is alive
		delete(live, id)
		bytes -= o.size
		s.Lifetimes = add(s.Lifetimes, bits.Len(uint(s.Events-o.born)), o.size)
		t := &s.Threads[thread]
		t.Ends++
		if o.thread != thread {
			t.Others++
		}
		return o.size
	}
	for {
		op, err := src.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if s.Events%4096 == 0 {
			if err := progress(s.Events); err != nil {
				return nil, err
			}
		}
		for op.Thread >= len(s.Threads) {
			s.Threads = append(s.Threads, Thread{})
		}
		s.Threads[op.Thread].Events++
		switch op.Kind {
		case trace.Malloc:
			s.Mallocs++
		case trace.Calloc:
			s.Callocs++
		case trace.Aligned:
			s.Aligned++
		case trace.Realloc:
			s.Reallocs++
			if op.Old == 0 {
				s.ReallocNew++
				break
			}
			switch old := end(op.Thread, op.Old); {
			case op.Size > old:
				s.ReallocGrown++
			case op.Size < old:
				s.ReallocShrunk++
			}
		case trace.Free:
			s.Frees++
			end(op.Thread, op.ID)
		}
		if op.Kind != trace.Free {
			if bytes > math.MaxInt64-op.Size {
				return nil, fmt.Errorf("after %d events, the objects in use have more than %d bytes", s.Events, uint64(math.MaxInt64))
			}
			live[op.ID] = object{op.Size, s.Events, op.Thread}
			bytes += op.Size
			s.begin(op)
		}
		s.Events++
		if bytes > s.PeakBytes {
			s.PeakBytes, s.PeakEvent = bytes, s.Events
		}
		s.PeakObjects = max(s.PeakObjects, len(live))
		s.point(bytes)
	}
	s.EndObjects, s.EndBytes = len(live), bytes
	return s, nil
}

// begin counts the object that op begins.
func (s *Stats) begin(op trace.Op) {
	s.Objects++
	s.Threads[op.Thread].Allocs++
	s.TotalBytes = sum(s.TotalBytes, op.Size)
	s.MaxSize = max(s.MaxSize, op.Size)
	s.Sizes = add(s.Sizes, bits.Len64(op.Size), op.Size)
}

// add counts an object of the given size in a bucket.
func add(to []Bucket, i int, size uint64) []Bucket {
	for len(to) <= i {
		to = append(to, Bucket{})
	}
	to[i].Objects++
	to[i].Bytes = sum(to[i].Bytes, size)
	return to
}

// sum returns a + b, or the greatest number if that is greater.
func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// point enters the bytes in use after the last event.
func (s *Stats) point(bytes uint64) {
	i := (s.Events - 1) / s.Step
	if i == maxPoints { // join neighbors
		for j := range maxPoints / 2 {
			s.Live[j] = max(s.Live[2*j], s.Live[2*j+1])
		}
		s.Live = s.Live[:maxPoints/2]
		s.Step *= 2
		i = (s.Events - 1) / s.Step
	}
	if i == len(s.Live) {
		s.Live = append(s.Live, 0)
	}
	s.Live[i] = max(s.Live[i], bytes)
}

// Range returns the least and the greatest value in bucket i of Sizes and Lifetimes.
func Range(i int) (low, high uint64) {
	if i == 0 {
		return 0, 0
	}
	return 1 << (i - 1), 1<<(i-1)*2 - 1
}
