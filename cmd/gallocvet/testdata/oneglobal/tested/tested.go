// Package tested has tests that register twice.
package tested

// Value is tested.
const Value = 1
