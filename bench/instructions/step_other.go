//go:build !(linux && amd64)

package main

import "errors"

// stepThrough returns an error: it exists on Linux on amd64 only.
func stepThrough(string, ...string) ([][]int, error) {
	return nil, errors.New("programs are stepped through on " + platform + " only")
}
