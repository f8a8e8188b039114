package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// The allocator new is the language's new: pair and batch with new([N]byte), N a power of two,
// instead of calls of galloc. Blocks are not freed but become garbage. The collector runs as in any
// program.

const newName = "new"

// newAnswer has the keys of an answer of bench/WORKLOADS.md that apply.
type newAnswer struct {
	Allocator string `json:"allocator"`
	Workload  string `json:"workload"`
	Threads   int    `json:"threads"`
	Ops       uint64 `json:"ops"`
	Ns        int64  `json:"ns"`
	Allocs    uint64 `json:"allocs"`
	Bytes     uint64 `json:"bytes"`
	Error     string `json:"error"`
}

// sink keeps the blocks of a thread, so that they escape. It shares no cache lines with others.
type sink struct {
	_     [128]byte
	last  unsafe.Pointer
	table []unsafe.Pointer
	_     [128]byte
}

func pairOf[T any](s *sink, n, _ int) {
	for range n {
		p := new(T)
		*(*byte)(unsafe.Pointer(p)) = 1 // SAFETY: a T is an array of at least one byte
		s.last = unsafe.Pointer(p)      // SAFETY: only the type changes
	}
}

func batchOf[T any](s *sink, n, count int) {
	for range n / count {
		for i := range s.table {
			p := new(T)
			*(*byte)(unsafe.Pointer(p)) = 1 // SAFETY: as above
			s.table[i] = unsafe.Pointer(p)  // SAFETY: as above
		}
		clear(s.table)
	}
}

// newLoops has the two loops for each size, since the size of an array is part of its type.
var newLoops = map[uint64]struct{ pair, batch func(s *sink, n, count int) }{
	8:       {pairOf[[8]byte], batchOf[[8]byte]},
	16:      {pairOf[[16]byte], batchOf[[16]byte]},
	32:      {pairOf[[32]byte], batchOf[[32]byte]},
	64:      {pairOf[[64]byte], batchOf[[64]byte]},
	128:     {pairOf[[128]byte], batchOf[[128]byte]},
	256:     {pairOf[[256]byte], batchOf[[256]byte]},
	512:     {pairOf[[512]byte], batchOf[[512]byte]},
	1 << 10: {pairOf[[1 << 10]byte], batchOf[[1 << 10]byte]},
	1 << 11: {pairOf[[1 << 11]byte], batchOf[[1 << 11]byte]},
	1 << 12: {pairOf[[1 << 12]byte], batchOf[[1 << 12]byte]},
	1 << 13: {pairOf[[1 << 13]byte], batchOf[[1 << 13]byte]},
	1 << 14: {pairOf[[1 << 14]byte], batchOf[[1 << 14]byte]},
	1 << 15: {pairOf[[1 << 15]byte], batchOf[[1 << 15]byte]},
	1 << 16: {pairOf[[1 << 16]byte], batchOf[[1 << 16]byte]},
	1 << 17: {pairOf[[1 << 17]byte], batchOf[[1 << 17]byte]},
	1 << 18: {pairOf[[1 << 18]byte], batchOf[[1 << 18]byte]},
	1 << 19: {pairOf[[1 << 19]byte], batchOf[[1 << 19]byte]},
	1 << 20: {pairOf[[1 << 20]byte], batchOf[[1 << 20]byte]},
}

// runNew runs pair or batch.
func runNew(name string, settings []string) (newAnswer, error) {
	v := map[string]uint64{
		"size": 64, "iterations": 5_000_000, "count": 1000, "threads": 1, "seed": 4141,
		"latency": 0, "settle": 0,
	}
	if name == "pair" {
		delete(v, "count")
	}
	for _, s := range settings {
		key, value, _ := strings.Cut(s, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if _, known := v[key]; !known || err != nil {
			return newAnswer{}, fmt.Errorf(
				"%s: the keys of new are size, iterations, threads and, for batch, count; the values are numbers",
				s)
		}
		v[key] = n
	}
	loops, known := newLoops[v["size"]]
	loop := loops.pair
	if name == "batch" {
		loop = loops.batch
	}
	switch {
	case name != "pair" && name != "batch":
		return newAnswer{}, errors.New("the allocator new has only pair and batch")
	case !known:
		return newAnswer{}, errors.New("sizes of the allocator new are powers of two, from 8 to 1048576")
	case v["latency"] != 0 || v["settle"] != 0:
		return newAnswer{}, errors.New("the allocator new has neither latency nor settle")
	case v["threads"] < 1 || v["iterations"] < 1 || name == "batch" && v["count"] < 1:
		return newAnswer{}, errors.New("threads, iterations and count must be at least 1")
	}
	n := v["iterations"]
	if v["size"] >= 32<<10 {
		n /= v["size"] / 16384
	}
	if name == "batch" {
		n -= n % v["count"]
	}
	took := together(int(v["threads"]), func() func() {
		s := &sink{table: make([]unsafe.Pointer, v["count"])}
		return func() { loop(s, int(n), int(v["count"])) }
	})
	ops := n * v["threads"]
	return newAnswer{
		Allocator: "Go's new", Workload: name, Threads: int(v["threads"]),
		Ops: ops, Ns: took.Nanoseconds(), Allocs: ops, Bytes: ops * v["size"],
	}, nil
}

// together sets up n goroutines, starts them at once, and returns the time until the last has
// ended.
func together(n int, setup func() func()) time.Duration {
	release := make(chan struct{})
	var ready, done sync.WaitGroup
	ready.Add(n)
	for range n {
		done.Go(func() {
			work := setup()
			ready.Done()
			<-release
			work()
		})
	}
	ready.Wait()
	start := time.Now()
	close(release)
	done.Wait()
	return time.Since(start)
}
