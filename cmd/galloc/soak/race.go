//go:build race

package soak

// raceEnabled reports whether the race detector is on: its own memory grows with the memory that it
// watches.
const raceEnabled = true
