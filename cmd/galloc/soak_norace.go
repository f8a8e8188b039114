//go:build !race

package main

// raceDetector is whether this program has it.
const raceDetector = false
