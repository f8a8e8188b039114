package bufpool_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/galloc-go/galloc/bufpool"
	"github.com/galloc-go/galloc/heap"
)

func Example() {
	b := bufpool.Get(0)
	defer bufpool.Put(b)
	fmt.Fprintf(b, "%d bytes, ", 10)
	_, _ = b.ReadFrom(strings.NewReader("read and written"))
	_, _ = b.WriteTo(os.Stdout)
	// Output: 10 bytes, read and written
}

// A pool on a separate heap has a hard limit.
func ExampleNew() {
	h, err := heap.New(heap.Options{HardLimit: 4 << 20})
	if err != nil {
		panic(err)
	}
	p := bufpool.New(bufpool.Options{Allocator: h, MaxIdle: 1 << 20})
	b, err := p.TryGet(1 << 20)
	fmt.Println(b.Len(), err)
	_, err = p.TryGet(8 << 20)
	fmt.Println(err)
	p.Put(b)
	p.Trim()
	h.Close()
	// Output:
	// 1048576 <nil>
	// galloc: memory allocation of 8388608 bytes (align 16) failed: out of memory: a limit is reached
}

// A zero Pool is ready for use.
func ExamplePool() {
	var p bufpool.Pool
	b := p.Get(1000)
	fmt.Println(b.Len(), b.Cap())
	p.Put(b)
	// Output: 1000 1024
}

// Default is the pool of the functions.
func ExampleDefault() {
	bufpool.Put(bufpool.Get(1000))
	bufpool.Default().Trim()
	fmt.Println(bufpool.Default().Stats().Idle)
	// Output: 0
}

// The last of several owners puts the buffer back.
func ExampleBuffer_Retain() {
	b := bufpool.Get(0)
	_, _ = b.WriteString("for all")
	var wg sync.WaitGroup
	for range 3 {
		b.Retain()
		wg.Go(func() {
			defer b.Release()
			_, _ = b.WriteTo(io.Discard)
		})
	}
	wg.Wait()
	fmt.Println(b, b.Owners())
	b.Release()
	// Output: for all 1
}

// Slices fits libraries that take and put back *[]byte.
func ExampleNewSlices() {
	var library interface { // mem.BufferPool of grpc
		Get(length int) *[]byte
		Put(*[]byte)
	} = bufpool.NewSlices(nil)
	b := library.Get(1000)
	fmt.Println(len(*b))
	library.Put(b)
	// Output: 1000
}

// A request takes its buffers in a scope, and so does each of its parts.
func ExampleNewScope() {
	request := bufpool.NewScope(nil)
	defer request.End()
	body := request.Get(100)
	copy(body.Bytes(), "body")

	part := request.New()
	_ = part.Get(1 << 20)
	name := part.Bytes(10) // a slice, without methods
	fmt.Println(len(name), part.Len())
	part.End()

	fmt.Println(string(body.Bytes()[:4]), request.Len())
	// Output:
	// 10 2
	// body 1
}

// Each buffer is guarded here; in production, a Rate of 10000 costs next to nothing.
func ExampleGuardOptions() {
	p := bufpool.New(bufpool.Options{Guard: bufpool.GuardOptions{
		Rate:     1,
		OnMisuse: func(m *bufpool.Misuse) { fmt.Println(m.Kind) },
	}})
	b := p.Get(100)
	p.Put(b)
	p.Put(b)
	// Output: double free
}
