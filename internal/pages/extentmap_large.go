//go:build !race && (linux || darwin || dragonfly || freebsd || netbsd || openbsd || windows) && (amd64 || arm64 || loong64 || mips64 || mips64le || ppc64 || ppc64le || riscv64 || s390x)

package pages

// The extent map, and the first reservation.
const (
	mapUnitShift = 24       // 16 MiB, the unit of the extent map
	FirstExtent  = 64 << 30 // bytes that the heap of the process reserves first
)
