//go:build !unix

package libc

import (
	"os"
	"runtime"
)

// abort exits with the status of the C library's abort on Windows, and with that of a shell for SIGABRT elsewhere.
func abort() {
	status := 134
	if runtime.GOOS == "windows" {
		status = 3
	}
	for {
		os.Exit(status)
	}
}
