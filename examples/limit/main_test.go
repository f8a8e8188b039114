package main

func Example() {
	main()
	// Output:
	// out of memory: true
	// all numbers so far are there: true
	// refused: true within the limit: true
	// bytes in use: 0
}
