# SPDX-License-Identifier: Apache-2.0
"""Writes `citycard/keys/tac/sboxes.py`, the S-boxes of DES and SM4 on bit slices.

    .venv/bin/python scripts/tac_sboxes.py

The circuit of SM4 is derived by `sm4_circuit`. Those of DES were found by a search of our own; a line of
`des_sbox_circuits.jsonl` is one box: nodes 0 to 5 are the six input bits, each operation [code, a, b] makes
the next node (1 not a, 2 a and b, 3 a or b, 4 a xor b, 5 a and not b), `out` names the four output nodes; all
bits most significant first. What a box reads of the right half (E) and writes of the left half (P) is wired
in, so that no bit is ever moved.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

import sm4_circuit

HERE: Final = Path(__file__).resolve().parent
CIRCUITS: Final = HERE / "des_sbox_circuits.jsonl"
TARGET: Final = HERE.parent / "src" / "citycard" / "keys" / "tac" / "sboxes.py"
FORMS: Final = {1: "~{a}", 2: "({a} & {b})", 3: "({a} | {b})", 4: "({a} ^ {b})", 5: "({a} & ~{b})"}
EXPRESSION_MAX: Final = 40  # characters; longer ones get a name
INPUTS: Final = "abcdef"
SM4_INPUTS: Final = "abcdefgh"
SM4_ARGUMENTS: Final = "x: U64Array, y: U64Array, z: U64Array, key: U64Array, first: np.uint64, out: U64Array"
ARGUMENTS: Final = "left: U64Array, right: U64Array, key: U64Array, wiring: U64Array, first: np.uint64"

# The permutation P (FIPS 46-3): bit i of its output is bit P[i] of the boxes' output, counted from 1.
P: Final = (
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10,
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
)  # fmt: skip

HEAD: Final = '''# SPDX-License-Identifier: Apache-2.0
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
'''


def circuits() -> list[dict[str, Any]]:
    """The circuits of boxes 1 to 8."""
    return [json.loads(line) for line in CIRCUITS.read_text(encoding="utf-8").splitlines()]


def module() -> str:
    """The text of the whole module."""
    rows = "".join(f"R{row} = np.uint64({row} * WORDS)\n" for row in range(32))
    return HEAD + rows + "".join(box(circuit) for circuit in circuits()) + sm4_box()


def box(circuit: dict[str, Any]) -> str:
    """One box as a function."""
    number = circuit["box"]
    lines = [
        "\n\n@compiled",
        f"def box{number + 1}({ARGUMENTS}) -> None:",
        f'    """{circuit["gates"]} gates."""',
    ]
    for i, name in enumerate(INPUTS):
        lines.append(f"    key_{name} = wiring[first + np.uint64({6 * number + i})]")
    lines.append("    for at in range(LOOP):")
    for i, name in enumerate(INPUTS):
        row = (4 * number - 1 + i) % 32
        lines.append(f"        {name} = right[at + R{row}] ^ key[at + key_{name}]")
    statements, names = gates(circuit)
    lines += [f"        {statement}" for statement in statements]
    for i, node in enumerate(circuit["out"]):
        row = P.index(4 * number + i + 1)
        lines.append(f"        left[at + R{row}] ^= {bare(names[node])}")
    return "\n".join(lines) + "\n"


def sm4_box() -> str:
    """The box of SM4 as a function."""
    ops, out = sm4_circuit.circuit()
    lines = [
        "\n\n@compiled",
        f"def sm4_box({SM4_ARGUMENTS}) -> None:",
        f'    """{len(ops)} gates."""',
        "    for word in range(LOOP):",
        "        at = first + word",
    ]
    for i, name in enumerate(SM4_INPUTS):
        lines.append(f"        {name} = x[at + R{i}] ^ y[at + R{i}] ^ z[at + R{i}] ^ key[at + R{i}]")
    statements, names = gates({"ops": ops, "out": out}, SM4_INPUTS)
    lines += [f"        {statement}" for statement in statements]
    for i, node in enumerate(out):
        lines.append(f"        out[at + R{i}] = {bare(names[node])}")
    return "\n".join(lines) + "\n"


def gates(circuit: dict[str, Any], inputs: str = INPUTS) -> tuple[list[str], dict[int, str]]:
    """(assignments in order, the expression of each node): a node used once becomes part of its user."""
    uses = Counter(node for op, a, b in circuit["ops"] for node in ([a] if op == 1 else [a, b]))
    uses.update(circuit["out"])
    names = dict(enumerate(inputs))
    statements: list[str] = []
    for node, (op, a, b) in enumerate(circuit["ops"], start=len(inputs)):
        text = FORMS[op].format(a=names[a], b=names[b])
        if uses[node] > 1 or len(text) > EXPRESSION_MAX:
            names[node] = f"t{node}"
            statements.append(f"t{node} = {bare(text)}")
        else:
            names[node] = text
    return statements, names


def bare(text: str) -> str:
    """Without the parentheses around the whole: every binary expression above has its own pair."""
    return text[1:-1] if text.startswith("(") else text


if __name__ == "__main__":
    TARGET.write_text(module(), encoding="utf-8")
    print(TARGET)
