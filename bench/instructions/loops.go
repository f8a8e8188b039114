package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/memcheck"
	"github.com/galloc-go/galloc/wrap"
)

// A loop repeats an operation. The count includes some instructions of the loop itself.
type loop struct {
	name string
	what string      // the operation
	do   func(n int) // performs it n times
}

// loops are the loops that are counted, each with a different path through the code. All but
// exchange stay within the cache of the P, once it is filled.
var loops = []loop{
	{"pair", "Alloc and Dealloc of 64 bytes", pair},
	{"zeroed", "AllocZeroed and Dealloc of 64 bytes", zeroed},
	{"free", "Alloc of 64 bytes, and Free of the heap, which does not know the layout", free},
	{"instance", "Alloc and Dealloc of 64 bytes by a heap that is not the default one", instance},
	{"face", "the same by way of galloc.GlobalAlloc", func(n int) { wrapped(n, plainHeap()) }},
	{"stats", "the same with wrap.Stats around the heap", func(n int) { wrapped(n, wrap.Stats(plainHeap())) }},
	{"limit", "the same with wrap.Limit around the heap", func(n int) { wrapped(n, wrap.Limit(plainHeap(), 1<<30)) }},
	{"sampled", "as pair, with a memcheck.Checker around the global heap that checks one block in a billion", watched},
	{
		"batch", "as pair, but 1000 blocks before the first is freed: the magazine has a room",
		func(n int) { batch(n, 64, 1000) },
	},
	{
		"exchange", "as pair, but 5000 blocks of 512 bytes: magazines are exchanged with the centrals",
		func(n int) { batch(n, 512, 5000) },
	},
	{"realloc", "Realloc within the class", realloc},
	{"layout", "NewLayout of a size and an alignment known at run time, Alloc and Dealloc", laidOut},
	{"new", "New and Free of 24 bytes", newAndFree},
	{"make", "MakeSlice and FreeSlice of 64 bytes", makeAndFree},
	{"box", "NewBox and Free of 24 bytes", boxed},
	{"grow", "GrowSlice within the class", growSlice},
}

// runLoop is the command whose instructions are counted.
func runLoop(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: instructions loop NAME N")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 {
		return fmt.Errorf("%s is not a positive number of operations", args[1])
	}
	for _, l := range loops {
		if l.name != args[0] {
			continue
		}
		l.do(n)
		if name := galloc.DescribeGlobal(); !strings.Contains(name, "galloc heap") {
			return fmt.Errorf("the global allocator is %s, not the heap", name)
		}
		return nil
	}
	return fmt.Errorf("unknown loop %q: see loops.go", args[0])
}

func layout(size uintptr) galloc.Layout { return galloc.Must(galloc.NewLayout(size, 8)) }

func pair(n int) {
	l := layout(64)
	for range n {
		galloc.Dealloc(galloc.Alloc(l), l)
	}
}

func zeroed(n int) {
	l := layout(64)
	for range n {
		galloc.Dealloc(galloc.AllocZeroed(l), l)
	}
}

func free(n int) {
	l, h := layout(64), heap.Default()
	for range n {
		h.Free(galloc.Alloc(l))
	}
}

func plainHeap() *heap.Heap { return galloc.Must(heap.New(heap.Options{})) }

func wrapped(n int, a galloc.GlobalAlloc) {
	l := layout(64)
	for range n {
		a.Dealloc(a.Alloc(l), l)
	}
}

func instance(n int) {
	l, h := layout(64), plainHeap()
	for range n {
		h.Dealloc(h.Alloc(l), l)
	}
	h.Close()
}

func watched(n int) {
	galloc.RegisterGlobal(memcheck.New(heap.Default(), memcheck.Options{Sample: 1e9}))
	pair(n)
}

// batch allocates many blocks and frees them in the same order, again and again, until it has
// allocated at least n blocks.
func batch(n int, size uintptr, many int) {
	l, blocks := layout(size), make([]unsafe.Pointer, many)
	for ; n > 0; n -= many {
		for i := range blocks {
			blocks[i] = galloc.Alloc(l)
		}
		for _, p := range blocks {
			galloc.Dealloc(p, l)
		}
	}
}

func realloc(n int) {
	l, shorter := layout(64), layout(60)
	p := galloc.Alloc(l)
	for range n {
		p = galloc.Realloc(p, l, shorter.Size())
		l, shorter = shorter, l
	}
	galloc.Dealloc(p, l)
}

// laidOut prepares the layout for each block, as C's malloc must.
func laidOut(n int) {
	for i := range n {
		l, err := galloc.NewLayout(64+uintptr(i&7), 16)
		if err != nil {
			panic(err)
		}
		galloc.Dealloc(galloc.Alloc(l), l)
	}
}

type triple [3]uint64

func newAndFree(n int) {
	for range n {
		p, err := galloc.New[triple](nil)
		if err != nil {
			panic(err)
		}
		galloc.Free(nil, p)
	}
}

func makeAndFree(n int) {
	for i := range n {
		s, err := galloc.MakeSlice[byte](nil, 60+i&3)
		if err != nil {
			panic(err)
		}
		galloc.FreeSlice(nil, s)
	}
}

func boxed(n int) {
	for i := range n {
		b, err := galloc.NewBox(nil, triple{uint64(i)})
		if err != nil {
			panic(err)
		}
		b.Free()
	}
}

func growSlice(n int) {
	s := galloc.Must(galloc.MakeSlice[uint32](nil, 15))
	for i := range n {
		var err error
		if s, err = galloc.GrowSlice(nil, s, 15+i&1); err != nil {
			panic(err)
		}
	}
	galloc.FreeSlice(nil, s)
}
