package grpc_test

import (
	"fmt"

	galloc "github.com/galloc-go/galloc/adapters/grpc"
	"github.com/galloc-go/galloc/bufpool"
	"google.golang.org/grpc"
)

func Example() {
	pool := bufpool.New(bufpool.Options{MaxIdle: 64 << 20}) // for all servers and clients
	s := grpc.NewServer(galloc.ServerOption(pool))
	defer s.Stop()
	fmt.Println(pool.Stats().Buffers)
	// Output: 0
}

func ExampleBufferPool() {
	pool := galloc.BufferPool(nil) // the default pool
	b := pool.Get(1000)
	fmt.Println(len(*b))
	pool.Put(b)
	// Output: 1000
}
