//go:build !linux

package main

// Resident memory is measured on Linux only: elsewhere its peak cannot be set back.

func startRSS() (now int64, ok bool) { return 0, false }
func peakRSS() (peak, now int64)     { return 0, 0 }
