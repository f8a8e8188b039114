//go:build !race && go1.26 && !go1.27

// The fast path in assembly: fast.go says what it does, fast_amd64.go how it is called. The runtime does not stop a goroutine in
// such a function, so the cache belongs to it: see pin.go.

#include "go_asm.h"
#include "textflag.h"

// CACHE puts the cache of the P that we run on into DX, and goes to slow if its number is too great.
// R14 is the goroutine, 48(R14) its thread, and there is its P, whose number comes first.
#define CACHE \
	MOVQ 48(R14), DX \
	MOVQ const_knownOffsetOfP(DX), DX \
	MOVL (DX), DX \
	CMPL DX, $const_MaxProcs \
	JAE  slow \
	LEAQ ·inForce(SB), SI \
	MOVQ (SI)(DX*8), DX

// MAGAZINE turns the class in a register into the place of its magazine in the cache: classes are less than classLimit.
#define MAGAZINE(class) \
	SHLQ $4, class

// func fastAlloc(size uintptr, lg, class uint32) unsafe.Pointer
// size AX, lg BX, class CX; result AX
TEXT ·fastAllocAsm(SB), NOSPLIT|NOFRAME, $0-0
	CACHE
	MOVL  CX, SI
	MAGAZINE(SI)
	MOVL  magazine_top(DX)(SI*1), DI
	DECL  DI
	MOVQ  Cache_slots(DX)(DI*8), R8
	TESTQ R8, R8
	JZ    slow
	MOVL  DI, magazine_top(DX)(SI*1)
	MOVQ  (Cache_slots-8)(DX)(DI*8), R9
	PREFETCHT0 (R9) // the block that comes next: it has not been touched lately, and will be written to
	MOVQ  R8, AX
	RET

slow:
	MOVQ ·slowAlloc(SB), DX
	MOVQ (DX), SI
	JMP  SI

// FREE is what comes of fastFree once it is known that the block is the heap's.
// p AX, size BX, lg CX, class DI
#define FREE \
	CACHE \
	MOVL DI, SI \
	MAGAZINE(SI) \
	MOVL magazine_top(DX)(SI*1), R8 \
	CMPL R8, magazine_end(DX)(SI*1) \
	JEQ  slow \
	CMPQ AX, (Cache_slots-8)(DX)(R8*8) \
	JEQ  slow \
	MOVQ AX, Cache_slots(DX)(R8*8) \
	INCL R8 \
	MOVL R8, magazine_top(DX)(SI*1) \
	RET \
slow: \
	MOVQ ·slowFree(SB), DX \
	MOVQ (DX), SI \
	JMP  SI

// func fastFree(p unsafe.Pointer, size uintptr, lg, class uint32)
TEXT ·fastFreeAsm(SB), NOSPLIT|NOFRAME, $0-0
	FREE

// func fastFreeApart(p unsafe.Pointer, size uintptr, lg, class uint32)
TEXT ·fastFreeApartAsm(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ AX, R9
	SUBQ ·apart(SB), R9
	CMPQ R9, ·apart+8(SB)
	JB   slow
	FREE

// func fastAllocCode() uintptr
TEXT ·fastAllocCode(SB), NOSPLIT, $0-8
	LEAQ ·fastAllocAsm(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func fastFreeCode() uintptr
TEXT ·fastFreeCode(SB), NOSPLIT, $0-8
	LEAQ ·fastFreeAsm(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func fastFreeApartCode() uintptr
TEXT ·fastFreeApartCode(SB), NOSPLIT, $0-8
	LEAQ ·fastFreeApartAsm(SB), AX
	MOVQ AX, ret+0(FP)
	RET
