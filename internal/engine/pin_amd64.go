//go:build !race

package engine

import (
	"encoding/binary"
	"slices"
)

// findP finds the offset of the pointer to the P in the runtime's description of a thread, by reading it from the code of procPin, which
// is what knows it in the version of Go that has built the program; or 0, if that code is not
//
//	MOVQ   0x30(R14), CX   the thread
//	INCL   locks(CX)
//	MOVQ   offset(CX), CX  its P
//	MOVLQSX (CX), AX       the number of that
//	RET
func findP(code *[32]byte) uintptr {
	const incl, movq, end = 4, 4 + 6, 4 + 6 + 7
	if slices.Equal(code[:incl+2], []byte{0x49, 0x8b, 0x4e, 0x30, 0xff, 0x81}) &&
		slices.Equal(code[movq:movq+3], []byte{0x48, 0x8b, 0x89}) &&
		slices.Equal(code[end:end+4], []byte{0x48, 0x63, 0x01, 0xc3}) {
		return uintptr(binary.LittleEndian.Uint32(code[movq+3:]))
	}
	return 0
}
