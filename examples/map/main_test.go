//go:build !race && !wasm

// With the race detector, and on WebAssembly, the memory of the heap is Go memory.

package main

func Example() {
	main()
	// Output:
	// 1000000 {77 1} true
	// the Go heap has grown by more than 1 MB: false
}
