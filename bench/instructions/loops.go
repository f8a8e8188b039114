package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/wrap"
)

// A loop is an operation, many times. What is counted includes the loop itself, some instructions.
type loop struct {
	name string
	what string      // the operation
	do   func(n int) // does it n times
}

// loops is what is counted. Each goes a way of its own through the code; all but exchange never leave the cache of the P, once it is filled.
var loops = []loop{
	{"pair", "Alloc and Dealloc of 64 bytes", pair},
	{"zeroed", "AllocZeroed and Dealloc of 64 bytes", zeroed},
	{"free", "Alloc of 64 bytes, and Free of the heap, which is not told the layout", free},
	{"instance", "Alloc and Dealloc of 64 bytes by a heap that is not the default one", instance},
	{"face", "the same by way of galloc.GlobalAlloc", func(n int) { wrapped(n, plainHeap()) }},
	{"stats", "the same with wrap.Stats around the heap", func(n int) { wrapped(n, wrap.Stats(plainHeap())) }},
	{"limit", "the same with wrap.Limit around the heap", func(n int) { wrapped(n, wrap.Limit(plainHeap(), 1<<30)) }},
	{"sampled", "as pair, with wrap.Debug around the global heap that looks after one block in a billion", watched},
	{"batch", "as pair, but 1000 blocks before the first is freed: the magazine has a room", func(n int) { batch(n, 64, 1000) }},
	{"exchange", "as pair, but 5000 blocks of 512 bytes: magazines are exchanged with the centrals", func(n int) { batch(n, 512, 5000) }},
	{"realloc", "Realloc within the class", realloc},
}

// runLoop is the command that is counted.
func runLoop(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: instructions loop NAME N")
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 {
		return fmt.Errorf("%s: N must be a number from 1", args[1])
	}
	for _, l := range loops {
		if l.name != args[0] {
			continue
		}
		l.do(n)
		if name := galloc.GlobalName(); !strings.Contains(name, "galloc heap") {
			return fmt.Errorf("the heap is not the global allocator, but %s", name)
		}
		return nil
	}
	return fmt.Errorf("there is no loop %q", args[0])
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
	galloc.RegisterGlobal(wrap.Debug(heap.Default(), wrap.Sample(1e9)))
	pair(n)
}

// batch allocates many blocks, frees them in the same order, and so on, n blocks in all or a few more.
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
