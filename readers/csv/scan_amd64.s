#include "textflag.h"

// BLOCK16 sets the low 16 bits of R: which of the 16 bytes at SI+AT equal the delimiter (X8), the quote (X9), LF (X10) or
// CR (X11).
#define BLOCK16(AT, R) \
	MOVOU   AT(SI), X0  \
	MOVOA   X0, X1      \
	MOVOA   X0, X2      \
	MOVOA   X0, X3      \
	PCMPEQB X8, X0      \
	PCMPEQB X9, X1      \
	PCMPEQB X10, X2     \
	PCMPEQB X11, X3     \
	POR     X1, X0      \
	POR     X3, X2      \
	POR     X2, X0      \
	PMOVMSKB X0, R

// EVERY sets all 16 bytes of X to the low byte of R.
#define EVERY(R, X) \
	MOVQ       R, X     \
	PUNPCKLBW  X, X     \
	PSHUFLW    $0, X, X \
	PUNPCKLQDQ X, X

// func findBlocks(words *uint64, data *byte, blocks int, delim, quote byte)
TEXT ·findBlocks(SB), NOSPLIT, $0-26
	MOVQ    words+0(FP), DI
	MOVQ    data+8(FP), SI
	MOVQ    blocks+16(FP), CX
	MOVBLZX delim+24(FP), AX
	EVERY(AX, X8)
	MOVBLZX quote+25(FP), AX
	EVERY(AX, X9)
	MOVL    $0x0a, AX
	EVERY(AX, X10)
	MOVL    $0x0d, AX
	EVERY(AX, X11)
	TESTQ   CX, CX
	JLE     done

loop:
	BLOCK16(0, AX)
	BLOCK16(16, BX)
	BLOCK16(32, DX)
	BLOCK16(48, R8)
	SHLQ $16, BX
	SHLQ $32, DX
	SHLQ $48, R8
	ORQ  BX, AX
	ORQ  R8, DX
	ORQ  DX, AX
	MOVQ AX, (DI)
	ADDQ $64, SI
	ADDQ $8, DI
	DECQ CX
	JNZ  loop

done:
	RET
