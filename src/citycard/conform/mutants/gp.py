# SPDX-License-Identifier: Apache-2.0
"""Mutants of issuer security domains: what they tell wrongly, and whom they believe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.conform.mutants.kit import Mutant, Twin, flip, matches, mutant, refuses, says
from citycard.core.tlv import parse, tlv

OK: Final = b"\x90\x00"
STATUS, PUT, DELETE, SET, AUTHENTICATE = "8[04]F2", "8[04]D8", "8[04]E4", "8[04]F0", "8482"
SCP02, SCP03 = "805020", "805030"


def _refusal(sw: int) -> bool:
    return sw != 0x9000


def _without(tag: int) -> Callable[[bytes], bytes]:
    """Entries of a registry without one of their fields."""

    def change(data: bytes) -> bytes:
        rows = [parse(value) for _, value in parse(data)]
        return b"".join(tlv(0xE3, b"".join(tlv(*field) for field in row if field[0] != tag)) for row in rows)

    return change


def _level(level: int, scp: str, defect: Callable[[bytes], bytes]) -> Mutant:
    """Sessions of one level have a defect in what GET STATUS answers; those of others are good."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches("8050", command):
            twin.memory["scp"] = matches(scp, command)
        answer = twin.obey(command)
        if matches(AUTHENTICATE, command) and answer == OK:
            twin.memory["level"] = command[2] if twin.memory.get("scp") else None
        if matches(STATUS, command) and twin.memory.get("level") == level and answer[-2:] == OK:
            return defect(answer[:-2]) + OK
        return answer

    return mutant(bend)


def _in(scp: str, pattern: str, sw: int, when: Callable[[int], bool]) -> Mutant:
    """Answers something else while it works with one protocol."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches("8050", command):
            twin.memory["scp"] = matches(scp, command)
        answer = twin.obey(command)
        applies = twin.memory.get("scp") and matches(pattern, command)
        if applies and when(int.from_bytes(answer[-2:], "big")):
            return sw.to_bytes(2, "big")
        return answer

    return mutant(bend)


def _is(sw: int) -> Callable[[int], bool]:
    return lambda told: told == sw


def _keeps_session(scp: str, after: str) -> Mutant:
    """GET STATUS is answered after what should have ended the session."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches("8050", command):
            twin.memory |= {"scp": matches(scp, command), "open": False, "over": False}
        answer = twin.obey(command)
        if matches(AUTHENTICATE, command):
            twin.memory["open"] = answer == OK
        if matches(STATUS, command) and twin.memory.get("over"):
            return OK
        ends = answer[-2:] == b"\x69\x82" if after == STATUS else True
        if twin.memory.get("open") and twin.memory.get("scp") and matches(after, command) and ends:
            twin.memory["over"] = True
        return answer

    return mutant(bend)


def _same_answer(scp: str) -> Mutant:
    """INITIALIZE UPDATE answers what it answered before."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches(scp, command) or answer[-2:] != OK:
            return answer
        return bytes(twin.memory.setdefault("answer", answer))

    return mutant(bend)


def _stale_sequence() -> Mutant:
    """The session of SCP02 that was opened last does not count."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(SCP02, command) and "image" in twin.memory:
            return bytes(twin.memory["image"])
        answer = twin.obey(command)
        if matches(SCP02, command):
            twin.memory["image"] = answer
        return answer

    return mutant(bend)


