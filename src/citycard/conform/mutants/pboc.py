# SPDX-License-Identifier: Apache-2.0
"""Mutants of PBOC cards with deposit and purse, in the order of their catalogue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.conform.keyring import LabKeys
from citycard.conform.mutants.kit import (
    Mutant,
    Twin,
    also,
    careless,
    flip,
    lenient,
    matches,
    mutant,
    plus,
    refuses,
    says,
    tries_with_power,
    wired,
)
from citycard.conform.mutants.money import OPENED15, OPENED16, moves
from citycard.conform.mutants.safety import after_challenge, old_challenge
from citycard.core.apdu import Command
from citycard.core.crypto import xor

ONE_WRONG: Final = b"\x01\x00\x00\x00"
WRITE_15, WRITE_ENC = "04D695", "04D683"
OK: Final = b"\x90\x00"


def _keys(twin: Twin) -> LabKeys:
    assert isinstance(twin.keys, LabKeys)
    return twin.keys


def _tries(sw: int) -> bool:
    return sw & 0xFFF0 == 0x63C0


def _refusal(sw: int) -> bool:
    return sw != 0x9000


def _shorter(data: bytes) -> bytes:
    return data[:-1]


def _counts_on() -> Mutant:
    """The right PIN does not give tries back."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("0020", command) or answer[-2] != 0x63:
            return answer
        failed = twin.memory["failed"] = twin.memory.get("failed", 0) + 1
        return bytes((0x63, 0xC0 | max(0, 3 - failed)))

    return mutant(bend)


def _remembers_pin(*, over_power: bool) -> Mutant:
    """The deposit tells its balance once the PIN was shown, whatever came between."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches("0020", command) and answer == OK:
            twin.memory["shown"] = True
        if matches("805C0001", command) and answer == b"\x69\x82" and twin.memory.get("shown"):
            return bytes(4) + OK
        return answer

    def wake(twin: Twin) -> bytes:
        if not over_power:
            twin.memory.pop("shown", None)
        return twin.start()

    return mutant(bend, wake)


def _changes_all_the_same() -> Mutant:
    """CHANGE PIN is carried out though the old PIN is wrong."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches("805E01", command) and answer[:1] == b"\x63":
            new = command[5:].partition(b"\xff")[2]
            data = _keys(twin).value("pin") + b"\xff" + new
            twin.obey(Command(0x80, 0x5E, 0x01, 0x00, data).encode())
        return answer

    return mutant(bend)


def _reloads_all_the_same() -> Mutant:
    """RELOAD PIN is carried out though its MAC is wrong."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches("805E00", command) and answer == b"\x93\x02":
            new = command[5:-4]
            twin.obey(Command(0x80, 0x5E, 0x00, 0x00, new + _keys(twin).pin_mac(new)).encode())
        return answer

    return mutant(bend)


def _pin_revives() -> Mutant:
    """A blocked PIN is usable again after a reset."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("0020", command) or answer != b"\x69\x83":
            return answer
        if twin.memory.get("woken"):
            return OK
        twin.memory["blocked"] = True
        return answer

    def wake(twin: Twin) -> bytes:
        twin.memory["woken"] = twin.memory.get("blocked", False)
        return twin.start()

    return mutant(bend, wake)


def _careless_under(pattern: str, key: str) -> Mutant:
    """Takes the one wrong MAC under a key that the kit makes."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(pattern, command) and twin.challenges:
            right = _keys(twin).mac_under(key, command[:-4], twin.challenges[-1])
            if command[-4:] == xor(right, ONE_WRONG):
                command = command[:-4] + right
        return twin.obey(command)

    return mutant(bend)


def _waits_over_reset() -> Mutant:
    """What waited for GET RESPONSE still waits after a reset."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if answer[:1] == b"\x61":
            twin.memory["waits"] = True
        if matches("00C0", command) and answer == b"\x69\x85" and twin.memory.get("reset"):
            return bytes(15) + OK
        return answer

    def wake(twin: Twin) -> bytes:
        twin.memory["reset"] = twin.memory.pop("waits", False)
        return twin.start()

    return wired(mutant(bend, wake))


def _ends(twin: Twin) -> None:
    twin.card.process(bytes.fromhex("805C000204"))


def _typed(type_: int) -> Callable[[Twin], None]:
    return lambda twin: twin.poke("log", 1, 9, bytes((type_,)))


def _stale_answer() -> Mutant:
    """The MAC of an answer is made with the challenge before the last."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if not matches("04B0", command) or answer[-2:] != OK or len(twin.challenges) < 2:
            return answer
        data = answer[:-6]
        return data + _keys(twin).mac_under("maintenance", data, twin.challenges[-2]) + OK

    return mutant(bend)


def _limps_after(pattern: str) -> Mutant:
    """Once unblocked, it opens no purchase any more."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if twin.memory.get("unblocked") and matches("805001", command):
            return b"\x69\x85"
        answer = twin.obey(command)
        if matches(pattern, command) and answer == OK:
            twin.memory["unblocked"] = True
        return answer

    return mutant(bend)


