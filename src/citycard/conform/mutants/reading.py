# SPDX-License-Identifier: Apache-2.0
"""Mutants of what a card tells: structure, status words, balances, random numbers, time."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from citycard.conform.bench import SELECT
from citycard.conform.mutants.kit import (
    Mutant,
    Twin,
    also,
    flip,
    hears,
    matches,
    mutant,
    plus,
    refuses,
    says,
    slow,
    when_powered,
)
from citycard.core.purse import ATC_MAX
from citycard.core.tlv import find, tlv

LIVED_RECORDS: Final = 4  # in the log of the specimen (`stands.lived`)
PURSE: Final = "00A4040008"


def _fci(
    change: Callable[[bytes], bytes] = bytes, version: bool = True, name: Callable[[bytes], bytes] = bytes
) -> Mutant:
    """The FCI of the purse with its issuer data, its version or its name altered."""

    def data(raw: bytes) -> bytes:
        inner = tlv(0x9F08, find(raw, 0x6F, 0xA5, 0x9F08) or b"") if version else b""
        inner += tlv(0x9F0C, change(find(raw, 0x6F, 0xA5, 0x9F0C) or b""))
        return tlv(0x6F, tlv(0x84, name(find(raw, 0x6F, 0x84) or b"")) + tlv(0xA5, inner))

    return says(PURSE, data=data)


def _put(at: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + value + data[at + len(value) :]


def _byte(at: int, value: int) -> Callable[[bytes], bytes]:
    return _put(at, bytes((value,)))


def _cut(data: bytes) -> bytes:
    return data[:-1]


def _oldest_first(command: bytes) -> bytes:
    return command[:2] + bytes((max(0, LIVED_RECORDS + 1 - command[2]),)) + command[3:]


def _selects_purse(twin: Twin) -> None:
    twin.obey(SELECT)


STRUCTURE: Final[dict[str, Mutant]] = {
    "STR-001": refuses(PURSE, 0x6A82),
    "STR-002": _fci(name=flip(7)),
    "STR-003": _fci(_cut),
    "STR-004": _fci(flip(29)),
    "STR-005": _fci(version=False),
    "STR-006": refuses("00A404000E", 0x6A82),
    "STR-007": refuses("00A40000023F00", 0x6A82),
    "STR-008": says("00B095", data=_cut),
    "STR-009": says("00B095", data=lambda d: d[:20] + d[24:28] + d[20:24] + d[28:]),
    "STR-010": says("00B095", data=_byte(10, 0x13)),
    "STR-011": says("00B096", data=_cut),
    "STR-012": says("00B097", data=_byte(3, 0x57)),
    "STR-013": says("00B2..C4", data=_byte(18, 0x13)),  # a month 13
    "STR-014": says("00B2..C4", data=_byte(9, 0x55)),
    "STR-015": hears("00B2..C4", _oldest_first),
    "STR-016": says("00B20BC4", 0x9000, "00" * 23, 0x6A83),
    "STR-017": refuses("00B212D4", 0x6A83),
    "STR-018": hears("00B205D0", _byte(2, 6)),
    "STR-019": says("00B2..F4", data=_cut),
    "STR-020": says("00B21FF4", 0x9000, "00" * 48, 0x6A83),
    "STR-021": says("00B0950000", data=_cut),
    "STR-022": hears("00B0950A", _byte(3, 9)),
    "STR-023": refuses("00B00000", 0x6986),
    "STR-024": refuses("00A4040005", 0x6A82),
    "STR-025": says("00B00000", 0x9000, "00" * 16, None),
    "STR-026": says("00B08200", 0x9000, "00" * 8, None),
    "STR-027": refuses("00A40000023F00", 0x9000),
    "STR-028": when_powered(_selects_purse),
    "STR-029": hears("00B202D4", _byte(2, 1)),
    "STR-030": says("00B201C410", 0x6C16, when=0x6C17),
}

# Refusals: the command, the word that is right, the word that this card says instead (9000: it gives in)
WORDS: Final[dict[str, tuple[str, int, int]]] = {
    "CMD-001": ("006A", 0x6D00, 0x6E00),
    "CMD-002": ("FFA4", 0x6E00, 0x6D00),
    "CMD-003": ("FF6A", 0x6E00, 0x6D00),
    "CMD-004": ("00A4040007", 0x6A82, 0x6A88),
    "CMD-005": ("00A40000027FFE", 0x6A82, 0x9000),
    "CMD-006": ("00A47F55", 0x6A86, 0x6B00),
    "CMD-007": ("00A4000003", 0x6700, 0x6A82),
    "CMD-008": ("00A4040008A0000006320101$", 0x6700, 0x6A82),
    "CMD-009": ("00B09C", 0x6A82, 0x6981),
    "CMD-010": ("00B098", 0x6981, 0x6986),
    "CMD-011": ("00B0951E", 0x6B00, 0x6A86),
    "CMD-012": ("00B0950064", 0x6C1E, 0x6700),
    "CMD-013": ("00B0000001", 0x6986, 0x6A82),
    "CMD-014": ("00B0F5", 0x6A86, 0x6A82),
    "CMD-015": ("00B201AC", 0x6981, 0x6A83),
    "CMD-016": ("00B213D4", 0x6A83, 0x6A82),
    "CMD-017": ("00B201E4", 0x6A82, 0x6A83),
    "CMD-018": ("00B201D7", 0x6A86, 0x6A83),
    "CMD-019": ("00B27FD0", 0x6A83, 0x6A82),
    "CMD-020": ("00B201D410", 0x6C80, 0x6700),
    "CMD-023": ("00840100", 0x6A86, 0x9000),
    "CMD-025": ("805C000F", 0x6A86, 0x6985),
    "CMD-026": ("805C000205", 0x6C04, 0x6700),
    "CMD-027": ("805A00FE", 0x9406, 0x6985),
    "CMD-028": ("805A000601", 0x6700, 0x9406),
    "CMD-029": ("805A7F", 0x6A86, 0x9406),
    "CMD-030": ("805001020A", 0x6700, 0x9403),
    "CMD-031": ("805001020B7F", 0x9403, 0x6A88),
    "CMD-032": ("805000020B7F", 0x9403, 0x6A88),
    "CMD-033": ("805001020B..FFFFFFFF", 0x9401, 0x6985),
    "CMD-034": ("805003020B..FFFFFFFF", 0x9401, 0x6985),
    "CMD-035": ("80507F020B", 0x6A86, 0x6D00),
    "CMD-036": ("80507F020A", 0x6A86, 0x6700),
    "CMD-037": ("805001020A7F", 0x6700, 0x9403),
    "CMD-038": ("805001020B7F", 0x9403, 0x9401),
    "CMD-039": ("00B09CFF", 0x6A82, 0x6B00),
    "CMD-040": ("805001020B", 0x6985, 0x9000),
    "CMD-041": ("80DC", 0x6985, 0x9000),
    "CMD-042": ("8054", 0x6985, 0x9302),
    "CMD-043": ("8052", 0x6985, 0x9302),
    "CMD-044": ("805401000E", 0x6700, 0x6985),
    "CMD-045": ("805200000A", 0x6700, 0x6985),
    "CMD-046": ("00D695", 0x6982, 0x9000),
    "CMD-047": ("00E2", 0x6982, 0x9000),
    "CMD-048": ("008200", 0x6984, 0x63C2),
    "CMD-049": ("0082007F", 0x6A88, 0x63C2),
    "CMD-050": ("04D695", 0x6984, 0x6988),
    "CMD-051": ("04D695", 0x6987, 0x9000),
    "CMD-052": ("04D69C", 0x6A82, 0x6988),
}
COMMANDS: Final[dict[str, Mutant]] = {
    **{id_: says(pattern, wrong, when=right) for id_, (pattern, right, wrong) in WORDS.items()},
    "CMD-021": says("00840000", data="DEADBEEF00"),
    "CMD-022": hears("0084000008", _byte(4, 4)),
    "CMD-024": says("805C0002", data=_cut),
    "CMD-053": says("80D4", 0x9000, when=None),
    "CMD-054": mutant(Twin.obey, lambda twin: b"\x00" + twin.start()[1:]),
    "CMD-055": says("805C0302", 0x6982, ""),
}


def _spends(fen: int) -> Callable[[Twin], None]:
    return lambda twin: twin.set(balance_fen=max(0, twin.body.balance_fen - fen))


BALANCE: Final[dict[str, Mutant]] = {
    "BAL-001": says("805C00", data=plus(0, 4)),
    "BAL-002": says("805C04", data="00000001"),
    "BAL-003": says("805001", data=plus(0, 4)),
    "BAL-004": says("805001", data=plus(6, 9)),
    "BAL-005": says("805003", data=_byte(10, 7)),
    "BAL-006": says("805003", data=plus(4, 6)),
    "BAL-007": also("805003", lambda t: t.set(offline=min(ATC_MAX, t.body.offline + 1))),
    "BAL-008": says("805000", data=plus(0, 4)),
    "BAL-009": when_powered(_spends(1)),
}


def _each(
    change: Callable[[bytes, int], bytes], pattern: str = "008400", keep: slice = slice(None)
) -> Mutant:
    """Alters every random number; the change is told its number, counted from 0 in this card's life."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches(pattern, command) or answer[-2:] != b"\x90\x00":
            return answer
        count = twin.memory["count"] = twin.memory.get("count", -1) + 1
        data = answer[:-2]
        start, stop, _ = keep.indices(len(data))
        return data[:start] + change(data[start:stop], count) + data[stop:] + answer[-2:]

    return mutant(bend)