def _stays_locked() -> Mutant:
    """Once locked, SELECT warns for ever."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches(SET, command) and answer[-2:] == OK:
            twin.memory["locked"] = True
        if twin.memory.get("locked") and matches("00A404", command) and answer[-2:] == OK:
            return answer[:-2] + b"\x62\x83"
        return answer

    return mutant(bend)


def _refusals(group: str, scp: str, first: int) -> dict[str, Mutant]:
    """Mutants for the refusals that both protocols share."""
    makers = (
        _in(scp, AUTHENTICATE, 0x9000, _is(0x6300)),
        _in(scp, AUTHENTICATE, 0x9000, _is(0x6982)),
        _in(scp, "848240", 0x9000, _refusal),
        _in(scp, "80F2", 0x9000, _refusal),
        _in(scp, "84F2", 0x9000, _refusal),
        _in(scp, "84F2", 0x9000, _is(0x6982)),
        _keeps_session(scp, STATUS),
        _keeps_session(scp, "00A404"),
    )
    return {f"{group}-{first + number:03d}": maker for number, maker in enumerate(makers)}


SCP02_LEVELS, SCP03_LEVELS = (0x00, 0x01, 0x03), (0x00, 0x01, 0x03, 0x11, 0x13, 0x33)
MUTANTS: Final[dict[str, Mutant]] = {
    "STR-001": says("00A404", data=flip(4)),
    "STR-002": refuses("00A4040000", 0x6A82),
    "STR-003": says("00A404", data=lambda data: data.replace(b"\x86\xfc\x6b", b"\x86\xfc\x6c")),
    "STR-004": says("00A404", 0x6A88, when=0x6A82),
    "DAT-001": refuses("80CA0066", 0x6A88),
    "DAT-002": says("80CA00E0", data=lambda data: data.replace(b"\x20\x80\x10", b"\x21\x80\x10")),
    "DAT-003": says("80CA9F7F", data=lambda data: tlv(0x9F7F, data[3:-1])),
    "DAT-004": says("80CA5F7E", 0x6A80, when=None),
    "DAT-005": refuses("80CA0067", 0x6A88),
    "CMD-001": says("8002", 0x6E00, when=None),
    "CMD-002": says("80F2", 0x9000, when=_refusal),
    "CMD-003": says("80D8", 0x9000, when=_refusal),
    "CMD-004": says("80E4", 0x9000, when=_refusal),
    "INI-001": says("80507E", 0x6985, when=None),
    "INI-002": says("8050000007", 0x6A80, when=None),
    "INI-003": says("80500077", 0x9000, when=None),
    "INI-004": says(AUTHENTICATE, 0x6300, when=0x6985),
    "INI-005": says(AUTHENTICATE, 0x9000, when=_refusal),
    "INI-006": says(AUTHENTICATE, 0x9000, when=0x6985),
    **{f"SC2-{n:03d}": _level(level, SCP02, flip(4)) for n, level in enumerate(SCP02_LEVELS, 1)},
    **_refusals("SC2", SCP02, 4),
    "SC2-012": _stale_sequence(),
    **{f"SC3-{n:03d}": _level(level, SCP03, flip(4)) for n, level in enumerate(SCP03_LEVELS, 1)},
    **_refusals("SC3", SCP03, 7),
    "SC3-015": _same_answer(SCP03),
    "STA-001": says(STATUS + "40", data=_without(0xC5)),
    "STA-002": says(STATUS + "20", data=_without(0x9F70)),
    "STA-003": says(STATUS + "10", data=_without(0x84)),
    "STA-004": says(STATUS + "80", data=flip(4)),
    "STA-005": says(STATUS, 0x9000, when=0x6A88),
    "STA-006": says(STATUS + "4003", 0x9000, when=_refusal),
    "STA-007": says(STATUS + "4002", 0x9000, when=_refusal),
    "KEY-001": says("805031", 0x6A88),
    "KEY-002": says(PUT, data=flip(1)),
    "KEY-003": says(PUT, 0x9000, when=_refusal),
    "KEY-004": says(PUT + "7D", 0x9000, when=_refusal),
    "KEY-005": says(DELETE, 0x9000, when=_refusal),
    "KEY-006": says(DELETE, 0x9000, when=_refusal),
    "KEY-007": says(DELETE, 0x9000, when=_refusal),
    "LCK-001": _stays_locked(),
    "LCK-002": says(PUT, 0x6A80, when=0x6985),
    "LCK-003": says("805020", 0x6A88, when=0x6983),
    "LCK-004": says("00A404", 0x9000, "6F00", _refusal),
}
