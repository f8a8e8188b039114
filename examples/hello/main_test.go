package main

func Example() {
	main()
	// Output:
	// {3 4}
	// 1000000 0 0.5
	// 4096 0
}
