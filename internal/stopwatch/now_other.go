//go:build !amd64

package stopwatch

import "time"

const counter = false

var began = time.Now()

// Now returns the nanoseconds since the program began.
func Now() uint64 { return uint64(time.Since(began)) }
