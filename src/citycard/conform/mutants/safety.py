# SPDX-License-Identifier: Apache-2.0
"""Mutants that are careless: authentication, secure messaging, tears, counters, locks."""

from __future__ import annotations

from random import Random
from typing import Final

from citycard.conform import cells
from citycard.conform.mutants.kit import (
    Mutant,
    Twin,
    also,
    careless,
    flip,
    hears,
    keeps_power,
    keeps_session,
    matches,
    mutant,
    plus,
    refuses,
    says,
    tries_with_power,
    undoes,
    when_cut,
    when_powered,
    when_torn,
)
from citycard.conform.mutants.money import OPENED15, OPENED16, forgets_proof, moves
from citycard.core.card.body import Body
from citycard.core.crypto import xor

WRITE_HOLDER: Final = "04D696"
ONE_WRONG: Final = b"\x01\x00\x00\x00"


def _tries(sw: int) -> bool:
    return sw & 0xFFF0 == 0x63C0


def after_challenge(size: int, pattern: str, sw: int) -> Mutant:
    """Refuses a command after a challenge of this size."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        wrong = matches(pattern, command) and len(twin.challenges[-1]) == size
        return sw.to_bytes(2, "big") if wrong else answer

    return mutant(bend)


def _counts_on() -> Mutant:
    """Success does not give tries back: every failure is one less than the one before."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("0082", command) or answer[-2] != 0x63:
            return answer
        failed = twin.memory["failed"] = twin.memory.get("failed", 0) + 1
        return bytes((0x63, 0xC0 | max(0, 3 - failed)))

    return mutant(bend)


def _locks_early() -> Mutant:
    """A right MAC does not give tries back: the third wrong one locks, whatever came between."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if not matches("04D6", command):
            return twin.obey(command)
        if twin.memory.get("failed", 0) >= 3:
            return b"\x69\x83"
        answer = twin.obey(command)
        twin.memory["failed"] = twin.memory.get("failed", 0) + (answer == b"\x69\x88")
        return answer

    return mutant(bend)


def _replayable(pattern: str) -> Mutant:
    """A command that succeeded once succeeds again without a challenge."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches(pattern, command) and answer == b"\x69\x84" and command == twin.memory.get("last"):
            return b"\x90\x00"
        if answer == b"\x90\x00":
            twin.memory["last"] = command
        return answer

    return mutant(bend)


def old_challenge(pattern: str) -> Mutant:
    """A MAC over the challenge before the last is good enough."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(pattern, command) and len(twin.challenges) > 1:
            message = command[:-4]
            if command[-4:] == twin.keys.message_mac(message, twin.challenges[-2]):
                command = message + twin.keys.message_mac(message, twin.challenges[-1])
        return twin.obey(command)

    return mutant(bend)


def _shy(pattern: str) -> Mutant:
    """Once blocked, it does not answer a command that reads."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if twin.memory.get("blocked") and matches(pattern, command):
            return b"\x6a\x81"
        answer = twin.obey(command)
        if answer == b"\x90\x00" and matches("841[8E]", command):
            twin.memory["blocked"] = command[1] == 0x1E
        return answer

    return mutant(bend)


def _revives(twin: Twin) -> None:
    """The application is active again."""
    twin.card = cells.revived(twin.card, Random(1).randbytes)


def _steps_back(twin: Twin) -> None:
    twin.set(offline=max(0, twin.body.offline - 1))


def _restores(*what: str) -> Mutant:
    """A cut DEBIT or CREDIT that is made leaves one part as it was before."""

    def effect(twin: Twin, body: Body, files: dict[str, bytes]) -> None:
        if twin.body != body:
            _put_back(twin, body, files, what)

    return when_cut("805[24]", effect)


def _put_back(twin: Twin, body: Body, files: dict[str, bytes], what: tuple[str, ...]) -> None:
    for name in what:
        if name in files:
            twin.put(name, files[name])
        else:
            twin.set(**{name: getattr(body, name)})


def _loses_when_cut_twice() -> Mutant:
    """Cut while it recovers, it forgets the transit file."""

    def effect(twin: Twin, body: Body, files: dict[str, bytes]) -> None:
        if twin.body != body:
            twin.put("transit", files["transit"])

    return when_cut("8054", effect, starts=True)


def _half_written() -> Mutant:
    """A cut write leaves its first cell new and the rest old."""

    def effect(twin: Twin, body: Body, files: dict[str, bytes]) -> None:
        twin.put("holder", b"\xee" * 8 + files["holder"][8:])

    return when_cut(WRITE_HOLDER, effect)


