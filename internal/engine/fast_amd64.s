//go:build !race

// The fast path in assembly. fast.go says what it does, fast_amd64.go how it is called. The runtime
// does not stop a goroutine in such a function, so each is a section of internal/percpu.

#include "go_asm.h"
#include "textflag.h"

// CACHE loads the cache of the current P into DX, or jumps to slow if the number of the P is too
// large. R14 is the goroutine, 48(R14) its m, which has a pointer to the P. The P begins with its
// number.
#define CACHE \
	MOVQ 48(R14), DX \
	MOVQ const_knownOffsetOfP(DX), DX \
	MOVL (DX), DX \
	CMPL DX, $const_maxProcs \
	JAE  slow \
	LEAQ ·globalCaches(SB), SI \
	MOVQ (SI)(DX*8), DX

// MAGAZINE turns the class in a register, less than classLimit, into the offset of its magazine in
// the cache.
#define MAGAZINE(class) \
	SHLQ $4, class

// POP pops a block of the class CX into R8, or jumps to slow. It loads the address of the next
// block into R9, and prefetches it: it has not been used lately, and the program will write to it.
#define POP \
	CACHE \
	MOVL  CX, SI \
	MAGAZINE(SI) \
	MOVL  magazine_top(DX)(SI*1), DI \
	DECL  DI \
	MOVQ  Cache_slots(DX)(DI*8), R8 \
	TESTQ R8, R8 \
	JZ    slow \
	MOVL  DI, magazine_top(DX)(SI*1) \
	MOVQ  (Cache_slots-8)(DX)(DI*8), R9 \
	PREFETCHT0 (R9)

// func fastAlloc(size uintptr, lg, class uint32) unsafe.Pointer
// size AX, lg BX, class CX; result AX
TEXT ·fastAllocAsm(SB), NOSPLIT|NOFRAME, $0-0
	POP
	MOVQ  R8, AX
	RET

slow:
	MOVQ ·slowAlloc(SB), DX
	MOVQ (DX), SI
	JMP  SI

// func fastAllocZeroed(size uintptr, lg, class uint32) unsafe.Pointer
// The size of a block is a multiple of 8. So the bytes up to the next one are the caller's too.
TEXT ·fastAllocZeroedAsm(SB), NOSPLIT|NOFRAME, $0-0
	CMPQ  AX, $const_maxFastZeroed
	JHI   slow
	POP
	ADDQ  $7, AX
	ANDQ  $-8, AX
	SUBQ  $16, AX
	JLT   word
	LEAQ  (R8)(AX*1), SI // the last 16 bytes
	MOVQ  R8, AX
	XORPS X0, X0
	MOVUPS X0, (SI)
	CMPQ  R8, SI
	JAE   cleared

next:
	MOVUPS X0, (R8)
	ADDQ  $16, R8
	CMPQ  R8, SI
	JB    next

cleared:
	RET

word:
	MOVQ $0, (R8)
	MOVQ R8, AX
	RET

slow:
	MOVQ ·slowAllocZeroed(SB), DX
	MOVQ (DX), SI
	JMP  SI

// FREE is the body of fastFree, for a block of the heap.
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

// func fastFreeChecked(p unsafe.Pointer, size uintptr, lg, class uint32)
TEXT ·fastFreeCheckedAsm(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ AX, R9
	SUBQ ·foreign(SB), R9
	CMPQ R9, ·foreign+8(SB)
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

// func fastAllocZeroedCode() uintptr
TEXT ·fastAllocZeroedCode(SB), NOSPLIT, $0-8
	LEAQ ·fastAllocZeroedAsm(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func fastFreeCheckedCode() uintptr
TEXT ·fastFreeCheckedCode(SB), NOSPLIT, $0-8
	LEAQ ·fastFreeCheckedAsm(SB), AX
	MOVQ AX, ret+0(FP)
	RET
