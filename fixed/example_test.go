package fixed_test

import (
	"fmt"
	"unsafe"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/fixed"
)

var static [4096]byte // static memory, not from a heap

func ExampleNew() {
	a := fixed.New(static[:])
	numbers, err := galloc.MakeSlice[byte](a, 4000)
	fmt.Println(len(numbers), err, a.Used())
	_, err = galloc.MakeSlice[byte](a, 97)
	fmt.Println(err)
	// Output:
	// 4000 <nil> 4000
	// galloc: memory allocation of 97 bytes (align 1) failed: out of memory: a limit is reached
}

// Blocks in a file or in shared memory refer to one another by offsets.
func ExampleResume() {
	type header struct{ first, used int64 }
	file := make([]byte, 4096) // for example, a mapped file
	a := fixed.New(file)
	h := galloc.Must(galloc.New[header](a))
	name := galloc.Must(galloc.MakeSlice[byte](a, 5))
	copy(name, "hello")
	h.first, h.used = int64(a.Offset(unsafe.Pointer(&name[0]))), int64(a.Used())

	again := append([]byte(nil), file...) // mapped again, at another address
	h = (*header)(unsafe.Pointer(&again[0]))
	b := fixed.Resume(again, int(h.used))
	fmt.Println(string(unsafe.Slice((*byte)(b.At(int(h.first))), 5)), b.Used())
	// Output: hello 21
}

func ExampleNewShared() {
	a := fixed.NewShared(make([]byte, 1<<20))
	done := make(chan int)
	for range 4 {
		go func() {
			s, err := galloc.MakeSlice[byte](a, 1000)
			if err != nil {
				panic(err)
			}
			done <- len(s)
		}()
	}
	fmt.Println(<-done, <-done, <-done, <-done, a.Used())
	// Output: 1000 1000 1000 1000 4000
}

func ExampleResumeShared() {
	mem := make([]byte, 4096)
	before := fixed.NewShared(mem)
	galloc.Must(galloc.MakeSlice[byte](before, 100))
	a := fixed.ResumeShared(mem, before.Used())
	s := galloc.Must(galloc.MakeSlice[byte](a, 50))
	fmt.Println(a.Offset(unsafe.Pointer(&s[0])), a.Used())
	// Output: 100 150
}