def _lost_transit() -> Mutant:
    """When the power goes right after DEBIT, the transit file is as before."""

    def bend(twin: Twin, command: bytes) -> bytes:
        before = twin.file("transit")
        answer = twin.obey(command)
        twin.memory["before"] = before if matches("8054", command) and answer[-2:] == b"\x90\x00" else None
        return answer

    def wake(twin: Twin) -> bytes:
        atr, before = twin.start(), twin.memory.pop("before", None)
        if before is not None:
            twin.put("transit", before)
        return atr

    return mutant(bend, wake)


def _wraps(counter: str) -> Mutant:
    """A counter at its end starts again."""

    def effect(twin: Twin) -> None:
        if getattr(twin.body, counter) == 0xFFFF:
            twin.set(**{counter: 0})

    return also("805[24]", effect)


def _takes(twin: Twin) -> None:
    moves(-twin.openings[-1].amount_fen)(twin)


def _gives(twin: Twin) -> None:
    moves(twin.openings[-1].amount_fen)(twin)


SECURITY: Final[dict[str, Mutant]] = {
    "SEC-001": refuses("0082", 0x6982),
    "SEC-002": after_challenge(4, "0082", 0x63C2),
    "SEC-003": says("0082", 0x6982, when=_tries),
    "SEC-004": _counts_on(),
    "SEC-005": _replayable("0082"),
    "SEC-006": says("0082", 0x9000, when=0x6984),
    "SEC-007": says("0082000007", 0x63C2, when=0x6700),
    "SEC-008": refuses("00D696", 0x6982),
    "SEC-009": keeps_session("00A4"),
    "SEC-010": keeps_power("0082"),
    "SEC-011": undoes(WRITE_HOLDER, "holder"),
    "SEC-012": after_challenge(8, WRITE_HOLDER, 0x6988),
    "SEC-013": careless(WRITE_HOLDER, lambda mac: xor(mac, ONE_WRONG), lambda m: m),
    "SEC-014": careless(WRITE_HOLDER, lambda mac: mac, flip(3)),
    "SEC-015": careless(WRITE_HOLDER, lambda mac: mac, lambda m: m[:-1] + bytes((m[-1] ^ 1,))),
    "SEC-016": _replayable(WRITE_HOLDER),
    "SEC-017": old_challenge(WRITE_HOLDER),
    "SEC-018": _locks_early(),
    "SEC-019": says("04E2", 0x9000, when=None),
    "SEC-020": says("04D69637", 0x9000, when=None),
}
TEARS: Final[dict[str, Mutant]] = {
    "TEA-001": also("805001", _takes),
    "TEA-002": when_torn(_takes, "805003"),
    "TEA-003": when_powered(forgets_proof),
    "TEA-004": _lost_transit(),
    "TEA-005": when_torn(_gives, "805000020B..00000064"),
    "TEA-006": when_powered(lambda t: t.set(proof_tac=xor(t.body.proof_tac, ONE_WRONG))),
    "TEA-007": when_torn(_takes, "805001"),
    "TEA-008": also("805A", forgets_proof),
    "TEA-009": _restores("balance_fen"),
    "TEA-010": _restores("transit"),
    "TEA-011": _restores("log"),
    "TEA-012": _loses_when_cut_twice(),
    "TEA-013": _half_written(),
    "CNT-001": when_powered(_steps_back),
    "CNT-002": says("805001", 0x9000, OPENED15, 0x9402),
    "CNT-003": says("805003", 0x9000, OPENED15, 0x9402),
    "CNT-004": says("805000", 0x9000, OPENED16, 0x9402),
    "CNT-005": _wraps("offline"),
    "CNT-006": _wraps("online"),
    "CNT-007": hears("805A00", plus(5, 7)),
}
LOCKS: Final[dict[str, Mutant]] = {
    "LCK-001": careless("841E", lambda mac: xor(mac, ONE_WRONG), lambda m: m),
    "LCK-002": says("00A404", 0x9000, when=0x6283),
    "LCK-003": says("805000", 0x9000, OPENED16, 0x6A81),
    "LCK-004": _shy("805C"),
    "LCK-005": when_powered(_revives, first=True),
    "LCK-006": also("8418", lambda t: t.set(balance_fen=0)),
    "LCK-007": says("8418", 0x9000, when=0x6985),
    "LCK-008": tries_with_power("0082"),
    "LCK-009": says("0082", 0x63C0, when=0x6983),
    "LCK-010": says("04D6", 0x6988, when=0x6983),
    "LCK-011": says("8418", 0x6988, when=0x9303),
    "LCK-012": when_powered(_revives, first=True),
}
MUTANTS: Final = SECURITY | TEARS | LOCKS
