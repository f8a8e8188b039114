package rss

import (
	"bytes"
	"os"
	"strconv"
)

// Start resets the peak of the resident memory to the memory that is resident now, and returns that
// in bytes. ok is false if the kernel does not allow it.
func Start() (now int64, ok bool) {
	if os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) != nil {
		return 0, false
	}
	_, now = Peak()
	return now, now > 0
}

// Peak returns the peak of the resident memory since Start, and the memory that is resident now, in
// bytes. The kernel counts in batches per CPU, so each may be off by some hundred kilobytes.
func Peak() (peak, now int64) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0
	}
	for line := range bytes.Lines(status) {
		if key, value, _ := bytes.Cut(line, []byte(":")); len(value) > 0 {
			kb, _ := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 10, 64)
			switch string(key) {
			case "VmHWM":
				peak = kb << 10
			case "VmRSS":
				now = kb << 10
			}
		}
	}
	return peak, now
}
