// Command limit gives one part of a program a limit of memory, counts what that part allocates,
// and handles the failure of an allocation like any other error.
//
//	go run ./examples/limit
package main

import (
	"errors"
	"fmt"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/collections"
	"github.com/galloc-go/galloc/wrap"
)

func main() {
	// At most 1 MiB of the global allocator. Stats is outside, so it counts refusals too.
	a := wrap.Stats(wrap.Limit(nil, 1<<20))

	numbers := collections.NewVec[uint64](a)
	var err error
	for n := uint64(0); err == nil; n++ {
		err = numbers.TryPush(n) // Push would end the program
	}
	fmt.Println("out of memory:", errors.Is(err, galloc.ErrOutOfMemory))
	fmt.Println("all numbers so far are there:", numbers.At(numbers.Len()-1) == uint64(numbers.Len()-1))

	s := a.Snapshot()
	fmt.Println("refused:", s.Failures > 0, "within the limit:", s.PeakBytes <= 1<<20)

	numbers.Free()
	fmt.Println("bytes in use:", a.Snapshot().LiveBytes())
}