def _restarts() -> Mutant:
    """The same numbers after every reset."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("008400", command):
            return answer
        return bytes(twin.memory["random"].randbytes(len(answer) - 2)) + answer[-2:]

    def wake(twin: Twin) -> bytes:
        twin.memory["random"] = Random(3)
        return twin.start()

    return mutant(bend, wake)


def _echoes() -> Mutant:
    """INITIALIZE answers the challenge before it."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches("805003", command) and twin.challenges and len(answer) == 17:
            return answer[:11] + twin.challenges[-1][:4] + answer[-2:]
        return answer

    return mutant(bend)


QUALITY: Final[dict[str, Mutant]] = {
    "RND-001": _each(lambda data, n: Random(n % 500).randbytes(len(data))),
    "RND-002": _each(lambda data, n: bytes(b & 0x7F for b in data)),
    "RND-003": _each(lambda data, n: bytes(0x55 if b & 1 else 0xAA for b in data)),
    "RND-004": _each(lambda data, n: bytes(b & 0x0F | (~b & 0x0F) << 4 for b in data)),
    "RND-005": _each(lambda data, n: data[:-1] + bytes((data[-1] | 1,))),
    "RND-006": _each(lambda data, n: (n * 3 + 0x0123_4567_89AB_CDEF).to_bytes(8, "big")[-len(data) :]),
    "RND-007": _restarts(),
    "RND-008": _each(lambda data, n: bytes(b & 0x7F for b in data), "805003", slice(11, 15)),
    "RND-009": _echoes(),
    "TIM-001": slow("00A404", 180),
    "TIM-002": slow("805003", 180),
    "TIM-003": slow("00B0", 300),
    "TIM-004": slow("8054", 350),
    "TIM-005": slow("8054", 600, every=20),
    "TIM-006": slow("8052", 1500),
}
MUTANTS: Final = STRUCTURE | COMMANDS | BALANCE | QUALITY
