package main

func Example() {
	main()
	// Output:
	// the
	// be
	// 0 bytes in use
}
