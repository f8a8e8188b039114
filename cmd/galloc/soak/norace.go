//go:build !race

package soak

// raceEnabled is whether this program has it.
const raceEnabled = false
