//go:build !race && (linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows) && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package engine

const (
	mapUnitShift = 24       // of 16 MiB: the unit of the extent map
	firstExtent  = 64 << 30 // bytes of address space that the default heap reserves first
)
