// Package goodtested has tests that register, as the program of a test may.
package goodtested

// Value is tested.
const Value = 1
