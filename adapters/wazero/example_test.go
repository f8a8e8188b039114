package wazero_test

import (
	"context"
	"fmt"

	galloc "github.com/galloc-go/galloc/adapters/wazero"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
)

func ExampleNew() {
	memories := galloc.New(galloc.Options{Limit: 64 << 20}) // for all modules together
	ctx := experimental.WithMemoryAllocator(context.Background(), memories)
	r := wazero.NewRuntime(ctx)
	binary := binaryOf(limits{min: 2, max: 1000})
	module, err := r.InstantiateWithConfig(ctx, binary, wazero.NewModuleConfig())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, ok := module.Memory().Grow(500)
	fmt.Println(ok, memories.Stats().Size)
	_, ok = module.Memory().Grow(600)
	fmt.Println(ok, memories.Stats().Size)
	r.Close(ctx)
	fmt.Println(memories.Stats().Size)
	// Output:
	// true 32899072
	// false 32899072
	// 0
}

func ExampleCatch() {
	memories := galloc.New(galloc.Options{Limit: 1 << 20})
	ctx := experimental.WithMemoryAllocator(context.Background(), memories)
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	err := galloc.Catch(func() error {
		_, err := r.Instantiate(ctx, binaryOf(limits{min: 100}))
		return err
	})
	fmt.Println(err)
	// Output: galloc: memory allocation of 6553600 bytes (align 1) failed: out of memory: a limit is reached
}
