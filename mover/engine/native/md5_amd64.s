// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// STEP is one of the 64 of a block: a = b + rotate(a + f(x, y, z) + word + constant). The bits of f are its truth
// table.
#define STEP(f, x, y, z, a, b, word, k, shift) \
	VMOVDQA64   x, Z20          \
	VPADDD      word, a, a      \
	VPTERNLOGD  $f, z, y, Z20   \
	VPADDD.BCST (4*k)(R9), a, a \
	VPADDD      Z20, a, a       \
	VPROLD      $shift, a, a    \
	VPADDD      b, a, a

#define STEP1(a, b, c, d, word, k, shift) STEP(0xca, b, c, d, a, b, word, k, shift)
#define STEP2(a, b, c, d, word, k, shift) STEP(0xca, d, b, c, a, b, word, k, shift)
#define STEP3(a, b, c, d, word, k, shift) STEP(0x96, b, c, d, a, b, word, k, shift)
#define STEP4(a, b, c, d, word, k, shift) STEP(0x39, b, c, d, a, b, word, k, shift)

// LOAD a block of one lane.
#define LOAD(lane, to) \
	MOVQ      (8*lane)(R8), R11 \
	VMOVDQU64 (R11)(CX*1), to

// PAIR, QUAD and GROUPS turn blocks of lanes into words of all lanes, in four rounds.
#define PAIR(x, y, low, high) \
	VPUNPCKLDQ y, x, low  \
	VPUNPCKHDQ y, x, high

#define QUAD(x, y, low, high) \
	VPUNPCKLQDQ y, x, low  \
	VPUNPCKHQDQ y, x, high

#define GROUPS(x, y, even, odd) \
	VSHUFI32X4 $0x88, y, x, even \
	VSHUFI32X4 $0xdd, y, x, odd

// func md5Blocks(sums *[4][16]uint32, data *[16]*byte, size int)
TEXT ·md5Blocks(SB), NOSPLIT, $0-24
	MOVQ sums+0(FP), DI
	MOVQ data+8(FP), R8
	MOVQ size+16(FP), DX
	LEAQ ·md5Constants(SB), R9
	XORQ CX, CX

