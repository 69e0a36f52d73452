# SPDX-License-Identifier: Apache-2.0
"""Mutants that do wrong with money: purchase, composite purchase, load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from citycard.conform import proofs
from citycard.conform.mutants.kit import (
    NOTHING_PROVEN,
    Mutant,
    Twin,
    also,
    flip,
    forgiving,
    hears,
    keeps_first,
    keeps_power,
    keeps_session,
    lenient,
    matches,
    mutant,
    refuses,
    repeats,
    says,
    undoes,
    when_powered,
)

DEBIT, CREDIT = "8054", "8052"
OPENED15, OPENED16 = "00" * 9 + "0100" + "11223344", "00" * 6 + "0100" + "11223344" * 2


def moves(fen: int) -> Callable[[Twin], None]:
    """The balance moves by so much more, within 0 and the cap."""
    return lambda twin: twin.set(balance_fen=min(twin.body.cap_fen, max(0, twin.body.balance_fen + fen)))


def forgets_proof(twin: Twin) -> None:
    """The proof of the last transaction is gone."""
    twin.set(**NOTHING_PROVEN)


def _pokes(name: str, at: int, data: bytes, number: int = 1) -> Callable[[Twin], None]:
    return lambda twin: twin.poke(name, number, at, data)


def _scribbles(twin: Twin) -> None:
    twin.poke("industry", 1, 8, bytes((twin.body.offline & 0xFF,)))


def _leaves_one(twin: Twin) -> None:
    if twin.body.balance_fen == 0:
        twin.set(balance_fen=1)


def _drifts(twin: Twin) -> None:
    if twin.body.offline % 7 == 6:
        moves(-1)(twin)


def _again(twin: Twin) -> None:
    moves(-twin.openings[-1].amount_fen)(twin)


def _old_proofs() -> Mutant:
    """Proves every transaction it ever made."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches(DEBIT, command) and answer[-2:] == b"\x90\x00":
            opened = twin.openings[-1]
            key = bytes((opened.txn, 2)) + (opened.counter + 1).to_bytes(2, "big")
            twin.memory[key.hex()] = answer[4:8] + answer[:4] + answer[-2:]
        if matches("805A00", command) and answer == b"\x94\x06":
            return bytes(twin.memory.get(command[3:7].hex(), answer))
        return answer

    return mutant(bend)


def _proves(types: tuple[int, ...] = (), off: int = 0) -> Mutant:
    """Proves the last transaction under another type or serial as well."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("805A00", command) or answer != b"\x94\x06":
            return answer
        serial = int.from_bytes(command[5:7], "big") - off
        for txn in types or (command[3],):
            found = twin.obey(command[:3] + bytes((txn, 2)) + (serial & 0xFFFF).to_bytes(2, "big") + b"\x08")
            if found != answer:
                return found
        return answer

    return mutant(bend)


def _short_tac() -> Mutant:
    """The TAC covers the low two bytes of the transaction number only."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches(DEBIT, command) or answer[-2:] != b"\x90\x00":
            return answer
        number = int.from_bytes(command[7:9], "big")
        tac, _ = proofs.debit_receipt(twin.keys, twin.openings[-1], number, command[9:16])
        return tac + answer[4:]

    return mutant(bend)


def _plain_tac() -> Mutant:
    """The TAC of a composite purchase is made with type 06."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches(DEBIT, command) or answer[-2:] != b"\x90\x00":
            return answer
        opened = replace(twin.openings[-1], txn=6)
        tac, _ = proofs.debit_receipt(twin.keys, opened, int.from_bytes(command[5:9], "big"), command[9:16])
        return tac + answer[4:]

    return mutant(bend)


def _writes_at_once(when_refused: bool = False) -> Mutant:
    """An industry record is written when it is staged, or even though the debit was refused."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        staged = matches("80DC..D4", command) and answer == b"\x90\x00"
        if staged:
            twin.memory["staged"] = command[2], command[9:133]
        refused = matches(DEBIT, command) and answer == b"\x93\x02"
        if "staged" in twin.memory and (refused if when_refused else staged):
            number, data = twin.memory["staged"]
            twin.poke("industry", number, 4, data)
        return answer

    return mutant(bend)


def _next_record(command: bytes) -> bytes:
    """By identifier it finds the record after the one that is meant."""
    return command[:2] + bytes((command[2] + 1,)) + command[3:6] + bytes((command[6] + 1,)) + command[7:]


