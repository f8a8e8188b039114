// Package mmap maps files.
package mmap

import (
	"os"

	"golang.org/x/sys/unix"
)

func used(f *os.File) (byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, 4096, 1, 1)
	if err != nil {
		return 0, err
	}
	if err := unix.Munmap(b); err != nil {
		return 0, err
	}
	return b[0], nil // want "memory is used after unix.Munmap"
}

func leaks(f *os.File) (byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, 4096, 1, 1) // want "the memory of unix.Mmap is not freed by the return"
	if err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, os.ErrInvalid
	}
	x := b[0]
	return x, unix.Munmap(b)
}
