#include "textflag.h"

// SEE adds what the sixteen bytes of X0 say to X6 (those that are looked for) and X7 (those that are not ASCII). X3 holds
// the highest control character, X4 and X5 the two other bytes.
#define SEE \
	POR     X0, X7 \
	MOVOA   X0, X1 \
	MOVOA   X0, X2 \
	PMINUB  X3, X1 \
	PCMPEQB X0, X1 \
	PCMPEQB X4, X0 \
	PCMPEQB X5, X2 \
	POR     X1, X6 \
	POR     X0, X6 \
	POR     X2, X6

// func copyWatched(dst, src *byte, n int, w *Watch) sighting
TEXT ·copyWatched(SB), NOSPLIT, $0-36
	MOVQ  dst+0(FP), DI
	MOVQ  src+8(FP), SI
	MOVQ  n+16(FP), CX
	MOVQ  w+24(FP), DX
	MOVOU 0(DX), X3
	MOVOU 16(DX), X4
	MOVOU 32(DX), X5
	PXOR  X6, X6
	PXOR  X7, X7
	CMPQ  CX, $16
	JLT   short

loop:
	MOVOU (SI), X0
	MOVOU X0, (DI)
	SEE
	ADDQ  $16, SI
	ADDQ  $16, DI
	SUBQ  $16, CX
	CMPQ  CX, $16
	JGE   loop
	TESTQ CX, CX
	JEQ   done

	// The rest, together with bytes before it.
	MOVOU -16(SI)(CX*1), X0
	MOVOU X0, -16(DI)(CX*1)
	SEE
	JMP   done

short:
	CMPQ CX, $8
	JLT  four
	MOVQ (SI), X0
	MOVQ -8(SI)(CX*1), X1
	MOVQ X0, (DI)
	MOVQ X1, -8(DI)(CX*1)
	PUNPCKLQDQ X1, X0
	SEE
	JMP  done

four:
	CMPQ CX, $4
	JLT  one
	MOVL (SI), AX
	MOVL -4(SI)(CX*1), BX
	MOVL AX, (DI)
	MOVL BX, -4(DI)(CX*1)
	SHLQ $32, BX
	ORQ  BX, AX
	JMP  twice

one:
	MOVBLZX (SI), AX
	MOVBLZX -1(SI)(CX*1), BX
	MOVQ    CX, R8
	SHRQ    $1, R8
	MOVBLZX (SI)(R8*1), R9
	MOVB    AX, (DI)
	MOVB    R9, (DI)(R8*1)
	MOVB    BX, -1(DI)(CX*1)
	SHLQ    $8, BX
	ORQ     BX, AX
	SHLQ    $16, R9
	ORQ     R9, AX
	MOVQ    R9, BX
	SHLQ    $8, BX
	ORQ     BX, AX
	MOVQ    AX, BX
	SHLQ    $32, BX
	ORQ     BX, AX

twice:
	MOVQ       AX, X0
	PUNPCKLQDQ X0, X0
	SEE

done:
	PMOVMSKB X6, AX
	PMOVMSKB X7, BX
	SHLL     $16, BX
	ORL      BX, AX
	MOVL     AX, ret+32(FP)
	RET