PURCHASE: Final[dict[str, Mutant]] = {
    "PUR-001": says(DEBIT, data=flip(4)),
    "PUR-002": says(DEBIT, data=flip(0)),
    "PUR-003": also(DEBIT, moves(-1)),
    "PUR-004": also(DEBIT, _pokes("log", 5, b"\x00\x00\x00\x00")),
    "PUR-005": undoes(DEBIT, "balance_fen", amount_fen=1),
    "PUR-006": also(DEBIT, _leaves_one),
    "PUR-007": says("805001", 0x9000, OPENED15, 0x9401),
    "PUR-008": lenient("mac"),
    "PUR-009": lenient("amount"),
    "PUR-010": lenient("type"),
    "PUR-011": lenient("moment"),
    "PUR-012": lenient("terminal"),
    "PUR-013": lenient("number"),
    "PUR-014": lenient("stale"),
    "PUR-015": forgiving(),
    "PUR-016": repeats(_again),
    "PUR-017": keeps_session("805C"),
    "PUR-018": keeps_session("00B0"),
    "PUR-019": keeps_session("00A4"),
    "PUR-020": keeps_power("805001"),
    "PUR-021": keeps_session("006A"),
    "PUR-022": says(CREDIT, 0x9000, "00000000", 0x6985),
    "PUR-023": says("805001", data=lambda d: d[:11] + b"\x01\x02\x03\x04"),
    "PUR-024": says("805A", data=flip(7)),
    "PUR-025": when_powered(forgets_proof),
    "PUR-026": _old_proofs(),
    "PUR-027": _proves(types=(6, 9, 2)),
    "PUR-028": _proves(off=1),
    "PUR-029": also("805003", forgets_proof),
    "PUR-030": also(DEBIT, _drifts),
    "PUR-031": refuses("00B20AC4", 0x6A83),
    "PUR-032": also(DEBIT, _scribbles),
    "PUR-033": _short_tac(),
    "PUR-034": keeps_first("805001"),
}
COMPOSITE: Final[dict[str, Mutant]] = {
    "CAP-001": undoes(DEBIT, "industry", amount_fen=0),
    "CAP-002": undoes(DEBIT, "balance_fen"),
    "CAP-003": says(DEBIT, data=flip(7)),
    "CAP-004": _plain_tac(),
    "CAP-005": also(DEBIT, _pokes("log", 9, b"\x06")),
    "CAP-006": _writes_at_once(),
    "CAP-007": keeps_session("00B0"),
    "CAP-008": keeps_session("00A4"),
    "CAP-009": keeps_power("805003"),
    "CAP-010": _writes_at_once(when_refused=True),
    "CAP-011": lenient("type"),
    "CAP-012": undoes(DEBIT, "transit"),
    "CAP-013": hears("80DC..D0", _next_record),
    "CAP-014": undoes(DEBIT, "industry"),
    "CAP-015": hears("80DC00F02F", lambda c: c[:4] + b"\x30" + c[5:] + b"\x00"),
    "CAP-016": hears("80DC01D4802702", lambda c: c[:6] + b"\x01" + c[7:]),
    "CAP-017": says("80DC13D4", 0x9000, when=0x6A83),
    "CAP-018": says("80DC00C0", 0x9000, when=0x6982),
    "CAP-019": says("80DC01AC", 0x9000, when=0x6981),
    "CAP-020": says("80DC", 0x9000, when=0x6985),
    "CAP-021": refuses("00B21EF4", 0x6A83),
    "CAP-022": keeps_session("80DC00F02F"),
}
LOAD: Final[dict[str, Mutant]] = {
    "LOD-001": says("805000", data=flip(12)),
    "LOD-002": says(CREDIT, data=flip(0)),
    "LOD-003": also(CREDIT, moves(1)),
    "LOD-004": also(CREDIT, _pokes("log", 9, b"\x01")),
    "LOD-005": undoes(CREDIT, "balance_fen", amount_fen=1),
    "LOD-006": lenient("mac"),
    "LOD-007": lenient("amount"),
    "LOD-008": lenient("type"),
    "LOD-009": lenient("moment"),
    "LOD-010": lenient("terminal"),
    "LOD-011": lenient("number"),
    "LOD-012": lenient("stale"),
    "LOD-013": forgiving(),
    "LOD-014": repeats(lambda twin: moves(twin.openings[-1].amount_fen)(twin)),
    "LOD-015": keeps_session("805C"),
    "LOD-016": keeps_session("00A4"),
    "LOD-017": keeps_power("805000"),
    "LOD-018": says(DEBIT, 0x9000, "00" * 8, 0x6985),
    "LOD-019": also(CREDIT, lambda t: t.set(balance_fen=min(t.body.balance_fen, t.body.cap_fen - 1))),
    "LOD-020": says("805000", 0x9000, OPENED16, 0x6A80),
    "LOD-021": says("805000020B..FFFFFFFF", 0x9000, OPENED16, 0x6A80),
    "LOD-022": says("805A", data=flip(7)),
    "LOD-023": _proves(types=(6, 9, 2)),
    "LOD-024": says("805000", data=lambda d: d[:7] + b"\x07" + d[8:]),
}
MUTANTS: Final = PURCHASE | COMPOSITE | LOAD
