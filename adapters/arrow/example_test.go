package arrow_test

import (
	"fmt"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/galloc-go/galloc"
	"github.com/galloc-go/galloc/adapters/arrow"
	"github.com/galloc-go/galloc/wrap"
)

func ExampleNew() {
	counted := wrap.Stats(galloc.Global)
	mem := arrow.New(counted)
	b := array.NewInt64Builder(mem)
	b.AppendValues([]int64{1, 2, 3}, nil)
	values := b.NewInt64Array()
	b.Release()
	fmt.Println(values)
	values.Release()
	fmt.Println(mem.AllocatedBytes(), counted.ReadStats().Live)
	// Output:
	// [1 2 3]
	// 0 0
}

func ExampleCatch() {
	mem := arrow.New(wrap.Limit(galloc.Global, 1<<20))
	err := arrow.Catch(func() error {
		b := array.NewInt64Builder(mem)
		defer b.Release()
		b.Reserve(1_000_000)
		return nil
	})
	fmt.Println(err)
	fmt.Println(mem.AllocatedBytes())
	// Output:
	// galloc: memory allocation of 8388608 bytes (align 64) failed: out of memory: a limit is reached
	// 0
}