next:
	CMPQ CX, DX
	JGE  done

	// Z0 to Z15: the block of each lane.
	LOAD(0, Z0)
	LOAD(1, Z1)
	LOAD(2, Z2)
	LOAD(3, Z3)
	LOAD(4, Z4)
	LOAD(5, Z5)
	LOAD(6, Z6)
	LOAD(7, Z7)
	LOAD(8, Z8)
	LOAD(9, Z9)
	LOAD(10, Z10)
	LOAD(11, Z11)
	LOAD(12, Z12)
	LOAD(13, Z13)
	LOAD(14, Z14)
	LOAD(15, Z15)

	PAIR(Z0, Z1, Z16, Z17)
	PAIR(Z2, Z3, Z18, Z19)
	PAIR(Z4, Z5, Z20, Z21)
	PAIR(Z6, Z7, Z22, Z23)
	PAIR(Z8, Z9, Z24, Z25)
	PAIR(Z10, Z11, Z26, Z27)
	PAIR(Z12, Z13, Z28, Z29)
	PAIR(Z14, Z15, Z30, Z31)

	QUAD(Z16, Z18, Z0, Z1)
	QUAD(Z17, Z19, Z2, Z3)
	QUAD(Z20, Z22, Z4, Z5)
	QUAD(Z21, Z23, Z6, Z7)
	QUAD(Z24, Z26, Z8, Z9)
	QUAD(Z25, Z27, Z10, Z11)
	QUAD(Z28, Z30, Z12, Z13)
	QUAD(Z29, Z31, Z14, Z15)

	GROUPS(Z0, Z4, Z16, Z17)
	GROUPS(Z8, Z12, Z18, Z19)
	GROUPS(Z1, Z5, Z20, Z21)
	GROUPS(Z9, Z13, Z22, Z23)
	GROUPS(Z2, Z6, Z24, Z25)
	GROUPS(Z10, Z14, Z26, Z27)
	GROUPS(Z3, Z7, Z28, Z29)
	GROUPS(Z11, Z15, Z30, Z31)

	GROUPS(Z16, Z18, Z0, Z8)
	GROUPS(Z17, Z19, Z4, Z12)
	GROUPS(Z20, Z22, Z1, Z9)
	GROUPS(Z21, Z23, Z5, Z13)
	GROUPS(Z24, Z26, Z2, Z10)
	GROUPS(Z25, Z27, Z6, Z14)
	GROUPS(Z28, Z30, Z3, Z11)
	GROUPS(Z29, Z31, Z7, Z15)

	// Z0 to Z15: a word of all lanes each. Z16 to Z19: their sums.
	VMOVDQU64 0(DI), Z16
	VMOVDQU64 64(DI), Z17
	VMOVDQU64 128(DI), Z18
	VMOVDQU64 192(DI), Z19

	STEP1(Z16, Z17, Z18, Z19, Z0, 0, 7)
	STEP1(Z19, Z16, Z17, Z18, Z1, 1, 12)
	STEP1(Z18, Z19, Z16, Z17, Z2, 2, 17)
	STEP1(Z17, Z18, Z19, Z16, Z3, 3, 22)
	STEP1(Z16, Z17, Z18, Z19, Z4, 4, 7)
	STEP1(Z19, Z16, Z17, Z18, Z5, 5, 12)
	STEP1(Z18, Z19, Z16, Z17, Z6, 6, 17)
	STEP1(Z17, Z18, Z19, Z16, Z7, 7, 22)
	STEP1(Z16, Z17, Z18, Z19, Z8, 8, 7)
	STEP1(Z19, Z16, Z17, Z18, Z9, 9, 12)
	STEP1(Z18, Z19, Z16, Z17, Z10, 10, 17)
	STEP1(Z17, Z18, Z19, Z16, Z11, 11, 22)
	STEP1(Z16, Z17, Z18, Z19, Z12, 12, 7)
	STEP1(Z19, Z16, Z17, Z18, Z13, 13, 12)
	STEP1(Z18, Z19, Z16, Z17, Z14, 14, 17)
	STEP1(Z17, Z18, Z19, Z16, Z15, 15, 22)

	STEP2(Z16, Z17, Z18, Z19, Z1, 16, 5)
	STEP2(Z19, Z16, Z17, Z18, Z6, 17, 9)
	STEP2(Z18, Z19, Z16, Z17, Z11, 18, 14)
	STEP2(Z17, Z18, Z19, Z16, Z0, 19, 20)
	STEP2(Z16, Z17, Z18, Z19, Z5, 20, 5)
	STEP2(Z19, Z16, Z17, Z18, Z10, 21, 9)
	STEP2(Z18, Z19, Z16, Z17, Z15, 22, 14)
	STEP2(Z17, Z18, Z19, Z16, Z4, 23, 20)
	STEP2(Z16, Z17, Z18, Z19, Z9, 24, 5)
	STEP2(Z19, Z16, Z17, Z18, Z14, 25, 9)
	STEP2(Z18, Z19, Z16, Z17, Z3, 26, 14)
	STEP2(Z17, Z18, Z19, Z16, Z8, 27, 20)
	STEP2(Z16, Z17, Z18, Z19, Z13, 28, 5)
	STEP2(Z19, Z16, Z17, Z18, Z2, 29, 9)
	STEP2(Z18, Z19, Z16, Z17, Z7, 30, 14)
	STEP2(Z17, Z18, Z19, Z16, Z12, 31, 20)

	STEP3(Z16, Z17, Z18, Z19, Z5, 32, 4)
	STEP3(Z19, Z16, Z17, Z18, Z8, 33, 11)
	STEP3(Z18, Z19, Z16, Z17, Z11, 34, 16)
	STEP3(Z17, Z18, Z19, Z16, Z14, 35, 23)
	STEP3(Z16, Z17, Z18, Z19, Z1, 36, 4)
	STEP3(Z19, Z16, Z17, Z18, Z4, 37, 11)
	STEP3(Z18, Z19, Z16, Z17, Z7, 38, 16)
	STEP3(Z17, Z18, Z19, Z16, Z10, 39, 23)
	STEP3(Z16, Z17, Z18, Z19, Z13, 40, 4)
	STEP3(Z19, Z16, Z17, Z18, Z0, 41, 11)
	STEP3(Z18, Z19, Z16, Z17, Z3, 42, 16)
	STEP3(Z17, Z18, Z19, Z16, Z6, 43, 23)
	STEP3(Z16, Z17, Z18, Z19, Z9, 44, 4)
	STEP3(Z19, Z16, Z17, Z18, Z12, 45, 11)
	STEP3(Z18, Z19, Z16, Z17, Z15, 46, 16)
	STEP3(Z17, Z18, Z19, Z16, Z2, 47, 23)

	STEP4(Z16, Z17, Z18, Z19, Z0, 48, 6)
	STEP4(Z19, Z16, Z17, Z18, Z7, 49, 10)
	STEP4(Z18, Z19, Z16, Z17, Z14, 50, 15)
	STEP4(Z17, Z18, Z19, Z16, Z5, 51, 21)
	STEP4(Z16, Z17, Z18, Z19, Z12, 52, 6)
	STEP4(Z19, Z16, Z17, Z18, Z3, 53, 10)
	STEP4(Z18, Z19, Z16, Z17, Z10, 54, 15)
	STEP4(Z17, Z18, Z19, Z16, Z1, 55, 21)
	STEP4(Z16, Z17, Z18, Z19, Z8, 56, 6)
	STEP4(Z19, Z16, Z17, Z18, Z15, 57, 10)
	STEP4(Z18, Z19, Z16, Z17, Z6, 58, 15)
	STEP4(Z17, Z18, Z19, Z16, Z13, 59, 21)
	STEP4(Z16, Z17, Z18, Z19, Z4, 60, 6)
	STEP4(Z19, Z16, Z17, Z18, Z11, 61, 10)
	STEP4(Z18, Z19, Z16, Z17, Z2, 62, 15)
	STEP4(Z17, Z18, Z19, Z16, Z9, 63, 21)

	VPADDD    0(DI), Z16, Z16
	VMOVDQU64 Z16, 0(DI)
	VPADDD    64(DI), Z17, Z17
	VMOVDQU64 Z17, 64(DI)
	VPADDD    128(DI), Z18, Z18
	VMOVDQU64 Z18, 128(DI)
	VPADDD    192(DI), Z19, Z19
	VMOVDQU64 Z19, 192(DI)

	ADDQ $64, CX
	JMP  next

done:
	VZEROUPPER
	RET
