package galloc_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/galloc-go/galloc"
)

func Example() {
	// A million numbers that the garbage collector does not know of.
	s, err := galloc.MakeSlice[float64](nil, 1_000_000)
	if err != nil {
		fmt.Println(err) // out of memory is a value
		return
	}
	defer galloc.FreeSlice(nil, s)
	s[999_999] = 0.5
	fmt.Println(len(s), s[0], s[999_999])
	// Output: 1000000 0 0.5
}

func ExampleNewLayout() {
	l, err := galloc.NewLayout(100, 64)
	fmt.Println(l, err)
	fmt.Println(l.PadToAlign())
	_, err = galloc.NewLayout(100, 24)
	fmt.Println(err)
	// Output:
	// Layout(size 100, align 64 = 1<<6) <nil>
	// Layout(size 128, align 64 = 1<<6)
	// galloc: invalid layout: alignment is not a power of two (size 100, align 24)
}

func ExampleLayoutOf() {
	type point struct {
		x, y  float32
		label byte
	}
	fmt.Println(galloc.LayoutOf[point]())
	// Output: Layout(size 12, align 4 = 1<<2)
}

func ExampleArrayLayout() {
	fmt.Println(galloc.ArrayLayout[uint32](1000))
	_, err := galloc.ArrayLayout[uint32](-1)
	fmt.Println(err)
	// Output:
	// Layout(size 4000, align 4 = 1<<2) <nil>
	// galloc: invalid layout: count is negative (count -1, size 4, align 4)
}

func ExampleLayoutOfValue() {
	fmt.Println(galloc.LayoutOfValue("hello"))
	fmt.Println(galloc.LayoutOfValue([]int32{1, 2, 3}))
	// Output:
	// Layout(size 5, align 1 = 1<<0)
	// Layout(size 12, align 4 = 1<<2)
}

func ExampleStructLayout() {
	u8, u16, u32 := galloc.LayoutOf[uint8](), galloc.LayoutOf[uint16](), galloc.LayoutOf[uint32]()
	l, offsets, err := galloc.StructLayout(u32, u8, u16, u8)
	fmt.Println(l, offsets, err)
	// Output: Layout(size 12, align 4 = 1<<2) [0 4 6 8] <nil>
}

func ExampleLayout_Repeat() {
	l := galloc.Must(galloc.NewLayout(6, 4))
	row, stride, err := l.Repeat(3)
	fmt.Println(row, stride, err) // no padding after the last
	// Output: Layout(size 22, align 4 = 1<<2) 8 <nil>
}

func ExampleNew() {
	type point struct{ x, y int }
	p, err := galloc.New[point](galloc.System)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.Free(galloc.System, p)
	p.y = 2
	fmt.Println(*p)

	type user struct{ name string }
	_, err = galloc.New[user](galloc.System)
	fmt.Println(errors.Is(err, galloc.ErrPointers))
	u, err := galloc.New[user](galloc.GoHeap) // the garbage collector sees that
	fmt.Println(*u, err)
	// Output:
	// {0 2}
	// true
	// {} <nil>
}

func ExampleGrowSlice() {
	s := galloc.Must(galloc.MakeSlice[int](nil, 3))
	copy(s, []int{1, 2, 3})
	s, err := galloc.GrowSlice(nil, s, 5)
	if err != nil {
		fmt.Println(err) // s is as it was
	}
	fmt.Println(s)
	galloc.FreeSlice(nil, s)
	// Output: [1 2 3 0 0]
}

func ExampleNewBox() {
	b, err := galloc.NewBox(nil, 4)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Free()
	*b.Get()++
	fmt.Println(*b.Get())
	// Output: 5
}

func ExampleBox() {
	var b galloc.Box[[16]byte] // empty, on the global allocator
	if err := b.Set([16]byte{'k', 'e', 'y'}); err != nil {
		fmt.Println(err)
		return
	}
	v, ok := b.Take()
	fmt.Printf("%s %v %v\n", v[:3], ok, b.Get() == nil)
	// Output: key true true
}

// myAllocatorStats counts what goes through it to the system's allocator.
type myAllocatorStats struct{ allocations, deallocations atomic.Int64 }

func (s *myAllocatorStats) Alloc(l galloc.Layout) unsafe.Pointer {
	s.allocations.Add(1)
	return galloc.System.Alloc(l)
}

func (s *myAllocatorStats) Dealloc(p unsafe.Pointer, l galloc.Layout) {
	s.deallocations.Add(1)
	galloc.System.Dealloc(p, l)
}

