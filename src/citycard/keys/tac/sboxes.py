# SPDX-License-Identifier: Apache-2.0
"""The S-boxes of DES and SM4 on bit slices; written by `scripts/tac_sboxes.py`, not by hand.

A row of `WORDS` words holds one bit of 64 x `WORDS` blocks.

Each box of DES XORs its output into the left half. `left` and `right` are 32 rows, `key` 64. Of the key a
box reads the rows that begin at `wiring[first]` and the five numbers after it: copying the rows of a round
together first would take half the time again.

The box of SM4 takes the sum of three words of the state and a round key, 32 rows each, to `out`; the byte
that it does has its rows from `first` on.

`R5` is where row 5 begins: unsigned, because a signed index costs a test for each access, and constant, so
that the loops become vector instructions.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from citycard.keys.tac.jit import U64Array, compiled

WORDS: Final = 64  # fewer words are not vectorised, more leave the first cache
LOOP: Final = np.uint64(WORDS)
R0 = np.uint64(0 * WORDS)
R1 = np.uint64(1 * WORDS)
R2 = np.uint64(2 * WORDS)
R3 = np.uint64(3 * WORDS)
R4 = np.uint64(4 * WORDS)
R5 = np.uint64(5 * WORDS)
R6 = np.uint64(6 * WORDS)
R7 = np.uint64(7 * WORDS)
R8 = np.uint64(8 * WORDS)
R9 = np.uint64(9 * WORDS)
R10 = np.uint64(10 * WORDS)
R11 = np.uint64(11 * WORDS)
R12 = np.uint64(12 * WORDS)
R13 = np.uint64(13 * WORDS)
R14 = np.uint64(14 * WORDS)
R15 = np.uint64(15 * WORDS)
R16 = np.uint64(16 * WORDS)
R17 = np.uint64(17 * WORDS)
R18 = np.uint64(18 * WORDS)
R19 = np.uint64(19 * WORDS)
R20 = np.uint64(20 * WORDS)
R21 = np.uint64(21 * WORDS)
R22 = np.uint64(22 * WORDS)
R23 = np.uint64(23 * WORDS)
R24 = np.uint64(24 * WORDS)
R25 = np.uint64(25 * WORDS)
R26 = np.uint64(26 * WORDS)
R27 = np.uint64(27 * WORDS)
R28 = np.uint64(28 * WORDS)
R29 = np.uint64(29 * WORDS)
R30 = np.uint64(30 * WORDS)
R31 = np.uint64(31 * WORDS)


@compiled
def box1(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """58 gates."""
    key_a = wiring[first + np.uint64(0)]
    key_b = wiring[first + np.uint64(1)]
    key_c = wiring[first + np.uint64(2)]
    key_d = wiring[first + np.uint64(3)]
    key_e = wiring[first + np.uint64(4)]
    key_f = wiring[first + np.uint64(5)]
    for at in range(LOOP):
        a = right[at + R31] ^ key[at + key_a]
        b = right[at + R0] ^ key[at + key_b]
        c = right[at + R1] ^ key[at + key_c]
        d = right[at + R2] ^ key[at + key_d]
        e = right[at + R3] ^ key[at + key_e]
        f = right[at + R4] ^ key[at + key_f]
        t6 = ~c
        t7 = d ^ a
        t9 = t6 ^ (t7 & ~f)
        t13 = (t9 ^ ((t6 | d) & f)) & a
        t14 = t7 ^ t13
        t16 = t9 ^ (t14 & ~e)
        t17 = f | c
        t19 = t13 | t9
        t20 = t19 ^ t14
        t21 = t20 & e
        t24 = t16 ^ (((t17 | t14) ^ t21) & ~b)
        t26 = a & ~t21
        t28 = (f ^ e) ^ (t26 & ~c)
        t30 = t28 & c
        t37 = ((t20 | t7) ^ (t26 & e)) & ~b
        t38 = (t28 ^ (((f & e) ^ t30) & d)) ^ t37
        t41 = t7 & ~t30
        t44 = ((t24 ^ f) ^ t20) ^ ((t41 ^ t17) & ~e)
        t47 = t37 & ~f
        t50 = t44 ^ ((((t28 ^ a) & t19) ^ t47) & ~b)
        t51 = t38 ^ t16
        t54 = (t9 & ~t51) ^ t47
        t57 = t50 ^ t41
        t62 = (t57 ^ ((t57 & ~(t54 ^ t30)) & ~d)) & e
        left[at + R8] ^= t38
        left[at + R16] ^= t50
        left[at + R22] ^= t24
        left[at + R30] ^= ((t51 ^ t44) ^ (t54 & ~b)) ^ t62


@compiled
def box2(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """55 gates."""
    key_a = wiring[first + np.uint64(6)]
    key_b = wiring[first + np.uint64(7)]
    key_c = wiring[first + np.uint64(8)]
    key_d = wiring[first + np.uint64(9)]
    key_e = wiring[first + np.uint64(10)]
    key_f = wiring[first + np.uint64(11)]
    for at in range(LOOP):
        a = right[at + R3] ^ key[at + key_a]
        b = right[at + R4] ^ key[at + key_b]
        c = right[at + R5] ^ key[at + key_c]
        d = right[at + R6] ^ key[at + key_d]
        e = right[at + R7] ^ key[at + key_e]
        f = right[at + R8] ^ key[at + key_f]
        t6 = f ^ a
        t7 = t6 ^ e
        t8 = a & ~t7
        t9 = e & ~t8
        t10 = t9 & d
        t12 = t9 & a
        t13 = ~t12
        t14 = t13 & ~c
        t19 = ~t10
        t21 = (t12 ^ ((f | c) & ~a)) ^ (t19 & d)
        t22 = t21 & b
        t23 = ((t7 ^ t10) ^ t14) ^ t22
        t24 = t7 ^ d
        t26 = (t19 ^ b) & ~c
        t31 = ((t14 ^ d) | t8) & b
        t32 = ~t26 ^ t31
        t34 = (t24 ^ t26) ^ (t32 & ~f)
        t35 = t19 & ~t6
        t37 = t9 & c
        t44 = ((t23 & a) ^ t13) ^ (((t35 | t32) ^ t37) & ~f)
        t46 = ((t35 ^ t21) ^ t37) ^ (t44 & b)
        t52 = ((t46 | e) ^ t22) ^ (((t46 & ~t31) ^ t24) & ~c)
        t58 = ((t52 & ~t23) ^ t31) ^ (((t21 ^ c) | t34) & ~e)
        left[at + R12] ^= t23
        left[at + R27] ^= t34
        left[at + R1] ^= t52 ^ (t58 & ~f)
        left[at + R17] ^= t46


@compiled
def box3(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """55 gates."""
    key_a = wiring[first + np.uint64(12)]
    key_b = wiring[first + np.uint64(13)]
    key_c = wiring[first + np.uint64(14)]
    key_d = wiring[first + np.uint64(15)]
    key_e = wiring[first + np.uint64(16)]
    key_f = wiring[first + np.uint64(17)]
    for at in range(LOOP):
        a = right[at + R7] ^ key[at + key_a]
        b = right[at + R8] ^ key[at + key_b]
        c = right[at + R9] ^ key[at + key_c]
        d = right[at + R10] ^ key[at + key_d]
        e = right[at + R11] ^ key[at + key_e]
        f = right[at + R12] ^ key[at + key_f]
        t6 = f ^ b
        t7 = t6 ^ c
        t8 = t7 & b
        t9 = e ^ t8
        t11 = t6 ^ (t9 & d)
        t15 = ((t8 | c) ^ (f & d)) & ~e
        t17 = t15 ^ a
        t21 = (t17 | c) ^ ((t7 & ~c) & d)
        t22 = t21 & a
        t23 = (t11 ^ t15) ^ t22
        t25 = t17 ^ c
        t28 = (t9 ^ d) ^ ((t25 & ~f) & ~b)
        t30 = ~t23
        t31 = t28 ^ c
        t33 = t30 ^ (t31 & d)
        t37 = t28 ^ (((t25 | t11) ^ (t33 & ~b)) & ~a)
        t38 = t7 ^ a
        t39 = f & ~t8
        t43 = t31 | a
        t46 = (t38 ^ ((a & ~t39) & ~d)) ^ ((t43 ^ t8) & ~e)
        t47 = t38 | t15
        t52 = (t47 ^ t37) ^ (((t47 & t43) | t39) & b)
        t58 = ((t30 ^ t21) & ~t33) ^ (((t22 & ~t46) ^ e) & b)
        left[at + R23] ^= t37
        left[at + R15] ^= t23
        left[at + R29] ^= t52 ^ (t58 & d)
        left[at + R5] ^= t46


@compiled
def box4(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """41 gates."""
    key_a = wiring[first + np.uint64(18)]
    key_b = wiring[first + np.uint64(19)]
    key_c = wiring[first + np.uint64(20)]
    key_d = wiring[first + np.uint64(21)]
    key_e = wiring[first + np.uint64(22)]
    key_f = wiring[first + np.uint64(23)]
    for at in range(LOOP):
        a = right[at + R11] ^ key[at + key_a]
        b = right[at + R12] ^ key[at + key_b]
        c = right[at + R13] ^ key[at + key_c]
        d = right[at + R14] ^ key[at + key_d]
        e = right[at + R15] ^ key[at + key_e]
        f = right[at + R16] ^ key[at + key_f]
        t9 = ~c ^ (~e & d)
        t12 = ((e & ~d) ^ c) & b
        t13 = t9 ^ t12
        t14 = t13 ^ b
        t17 = (e ^ d) & c
        t18 = (t14 | d) ^ t17
        t20 = t13 ^ (t18 & a)
        t21 = t14 | t12
        t22 = t21 ^ d
        t25 = t20 ^ ((t17 | t13) & e)
        t27 = t22 ^ (t25 & ~a)
        t30 = t25 & t21
        t32 = t22 ^ b
        t35 = (t30 ^ a) ^ ((t32 & t18) & ~a)
        t40 = (t21 ^ e) ^ (((t9 & ~t30) ^ t32) & a)
        left[at + R25] ^= t35 ^ (t40 & f)
        left[at + R19] ^= (t40 | f) ^ t35
        left[at + R9] ^= (t27 | f) ^ t20
        left[at + R0] ^= t20 ^ (t27 & f)


@compiled
def box5(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """60 gates."""
    key_a = wiring[first + np.uint64(24)]
    key_b = wiring[first + np.uint64(25)]
    key_c = wiring[first + np.uint64(26)]
    key_d = wiring[first + np.uint64(27)]
    key_e = wiring[first + np.uint64(28)]
    key_f = wiring[first + np.uint64(29)]
    for at in range(LOOP):
        a = right[at + R15] ^ key[at + key_a]
        b = right[at + R16] ^ key[at + key_b]
        c = right[at + R17] ^ key[at + key_c]
        d = right[at + R18] ^ key[at + key_d]
        e = right[at + R19] ^ key[at + key_e]
        f = right[at + R20] ^ key[at + key_f]
        t6 = c ^ a
        t7 = t6 ^ e
        t9 = t6 & e
        t10 = ~c ^ t9
        t11 = t10 & f
        t14 = (f ^ c) | t10
        t20 = ((t6 | a) & ~d) & ~f
        t21 = (t6 | d) ^ t20
        t23 = ((t7 ^ t11) ^ (t14 & d)) ^ (t21 & b)
        t24 = t20 | d
        t25 = t24 ^ t7
        t26 = t20 ^ c
        t27 = t26 | e
        t28 = t27 & b
        t29 = t25 ^ t28
        t30 = t26 & f
        t32 = ~(t25 & f)
        t37 = t30 ^ ((t32 ^ ((t30 ^ t24) & e)) & ~b)
        t38 = t37 & ~a
        t42 = t23 & ~t9
        t45 = ((t11 ^ d) & ~t38) ^ ((t42 ^ t26) & c)
        t50 = (t32 ^ t10) ^ (((t27 & t21) ^ t7) & ~f)
        t51 = t50 & b
        t58 = ((t51 & ~t45) ^ t7) ^ (((t9 & ~t28) ^ t37) & ~d)
        t59 = t29 ^ t14
        t64 = ((t59 ^ t42) ^ ((t42 & ~t59) & d)) & ~c
        left[at + R7] ^= t58 ^ t64
        left[at + R13] ^= t23
        left[at + R24] ^= t29 ^ t38
        left[at + R2] ^= t45 ^ t51


@compiled
def box6(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """56 gates."""
    key_a = wiring[first + np.uint64(30)]
    key_b = wiring[first + np.uint64(31)]
    key_c = wiring[first + np.uint64(32)]
    key_d = wiring[first + np.uint64(33)]
    key_e = wiring[first + np.uint64(34)]
    key_f = wiring[first + np.uint64(35)]
    for at in range(LOOP):
        a = right[at + R19] ^ key[at + key_a]
        b = right[at + R20] ^ key[at + key_b]
        c = right[at + R21] ^ key[at + key_c]
        d = right[at + R22] ^ key[at + key_d]
        e = right[at + R23] ^ key[at + key_e]
        f = right[at + R24] ^ key[at + key_f]
        t6 = c & ~b
        t7 = t6 ^ e
        t9 = (t7 & c) ^ b
        t13 = t9 ^ (((e | b) ^ t9) & f)
        t14 = t13 & d
        t16 = t9 ^ f
        t17 = t16 ^ t14
        t18 = t17 ^ a
        t19 = t18 | f
        t20 = t19 & ~c
        t21 = t17 ^ t20
        t23 = t21 ^ (d & e)
        t25 = (t7 ^ t14) ^ (t23 & a)
        t27 = (t9 ^ a) ^ d
        t32 = t27 ^ t6
        t35 = t13 ^ ((t32 & ~t21) & ~a)
        t37 = (t27 ^ (~(t21 ^ d) & ~e)) ^ (t35 & f)
        t38 = t16 ^ c
        t42 = (t38 ^ t32) ^ ((t20 & ~t38) & a)
        t43 = t37 & ~t17
        t45 = t35 ^ (t43 & f)
        t51 = t42 ^ ((t45 ^ (((t23 & t19) ^ t42) & ~b)) & e)
        t54 = t45 | t16
        t61 = (((t25 & t18) ^ t51) ^ (t54 & ~b)) ^ (((t43 & ~e) ^ (t54 & d)) & ~f)
        left[at + R3] ^= t37
        left[at + R28] ^= t61
        left[at + R10] ^= t51
        left[at + R18] ^= t25


@compiled
def box7(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """57 gates."""
    key_a = wiring[first + np.uint64(36)]
    key_b = wiring[first + np.uint64(37)]
    key_c = wiring[first + np.uint64(38)]
    key_d = wiring[first + np.uint64(39)]
    key_e = wiring[first + np.uint64(40)]
    key_f = wiring[first + np.uint64(41)]
    for at in range(LOOP):
        a = right[at + R23] ^ key[at + key_a]
        b = right[at + R24] ^ key[at + key_b]
        c = right[at + R25] ^ key[at + key_c]
        d = right[at + R26] ^ key[at + key_d]
        e = right[at + R27] ^ key[at + key_e]
        f = right[at + R28] ^ key[at + key_f]
        t6 = e ^ d
        t8 = c ^ b
        t9 = t8 ^ d
        t10 = t9 & b
        t11 = ~t6 ^ t10
        t13 = t11 & d
        t14 = t13 & c
        t15 = ~t9 ^ t14
        t17 = t11 ^ (t15 & a)
        t18 = b & ~t13
        t22 = ~t18 ^ (t10 & ~c)
        t23 = t22 & a
        t26 = t17 ^ (((t18 ^ t14) ^ t23) & f)
        t30 = t14 | e
        t32 = (t30 | t17) & a
        t33 = (t9 ^ ((t6 | b) & e)) ^ t32
        t36 = t15 | a
        t40 = (((t33 ^ t9) ^ t23) ^ ((t36 ^ t8) & c)) & f
        t43 = (t32 ^ t11) ^ t36
        t45 = (a & ~t17) ^ t22
        t51 = t43 ^ ((t45 ^ (((t30 ^ t26) & ~t33) & d)) & f)
        t56 = ((t17 ^ b) ^ t36) ^ ((t11 ^ t8) & d)
        t57 = t56 ^ t43
        t62 = t56 ^ ((t57 ^ ((t45 & ~t57) & ~b)) & f)
        left[at + R31] ^= t51
        left[at + R11] ^= t26
        left[at + R21] ^= t33 ^ t40
        left[at + R6] ^= t62


@compiled
def box8(left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64) -> None:
    """53 gates."""
    key_a = wiring[first + np.uint64(42)]
    key_b = wiring[first + np.uint64(43)]
    key_c = wiring[first + np.uint64(44)]
    key_d = wiring[first + np.uint64(45)]
    key_e = wiring[first + np.uint64(46)]
    key_f = wiring[first + np.uint64(47)]
    for at in range(LOOP):
        a = right[at + R27] ^ key[at + key_a]
        b = right[at + R28] ^ key[at + key_b]
        c = right[at + R29] ^ key[at + key_c]
        d = right[at + R30] ^ key[at + key_d]
        e = right[at + R31] ^ key[at + key_e]
        f = right[at + R0] ^ key[at + key_f]
        t8 = e | a
        t9 = t8 & d
        t10 = ((c & ~e) ^ b) ^ t9
        t12 = (t8 | d) ^ c
        t13 = t12 & a
        t18 = ~(t13 & e)
        t20 = (b & a) | t13
        t21 = t20 & d
        t24 = (t10 ^ ((t12 ^ t13) & ~b)) ^ ((t18 ^ t21) & ~f)
        t29 = ((t20 ^ d) | e) & a
        t30 = ((b & ~t9) ^ t12) ^ t29
        t31 = e & ~t24
        t32 = t31 ^ t29
        t33 = t13 ^ t10
        t38 = t30 ^ ((t32 ^ ((t33 | t24) & ~b)) & ~f)
        t41 = (t32 | t18) & e
        t48 = (((t33 & b) & ~t12) ^ ((t31 | t30) & a)) & f
        t56 = ((t12 & ~t41) | d) ^ (((t21 | e) ^ c) & ~b)
        left[at + R4] ^= t38
        left[at + R26] ^= t24
        left[at + R14] ^= ((t10 ^ a) ^ t41) ^ t48
        left[at + R20] ^= ~t30 ^ (t56 & f)


@compiled
def sm4_box(x: U64Array, y: U64Array, z: U64Array, key: U64Array, first: np.uint64, out: U64Array) -> None:
    """147 gates."""
    for word in range(LOOP):
        at = first + word
        a = x[at + R0] ^ y[at + R0] ^ z[at + R0] ^ key[at + R0]
        b = x[at + R1] ^ y[at + R1] ^ z[at + R1] ^ key[at + R1]
        c = x[at + R2] ^ y[at + R2] ^ z[at + R2] ^ key[at + R2]
        d = x[at + R3] ^ y[at + R3] ^ z[at + R3] ^ key[at + R3]
        e = x[at + R4] ^ y[at + R4] ^ z[at + R4] ^ key[at + R4]
        f = x[at + R5] ^ y[at + R5] ^ z[at + R5] ^ key[at + R5]
        g = x[at + R6] ^ y[at + R6] ^ z[at + R6] ^ key[at + R6]
        h = x[at + R7] ^ y[at + R7] ^ z[at + R7] ^ key[at + R7]
        t8 = b ^ h
        t9 = c ^ d
        t11 = t8 ^ (f ^ g)
        t13 = c ^ t11
        t14 = d ^ t11
        t16 = g ^ t9
        t17 = t8 ^ t9
        t19 = ~(t11 ^ (e ^ t9))
        t20 = ~(a ^ f)
        t21 = ~b
        t22 = ~c
        t23 = t19 ^ t13
        t24 = t20 ^ t22
        t25 = t21 ^ t16
        t26 = t14 ^ t17
        t27 = t19 ^ t21
        t28 = t20 ^ t14
        t29 = t27 ^ t28
        t30 = t24 & t22
        t31 = t23 ^ t24
        t34 = (t31 & (t13 ^ t22)) ^ t30
        t37 = t26 & t17
        t38 = t25 ^ t26
        t41 = (t38 & (t16 ^ t17)) ^ t37
        t43 = (t25 & t16) ^ t37
        t44 = t23 ^ t25
        t45 = t24 ^ t26
        t46 = t13 ^ t16
        t47 = t22 ^ t17
        t48 = t45 & t47
        t49 = t44 ^ t45
        t60 = t14 ^ (((t49 & (t46 ^ t47)) ^ t48) ^ t41)
        t61 = t21 ^ (((t44 & t46) ^ t48) ^ t43)
        t62 = t27 ^ ((t34 ^ ((t23 & t13) ^ t30)) ^ t41)
        t63 = t29 ^ (t34 ^ t43)
        t64 = t60 ^ t62
        t65 = t61 ^ t63
        t66 = t60 ^ t61
        t68 = t65 & t63
        t69 = t64 ^ t65
        t75 = (t60 ^ t66) ^ ((t69 & (t62 ^ t63)) ^ t68)
        t77 = t75 ^ (t60 ^ ((t64 & t62) ^ t68))
        t78 = t61 & t77
        t79 = t75 ^ t77
        t81 = (t66 & t79) ^ t78
        t83 = (t60 & t75) ^ t78
        t84 = t65 & t77
        t86 = (t69 & t79) ^ t84
        t88 = (t64 & t75) ^ t84
        t89 = t20 & t83
        t91 = t81 ^ t83
        t93 = ((t19 ^ t20) & t91) ^ t89
        t96 = t14 & t88
        t98 = t86 ^ t88
        t100 = ((t21 ^ t14) & t98) ^ t96
        t102 = (t21 & t86) ^ t96
        t103 = t81 ^ t86
        t104 = t83 ^ t88
        t105 = t28 & t104
        t106 = t103 ^ t104
        t111 = ((t29 & t106) ^ t105) ^ t100
        t114 = (t93 ^ ((t19 & t81) ^ t89)) ^ t100
        t115 = t93 ^ t102
        t116 = t24 & t83
        t118 = (t31 & t91) ^ t116
        t121 = t26 & t88
        t123 = (t38 & t98) ^ t121
        t125 = (t25 & t86) ^ t121
        t126 = t45 & t104
        t131 = ((t49 & t106) ^ t126) ^ t123
        t132 = ((t44 & t103) ^ t126) ^ t125
        t134 = (t118 ^ ((t23 & t81) ^ t116)) ^ t123
        t135 = t118 ^ t125
        t136 = (((t27 & t103) ^ t105) ^ t102) ^ t135
        t137 = t115 ^ t134
        t138 = t111 ^ t131
        t139 = t132 ^ t137
        out[at + R0] = ~(t139 ^ (t136 ^ t138))
        out[at + R1] = ~(t137 ^ (t114 ^ t135))
        out[at + R2] = t134 ^ t138
        out[at + R3] = ~(t134 ^ (t114 ^ t131))
        out[at + R4] = t111 ^ t136
        out[at + R5] = t139
        out[at + R6] = ~(t115 ^ t136)
        out[at + R7] = ~(t132 ^ t135)
