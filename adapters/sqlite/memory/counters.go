//go:build memory.counters

package memory

const counters = true
