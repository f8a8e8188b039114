package libc

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// abort does what glibc's abort does. The Go runtime has a handler for SIGABRT, which would print a
// traceback and exit with status 2; so abort first restores the default action.
func abort() {
	runtime.LockOSThread()
	// A struct sigaction of zeros means SIG_DFL, no flags and no mask. It differs by architecture,
	// and is at most 64 bytes.
	var action [64]byte
	size := uintptr(8) // of the kernel's signal set
	if strings.HasPrefix(runtime.GOARCH, "mips") {
		size = 16
	}
	// SAFETY: the kernel reads the structure during the call and keeps nothing.
	_, _, _ = unix.RawSyscall6(
		unix.SYS_RT_SIGACTION, uintptr(unix.SIGABRT), uintptr(unsafe.Pointer(&action)), 0, size, 0, 0)
	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGABRT - 1)
	_ = unix.PthreadSigmask(unix.SIG_UNBLOCK, &set, nil)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), syscall.SIGABRT)
	for { // the kernel does not kill a process with id 1
		os.Exit(134)
	}
}