READING: Final[dict[str, Mutant]] = {
    "STR-001": says("00A404", data=flip(4)),
    "STR-002": refuses("00A4040005", 0x6A82),
    "STR-003": says("00B095", data=flip(20)),
    "STR-004": says("00B2010C", data=flip(4)),
    "STR-005": says("00B096", data=_shorter),
    "STR-006": says("00B082", 0x9000, "00000000", _refusal),
    "CMD-001": says("8099", 0x6E00, when=None),
    "CMD-002": says("D0B0", 0x6D00, when=None),
    "CMD-003": says("805009", 0x6700, when=None),
    "CMD-004": says("805001020A", 0x9403, when=None),
    "CMD-005": says("805001020B7F", 0x9401, when=None),
    "CMD-006": says("805001010B01", 0x9401, when=0x6982),
    "CMD-007": says("805001010B7F", 0x6982, when=None),
    "CMD-008": says("805001020B01", 0x6985, when=0x9401),
    "CMD-009": says("00B095FF", 0x6A86, when=None),
    "CMD-010": says("00B09D", 0x6A81, when=None),
    "CMD-011": says("00B201AC", 0x6A82, when=None),
    "CMD-012": says("00B263C4", 0x6A82, when=None),
    "CMD-013": says("8052", 0x9302, when=0x6985),
    "CMD-014": says("805403", 0x9302, when=0x6985),
    "CMD-015": says("8058", 0x9302, when=0x6985),
    "CMD-016": says("805A", 0x6A88, when=0x9406),
    "BAL-001": says("805C0002", 0x6982, ""),
    "BAL-002": says("805C0001", 0x9000, "00000000", 0x6982),
    "BAL-003": says("805C0001", data=_shorter),
    "BAL-004": says("80500102", data=plus(0, 4)),
    "BAL-005": says("80500101", data=plus(0, 4)),
    "BAL-006": says("805C0003", 0x6985, when=None),
    "BAL-007": says("805C01", 0x9000, "00000000", None),
    "BAL-008": says("805C000210", 0x6700, when=None),
}
PINS: Final[dict[str, Mutant]] = {
    "PIN-001": refuses("0020", 0x6983),
    "PIN-002": _counts_on(),
    "PIN-003": _remembers_pin(over_power=True),
    "PIN-004": _remembers_pin(over_power=False),
    "PIN-005": says("0020000009", 0x63C2, when=None),
    "PIN-006": says("00200007", 0x63C2, when=None),
    "PIN-007": refuses("805E01", 0x9000),
    "PIN-008": _changes_all_the_same(),
    "PIN-009": says("805E0100", 0x9000, when=0x6700),
    "PIN-010": refuses("805E00", 0x9000),
    "PIN-011": _reloads_all_the_same(),
    "PIN-012": tries_with_power("0020"),
    "PIN-013": says("0020", 0x63C0, when=0x6983),
    "PIN-014": refuses("8424", 0x9000),
    "PIN-015": _careless_under("8424", "pin_unblock"),
    "PIN-016": says("8424", 0x9000, when=0x6985),
    "PIN-017": _pin_revives(),
    "RSP-001": wired(says("805001", 0x6110, when=lambda sw: sw >> 8 == 0x61)),
    "RSP-002": wired(says("00C0000005", 0x9000, when=None)),
    "RSP-003": wired(says("00C0000020", 0x6700, when=None)),
    "RSP-004": wired(says("00C0000004", 0x9000, "00000000", 0x6985)),
    "RSP-005": wired(says("00C000000F", 0x9000, "00" * 15, 0x6985)),
    "RSP-006": _waits_over_reset(),
    "RSP-007": wired(also("00C0", _ends)),
}
MONEY: Final[dict[str, Mutant]] = {
    "DEP-001": says("8052", data=flip(0)),
    "DEP-002": says("8054", data=flip(4)),
    "DEP-003": also("8054", moves(-1)),
    "DEP-004": also("8054", _typed(0x06)),
    "DEP-005": says("80500301", 0x9000, OPENED15, None),
    "DEP-006": says("80500001", 0x9000, OPENED16, 0x6982),
    "DEP-007": lenient("amount"),
    "DEP-008": lenient("type"),
    "DEP-009": lenient("amount"),
    "DEP-010": lenient("mac"),
    "CSH-001": says("8054", data=flip(0)),
    "CSH-002": also("8054", _typed(0x05)),
    "CSH-003": says("80500202", 0x9000, OPENED15, None),
    "CSH-004": says("80500201", 0x9000, OPENED15, 0x6982),
    "CSH-005": says("80500201", 0x9000, OPENED15, 0x9401),
    "CSH-006": lenient("amount"),
    "CSH-007": lenient("type"),
    "CSH-008": lenient("moment"),
    "UNL-001": says("805403", data=flip(0)),
    "UNL-002": also("805403", _typed(0x01)),
    "UNL-003": says("80500501", 0x9000, OPENED16, 0x9401),
    "UNL-004": says("80500502", 0x9000, OPENED16, None),
    "UNL-005": says("805403", 0x9000, "00000000", 0x6985),
    "UNL-006": says("8052", 0x9000, "00000000", 0x6985),
    "UNL-007": lenient("amount"),
    "UNL-008": lenient("type"),
    "UNL-009": lenient("mac"),
    "OVD-001": says("8058", data=flip(0)),
    "OVD-002": says("80500101", data=flip(8)),
    "OVD-003": says("8058", 0x9000, "00000000", 0x9401),
    "OVD-004": says("80500402", 0x9000, "00" * 19, None),
    "OVD-005": lenient("amount"),
    "OVD-006": lenient("moment"),
    "OVD-007": lenient("mac"),
    "PRV-001": says("805A0001", data=flip(5)),
    "PRV-002": says("805A0002", data=flip(5)),
    "PRV-003": says("805A0003", data=flip(0)),
    "PRV-004": says("805A0004", data=flip(0)),
    "PRV-005": says("805A0005", data=flip(5)),
    "PRV-006": says("805A0006", data=flip(0)),
    "PRV-007": says("805A0007", data=flip(5)),
    "PRV-008": says("805A0009", data=flip(0)),
    "PRV-009": says("805A0005", 0x9000, "00" * 8, 0x9406),
    "PRV-010": says("805A0003", 0x9000, "00" * 8, 0x9406),
}
SAFETY: Final[dict[str, Mutant]] = {
    "SEC-001": refuses("0082", 0x6982),
    "SEC-002": says("0082", 0x6982, when=_tries),
    "SEC-003": says("0082", 0x9000, when=0x6984),
    "SEC-004": says("00820009", 0x6982, when=None),
    "SEC-005": says("0082000007", 0x63C2, when=None),
    "INT-001": says("008800", data=flip(0)),
    "INT-002": says("008801", data=flip(0)),
    "INT-003": says("008802", data=flip(0)),
    "INT-004": says("0088000107", 0x6A80, when=None),
    "INT-005": says("00880009", 0x9403, when=None),
    "INT-006": says("008807", 0x6A80, when=None),
    "SEC-006": says(WRITE_15, 0x6988),
    "SEC-007": says("00D695", 0x9000, when=0x6987),
    "SEC-008": after_challenge(8, WRITE_15, 0x6988),
    "SEC-009": careless(WRITE_15, lambda mac: xor(mac, ONE_WRONG), lambda m: m),
    "SEC-010": careless(WRITE_15, lambda mac: mac, lambda m: m[:-1] + bytes((m[-1] ^ 1,))),
    "SEC-011": careless(WRITE_15, lambda mac: mac, flip(3)),
    "SEC-012": says(WRITE_15, 0x9000, when=0x6984),
    "SEC-013": old_challenge(WRITE_15),
    "SEC-014": says(WRITE_15, 0x6988, when=0x6987),
    "SEC-015": says("00B083", data=flip(0)),
    "SEC-016": says(WRITE_ENC, 0x9000, when=_refusal),
    "SEC-017": says(WRITE_ENC, 0x9000, when=0x6A80),
    "SEC-018": says("04B084", data=flip(0)),
    "SEC-019": says("00B084", 0x9000, "00" * 16, 0x6987),
    "SEC-020": says("04B084", 0x9000, "00" * 20, 0x6988),
    "SEC-021": says("04B086", data=flip(0)),
    "SEC-022": _stale_answer(),
    "LCK-001": careless("841E", lambda mac: xor(mac, ONE_WRONG), lambda m: m),
    "LCK-002": says("00A404", 0x9000, when=0x6A81),
    "LCK-003": says("805001", 0x9000, OPENED15, 0x6A81),
    "LCK-004": _limps_after("8418"),
    "LCK-005": says("8418", 0x9000, when=0x6985),
    "LCK-006": says("8416", 0x9000, when=0x6988),
    "LCK-007": says("8416", 0x9000, when=0x6984),
    "LCK-008": says("0082", 0x63C0, when=0x6983),
    "LCK-009": says("8418", 0x6988, when=0x9303),
    "LCK-010": says("00A404", 0x9000, when=0x6A81),
    "LCK-011": says("0084", 0x9000, "00" * 8, 0x6A81),
}
MUTANTS: Final = READING | PINS | MONEY | SAFETY
