#include "textflag.h"

// BLOCK16 sets the low 16 bits of Q: which of the 16 bytes at SI+AT equal the quote (X9), of R: which equal the delimiter
// (X8), LF (X10) or CR (X11), and of W: which are not ASCII.
#define BLOCK16(AT, Q, R, W) \
	MOVOU    AT(SI), X0 \
	PMOVMSKB X0, W      \
	MOVOA    X0, X1     \
	MOVOA    X0, X2     \
	MOVOA    X0, X3     \
	PCMPEQB  X8, X0     \
	PCMPEQB  X9, X1     \
	PCMPEQB  X10, X2    \
	PCMPEQB  X11, X3    \
	POR      X3, X2     \
	POR      X2, X0     \
	PMOVMSKB X1, Q      \
	PMOVMSKB X0, R

// EVERY sets all 16 bytes of X to the low byte of R.
#define EVERY(R, X) \
	MOVQ       R, X     \
	PUNPCKLBW  X, X     \
	PSHUFLW    $0, X, X \
	PUNPCKLQDQ X, X

// func findBlocks(quotes, ends, wide *uint64, data *byte, blocks int, delim, quote byte)
TEXT ·findBlocks(SB), NOSPLIT, $0-42
	MOVQ    quotes+0(FP), R9
	MOVQ    ends+8(FP), DI
	MOVQ    wide+16(FP), R11
	MOVQ    data+24(FP), SI
	MOVQ    blocks+32(FP), CX
	MOVBLZX delim+40(FP), AX
	EVERY(AX, X8)
	MOVBLZX quote+41(FP), AX
	EVERY(AX, X9)
	MOVL    $0x0a, AX
	EVERY(AX, X10)
	MOVL    $0x0d, AX
	EVERY(AX, X11)
	TESTQ   CX, CX
	JLE     done

loop:
	BLOCK16(0, R8, AX, DX)
	BLOCK16(16, R10, BX, R12)
	SHLQ $16, R10
	SHLQ $16, BX
	SHLQ $16, R12
	ORQ  R10, R8
	ORQ  BX, AX
	ORQ  R12, DX
	BLOCK16(32, R10, BX, R12)
	SHLQ $32, R10
	SHLQ $32, BX
	SHLQ $32, R12
	ORQ  R10, R8
	ORQ  BX, AX
	ORQ  R12, DX
	BLOCK16(48, R10, BX, R12)
	SHLQ $48, R10
	SHLQ $48, BX
	SHLQ $48, R12
	ORQ  R10, R8
	ORQ  BX, AX
	ORQ  R12, DX
	MOVQ R8, (R9)
	MOVQ AX, (DI)
	MOVQ DX, (R11)
	ADDQ $64, SI
	ADDQ $8, R9
	ADDQ $8, DI
	ADDQ $8, R11
	DECQ CX
	JNZ  loop

done:
	RET
