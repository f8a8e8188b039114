//go:build !go1.28 && !galloc_portable

package percpu

import (
	"encoding/binary"
	"slices"
)

// findP returns the offset of the pointer to the P in the runtime's m. It reads the offset from the
// code of procPin, and returns 0 if the code is not
//
//	MOVQ    0x30(R14), CX   m
//	INCL    locks(CX)
//	MOVQ    offset(CX), CX  its P
//	MOVLQSX (CX), AX        the number of the P
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
