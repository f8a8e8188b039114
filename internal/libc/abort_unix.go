//go:build unix && !linux

package libc

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// abort sends SIGABRT to the handler of the Go runtime. To reset the handler would need the C
// library on these systems.
func abort() {
	_ = unix.Kill(unix.Getpid(), unix.SIGABRT)
	time.Sleep(time.Second) // another thread may receive the signal
	for {
		os.Exit(134)
	}
}
