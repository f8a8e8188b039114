// Package unix is a stub of golang.org/x/sys/unix.
package unix

// Mmap maps.
func Mmap(fd int, offset int64, length, prot, flags int) ([]byte, error) {
	return make([]byte, length), nil
}

// Munmap unmaps.
func Munmap(b []byte) error { return nil }
