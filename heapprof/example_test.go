package heapprof_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/heap"
	"github.com/galloc-go/galloc/heapprof"
)

// A program writes a profile to a file, for go tool pprof.
func Example() {
	p := heapprof.New(heap.Default(), heapprof.Options{})
	// In main: galloc.RegisterGlobal(p)
	s, _ := galloc.MakeSlice[float64](p, 1_000_000)
	defer galloc.FreeSlice(p, s)

	var file bytes.Buffer
	_, err := p.Profile().WriteTo(&file)
	fmt.Println(err)
	// Output: <nil>
}

// With rate 1 a Profiler samples every block, so that a test can say what is left.
func ExampleNew() {
	p := heapprof.New(nil, heapprof.Options{Rate: 1}) // nil is the global allocator
	mark := p.Mark()
	s, _ := galloc.MakeSlice[byte](p, 4096)
	for _, site := range p.Leaks(mark).Sites {
		name := site.Place().Function
		fmt.Println(site.InUseObjects, "block,", site.InUseBytes, "bytes:", name[strings.LastIndexByte(name, '/')+1:])
	}
	galloc.FreeSlice(p, s)
	fmt.Println(len(p.Leaks(mark).Sites))
	// Output:
	// 1 block, 4096 bytes: heapprof_test.ExampleNew
	// 0
}

func ExampleProfile_Sub() {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	before := p.Profile()
	s, _ := galloc.MakeSlice[byte](p, 1024)
	growth := p.Profile().Sub(before)
	fmt.Println(len(growth.Sites), growth.Sites[0].InUseBytes)
	galloc.FreeSlice(p, s)
	// Output: 1 1024
}

func ExampleProfiler_Peak() {
	p := heapprof.New(heap.Default(), heapprof.Options{Rate: 1})
	for range 10 {
		s, _ := galloc.MakeSlice[byte](p, 1024)
		galloc.FreeSlice(p, s)
	}
	fmt.Println(p.Peak().Sites[0].InUseBytes, p.Temporary(1).Sites[0].AllocObjects)
	// Output: 1024 10
}
