//go:build !unix

package libc

import (
	"os"
	"runtime"
)

// abort exits with the status of the C library's abort on Windows, and elsewhere with the status
// that a shell reports for SIGABRT.
func abort() {
	status := 134
	if runtime.GOOS == "windows" {
		status = 3
	}
	for {
		os.Exit(status)
	}
}
