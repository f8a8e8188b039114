//go:build !go1.28 && !galloc_portable

package percpu

import "encoding/binary"

// findP is explained in findp_amd64.go. The code is
//
//	MOVD 48(R28), R1    m
//	MOVW locks(R1), R2
//	ADD  $1, R2
//	MOVW R2, locks(R1)
//	MOVD offset(R1), R1 its P
//	MOVW (R1), R0       the number of the P
//	RET
func findP(code *[32]byte) uintptr {
	const field = 0xffc003ff // all but the offset
	for i, want := range [...]struct{ bits, mask uint32 }{
		{0xf9401b81, ^uint32(0)},
		{0xb9800022, field},
		{0x91000442, ^uint32(0)},
		{0xb9000022, field},
		{0xf9400021, field},
		{0xb9800020, ^uint32(0)},
		{0xd65f03c0, ^uint32(0)},
	} {
		if binary.LittleEndian.Uint32(code[4*i:])&want.mask != want.bits {
			return 0
		}
	}
	return uintptr(binary.LittleEndian.Uint32(code[4*4:])&^field>>10) * 8
}
