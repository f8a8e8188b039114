// Package cpus binds threads to processors, to measure on fewer CPUs than the machine has.
package cpus

import "errors"

// ErrUnsupported is returned where threads cannot be bound to CPUs.
var ErrUnsupported = errors.New("cpus: threads can be bound to CPUs on Linux only: leave cpus=N out")
