//go:build race

package main

// raceDetector is whether this program has it: its own memory grows with what it watches.
const raceDetector = true
