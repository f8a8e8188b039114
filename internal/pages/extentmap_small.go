//go:build race || !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows) || !(amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package pages

// Addresses are short here, or reserved memory is Go memory, which is not free of charge.
const (
	mapUnitShift = 22       // 4 MiB, the unit of the extent map
	FirstExtent  = 16 << 20 // bytes that the heap of the process reserves first
)