// Register an allocator in main, or in an init function of package main, before anything is
// allocated. (This example has no output, since registering is once per program.)
func ExampleRegisterGlobal() {
	var stats myAllocatorStats
	galloc.RegisterGlobal(&stats)
	b := galloc.Must(galloc.NewBox(nil, 8)) // through stats
	b.Free()
	fmt.Println(stats.allocations.Load(), stats.deallocations.Load())
}

func ExampleAsAllocator() {
	var stats myAllocatorStats
	a := galloc.AsAllocator(&stats)
	s := galloc.Must(galloc.MakeSlice[byte](a, 10))
	s = galloc.Must(galloc.GrowSlice(a, s, 20)) // no Realloc: allocates and frees
	galloc.FreeSlice(a, s)
	fmt.Println(stats.allocations.Load(), stats.deallocations.Load())
	// Output: 2 2
}

func ExampleAsGlobal() {
	g := galloc.AsGlobal(galloc.GoHeap) // could be registered
	l := galloc.LayoutOf[uint64]()
	p := g.Alloc(l)
	fmt.Println(p != nil)
	g.Dealloc(p, l)
	// Output: true
}

func ExampleGrow() {
	a := galloc.System
	small, large := galloc.Must(galloc.NewLayout(4, 1)), galloc.Must(galloc.NewLayout(1000, 1))
	b := galloc.Must(a.Allocate(small))
	copy(b, "data")
	g, err := galloc.GrowZeroed(a, unsafe.Pointer(&b[0]), small, large)
	if err != nil {
		a.Deallocate(unsafe.Pointer(&b[0]), small) // it is still ours
		return
	}
	fmt.Printf("%s %d %d\n", g[:4], g[4], len(g))
	a.Deallocate(unsafe.Pointer(&g[0]), large)
	// Output: data 0 1000
}

// A large value that is overwritten at once need not be cleared.
func ExampleNewUninit() {
	p, err := galloc.NewUninit[[4096]byte](nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.Free(nil, p)
	n := copy(p[:], "read from a file")
	fmt.Printf("%s\n", p[:n])
	// Output: read from a file
}

func ExampleMakeSliceCap() {
	s, err := galloc.MakeSliceCap[int](nil, 0, 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer galloc.FreeSlice(nil, s)
	s = append(s, 1, 2, 3) // within the capacity
	fmt.Println(s, cap(s))
	// Output: [1 2 3] 100
}

// The slice moves to a larger array when it is full.
func ExampleAppendSlice() {
	var s []int
	var err error
	for i := range 10 {
		if s, err = galloc.AppendSlice(nil, s, i*i); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(s)
	galloc.FreeSlice(nil, s)
	// Output: [0 1 4 9 16 25 36 49 64 81]
}

func ExampleReadStats() {
	before, err := galloc.ReadStats()
	if err != nil {
		fmt.Println(err) // the global allocator has no statistics
		return
	}
	p := galloc.Must(galloc.New[[1000]byte](nil))
	defer galloc.Free(nil, p)
	after, _ := galloc.ReadStats()
	fmt.Println(after.LiveBlocks-before.LiveBlocks, after.Live-before.Live >= 1000)
	// Output: 1 true
}

// A server would rather lose one request than the process.
func ExampleSetAllocErrorHook() {
	galloc.SetAllocErrorHook(func(l galloc.Layout) { panic(galloc.ErrOutOfMemory.For(l)) })
	defer galloc.SetAllocErrorHook(nil)

	handle := func(request int) (err error) {
		defer func() {
			if e, ok := recover().(*galloc.AllocError); ok {
				err = fmt.Errorf("request %d: %w", request, e)
			}
		}()
		galloc.HandleAllocError(galloc.LayoutOf[[1 << 20]byte]())
		return nil
	}
	fmt.Println(handle(7))
	// Output: request 7: galloc: memory allocation of 1048576 bytes (align 1) failed: out of memory
}

// Null always fails, which shows what code does when there is no memory.
func ExampleNull() {
	_, err := galloc.MakeSlice[int32](galloc.Null, 10)
	fmt.Println(err)
	// Output: galloc: memory allocation of 40 bytes (align 4) failed: out of memory
}

func ExampleNewManaged() {
	m, err := galloc.NewManaged(nil, [1000]int64{})
	if err != nil {
		fmt.Println(err)
		return
	}
	m.Use(func(table *[1000]int64) { table[7] = 49 })
	fmt.Println(m.Load()[7])
	m.Free() // or forget m
	fmt.Println(m.Freed())
	// Output:
	// 49
	// true
}

func ExampleManage() {
	p := galloc.Must(galloc.New[int](nil))
	*p = 8
	m := galloc.Manage(nil, p)
	fmt.Println(m.Load())
	// Output: 8
}
