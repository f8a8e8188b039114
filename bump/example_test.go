package bump_test

import (
	"fmt"

	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/bump"
)

// The values of each request are in the arena, and each request reuses the memory of the previous
// one.
func ExampleNew() {
	type point struct{ x, y float64 }
	a := bump.New(nil)
	defer a.Close()
	for request := range 3 {
		points, err := galloc.MakeSlice[point](a, 100)
		if err != nil {
			fmt.Println(err)
			return
		}
		points[99].x = float64(request)
		fmt.Println(points[99], a.Used(), a.Capacity())
		a.Reset()
	}
	// Output:
	// {0 0} 1600 4096
	// {1 0} 1600 4096
	// {2 0} 1600 4096
}

func ExampleArena_Rewind() {
	a := bump.New(nil)
	defer a.Close()
	galloc.Must(galloc.New[[100]byte](a)) // stays
	m := a.Mark()
	galloc.Must(galloc.New[[5000]byte](a)) // until Rewind
	fmt.Println(a.Used())
	a.Rewind(m)
	fmt.Println(a.Used())
	// Output:
	// 5100
	// 100
}

func ExampleArena_SetLimit() {
	a := bump.New(nil)
	defer a.Close()
	a.SetLimit(1 << 20)
	_, err := galloc.MakeSlice[byte](a, 2<<20)
	fmt.Println(err)
	// Output: galloc: memory allocation of 2097152 bytes (align 1) failed: out of memory: a limit is reached
}
