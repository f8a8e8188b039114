package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
)

// largest returns the size of the largest block of a program file, which its head says: see Program.WriteTo in package trace.
func largest(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	var head [40]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return 0, fmt.Errorf("%s: not a program, which gobench dump makes of a trace: %w", path, err)
	}
	return binary.LittleEndian.Uint64(head[32:]), nil
}
