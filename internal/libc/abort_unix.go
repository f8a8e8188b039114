//go:build unix && !linux

package libc

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// abort leaves the rest to the Go runtime: resetting its handler needs the C library on these systems.
func abort() {
	_ = unix.Kill(unix.Getpid(), unix.SIGABRT)
	time.Sleep(time.Second) // Another thread may have to take the signal.
	for {
		os.Exit(134)
	}
}
