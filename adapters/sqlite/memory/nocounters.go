//go:build !memory.counters

package memory

const counters = false
