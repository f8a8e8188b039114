//go:build !(linux && amd64)

package main

import "errors"

// stepThrough is for Linux on amd64 only.
func stepThrough(string, ...string) ([][]int, error) {
	return nil, errors.New("programs are stepped through on " + platform + " only")
}
