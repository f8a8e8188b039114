// Package mid calls package lib.
package mid

import "example.com/vet/nocycle/lib"

// Round uses memory.
func Round(n uintptr) uintptr { return uintptr(lib.Scratch(int(n))) }

// Double does not.
func Double(n uintptr) uintptr { return 2 * n }
