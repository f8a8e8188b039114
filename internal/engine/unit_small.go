//go:build race || !(linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows) || !(amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package engine

// Where addresses are short, or reserved memory is Go memory, which is not free of charge.
const (
	mapUnitShift = 22       // of 4 MiB: the unit of the extent map
	firstExtent  = 16 << 20 // bytes of address space that the default heap reserves first
)
