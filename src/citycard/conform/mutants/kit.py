# SPDX-License-Identifier: Apache-2.0
"""What mutant cards are made of: a good card, and one thing that is wrong with it.

A mutant stands between the field and a good card and alters an answer, a command or an effect. It is one
value, made by the words below; commands are named by the beginning of their hex, in which `.` stands for
any digit. It may use the card's keys, as the kit does, so that it can accept exactly one kind of wrong MAC.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Any, Final

from citycard.conform import cells, proofs
from citycard.conform.bench import SELECT
from citycard.conform.keyring import Keyring, LabKeys
from citycard.conform.proofs import Opening
from citycard.conform.specimens import Specimen
from citycard.core import tunion
from citycard.core.apdu import Response
from citycard.core.card import Card, PowerLost
from citycard.core.card.body import Body
from citycard.core.card.state import Traits
from citycard.core.purse import Txn

Mutant = Callable[[Specimen, Keyring | LabKeys], Specimen]
Effect = Callable[["Twin"], None]
When = int | Callable[[int], bool] | None
Data = str | Callable[[bytes], bytes] | None
FILES: Final = {
    "log": tunion.SFI_LOG,
    "transit": tunion.SFI_TRANSIT,
    "industry": tunion.SFI_INDUSTRY,
    "holder": tunion.SFI_HOLDER,
}
NOTHING_PROVEN: Final = {"proof_txn": 0, "proof_serial": 0, "proof_mac": bytes(4), "proof_tac": bytes(4)}
CLOSING: Final = re.compile("805[248]0")
GET_RESPONSE: Final = b"\x00\xc0"
OPENED_SIZES: Final = (15, 16, 19)  # INITIALIZE UPDATE has the same code and other sizes


class Twin(Specimen):
    """A good card behind a bend in the wire; it remembers what passed, for the words below."""

    def __init__(
        self, specimen: Specimen, keys: Keyring | LabKeys, bend: Callable[[Twin, bytes], bytes]
    ) -> None:
        super().__init__(specimen.card)
        self.keys = keys
        self._bend = bend
        self.openings: list[Opening] = []
        self.challenges: list[bytes] = []
        self.pending = False  # the last command opened a transaction
        self.memory: dict[str, Any] = {}  # of the mutant's own
        self.cut = ""  # hex of the command in which the power was cut, `start` for a start
        self.wake: Callable[[Twin], bytes] = Twin.start
        self.wired = False  # bends single exchanges: of T=0 also those of GET RESPONSE
        self.waits = b""  # T=0: what GET RESPONSE gives of a bent answer
        self.t0 = isinstance(specimen.card, Card) and bool(specimen.card.traits & Traits.T0)

    def power_on(self) -> bytes:
        """The field goes and comes again."""
        return self.wake(self)

    def start(self) -> bytes:
        """Power the good card."""
        try:
            atr = super().power_on()
        except PowerLost:
            self.cut = "start"
            raise
        self.pending, self.waits = False, b""
        return atr

    def process(self, command: bytes) -> bytes:
        """One command, through the bend; with T=0 whole answers are bent, and wait again."""
        if self.wired or not self.t0:
            return self._bend(self, command)
        if command[:2] == GET_RESPONSE and self.waits:
            size = command[4]
            given, self.waits = self.waits[:size], self.waits[size:]
            return given + (bytes((0x61, len(self.waits))) if self.waits else b"\x90\x00")
        self.waits = b""
        answer = self._bend(self, command)
        if len(answer) > 2 and answer[-2:] == b"\x90\x00" and len(command) > 5:
            self.waits = answer[:-2]
            return bytes((0x61, len(self.waits)))
        return answer

    def obey(self, command: bytes) -> bytes:
        """One command to the good card."""
        try:
            answer = self.card.process(command)
        except PowerLost:
            self.cut = command.hex().upper()
            raise
        if self.t0 and not self.wired and len(answer) == 2 and answer[0] == 0x61:
            answer = self.card.process(bytes((*GET_RESPONSE, 0x00, 0x00, answer[1])))
        self.pending = False
        if answer[-2:] == b"\x90\x00":
            if command[:2] == b"\x80\x50" and len(answer) - 2 in OPENED_SIZES and proofs.txn_of(command):
                self.openings.append(proofs.read_opening(command, answer[:-2]))
                self.pending = True
            elif command[:2] == b"\x00\x84":
                self.challenges.append(answer[:-2])
        return answer

    def clone(self) -> Card:
        """Another card with the same cells, its purse selected; what it does has no effect here."""
        assert isinstance(self.card, Card)
        card = Card.from_image(self.card.image(), Random(1).randbytes)
        card.power_on()
        card.process(SELECT)
        return card

    @property
    def body(self) -> Body:
        """The purse as it lies in the cells."""
        return cells.purse_body(self.card)

    def set(self, **values: Any) -> None:
        """Change the purse in the cells."""
        cells.set_purse(self.card, **values)

    def file(self, name: str) -> bytes:
        """A file's cells."""
        return cells.file_cells(self.card, FILES[name])

    def put(self, name: str, content: bytes) -> None:
        """Put a file's cells back."""
        cells.set_file_cells(self.card, FILES[name], content)

    def poke(self, name: str, number: int, at: int, data: bytes) -> None:
        """Change bytes of a record in the cells."""
        cells.poke_record(self.card, FILES[name], number, at, data)


def mutant(bend: Callable[[Twin, bytes], bytes], wake: Callable[[Twin], bytes] = Twin.start) -> Mutant:
    """A card whose every command goes through `bend`, and every power on through `wake`."""

    def make(specimen: Specimen, keys: Keyring | LabKeys) -> Specimen:
        twin = Twin(specimen, keys, bend)
        twin.wake = wake
        return twin

    return make


def wired(inner: Mutant) -> Mutant:
    """The same mutant, but its pattern meets every single exchange: GET RESPONSE too."""

    def make(specimen: Specimen, keys: Keyring | LabKeys) -> Specimen:
        twin = inner(specimen, keys)
        assert isinstance(twin, Twin)
        twin.wired = True
        return twin

    return make


def matches(pattern: str, command: bytes) -> bool:
    """Whether a command begins so."""
    return re.match(pattern, command.hex().upper()) is not None


# Answers and commands


def says(pattern: str, sw: int | None = None, data: Data = None, when: When = 0x9000) -> Mutant:
    """Carries the command out and answers something else, when it would have answered `when`."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        told = Response.decode(answer)
        applies = when is None or (when(told.sw) if callable(when) else told.sw == when)
        if not matches(pattern, command) or not applies:
            return answer
        altered = told.data if data is None else data(told.data) if callable(data) else bytes.fromhex(data)
        return Response(altered, told.sw if sw is None else sw).encode()

    return mutant(bend)


def refuses(pattern: str, sw: int) -> Mutant:
    """Answers a status word and does nothing."""
    return mutant(lambda t, c: sw.to_bytes(2, "big") if matches(pattern, c) else t.obey(c))


def hears(pattern: str, change: Callable[[bytes], bytes]) -> Mutant:
    """Understands another command than was sent."""
    return mutant(lambda t, c: t.obey(change(c) if matches(pattern, c) else c))


def slow(pattern: str, ms: int, every: int = 1) -> Mutant:
    """Takes its time, at every such command or at each `every`-th."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(pattern, command):
            count = twin.memory["count"] = twin.memory.get("count", 0) + 1
            twin.delay_ns += ms * 1_000_000 * (count % every == 0)
        return twin.obey(command)

    return mutant(bend)


def flip(at: int, bits: int = 0x01) -> Callable[[bytes], bytes]:
    """Bytes with some bits of one byte turned over."""
    return lambda data: data[:at] + bytes((data[at] ^ bits,)) + data[at + 1 :] if data else data


def plus(start: int, stop: int, by: int = 1) -> Callable[[bytes], bytes]:
    """Bytes with a number in them raised."""

    def change(data: bytes) -> bytes:
        number = int.from_bytes(data[start:stop], "big") + by
        return data[:start] + number.to_bytes(stop - start, "big") + data[stop:] if data else data

    return change


# Effects


def undoes(pattern: str, *what: str, amount_fen: int | None = None) -> Mutant:
    """Carries the command out but for one effect: a file, or a field of the purse's body."""

    def bend(twin: Twin, command: bytes) -> bytes:
        body, files = twin.body, {name: twin.file(name) for name in what if name in FILES}
        answer = twin.obey(command)
        spared = amount_fen is not None and (not twin.openings or twin.openings[-1].amount_fen != amount_fen)
        if matches(pattern, command) and answer[-2:] == b"\x90\x00" and not spared:
            for name, content in files.items():
                twin.put(name, content)
            twin.set(**{name: getattr(body, name) for name in what if name not in FILES})
        return answer

    return mutant(bend)


def also(pattern: str, effect: Effect, when: int = 0x9000) -> Mutant:
    """Carries the command out and does one thing more."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches(pattern, command) and int.from_bytes(answer[-2:], "big") == when:
            effect(twin)
        return answer

    return mutant(bend)


def when_powered(effect: Effect, first: bool = False) -> Mutant:
    """Does one thing at every power on, after the card has started or `first`."""

    def wake(twin: Twin) -> bytes:
        if first:
            effect(twin)
            return twin.start()
        atr = twin.start()
        effect(twin)
        return atr

    return mutant(Twin.obey, wake)


def when_torn(effect: Effect, opened: str) -> Mutant:
    """Does one thing when the power goes while a transaction is open (`805001`, `805003` or `805000`)."""

    def bend(twin: Twin, command: bytes) -> bytes:
        kept = twin.pending or command[:2] == b"\x80\xdc"
        answer = twin.obey(command)
        begins = matches(opened, command) and answer[-2:] == b"\x90\x00"
        goes_on = command[:2] == b"\x80\xdc" and kept and bool(twin.memory.get("torn"))
        twin.memory["torn"] = begins or goes_on
        return answer

    def wake(twin: Twin) -> bytes:
        torn = twin.memory.pop("torn", False)
        atr = twin.start()
        if torn:
            effect(twin)
        return atr

    return mutant(bend, wake)


def when_cut(
    pattern: str, effect: Callable[[Twin, Body, dict[str, bytes]], None], starts: bool = False
) -> Mutant:
    """Does one thing after a cut inside a command that was made all the same; told what stood before."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(pattern, command):
            twin.memory["before"] = twin.body, {name: twin.file(name) for name in FILES}
        return twin.obey(command)

    def wake(twin: Twin) -> bytes:
        hurt = twin.cut == "start" if starts else bool(re.match(pattern, twin.cut))
        atr = twin.start()
        if hurt:
            twin.cut = ""
            effect(twin, *twin.memory["before"])
        return atr

    return mutant(bend, wake)


# Sessions


def keeps_session(pattern: str) -> Mutant:
    """A command in between does not end what was opened."""

    def bend(twin: Twin, command: bytes) -> bytes:
        open_ = twin.memory.get("open", False)
        if open_ and matches(pattern, command):
            return twin.clone().process(command)
        answer = twin.obey(command)
        goes_on = command[:2] == b"\x80\xdc" and open_
        authenticated = command[:2] == b"\x00\x82" and answer == b"\x90\x00"
        twin.memory["open"] = twin.pending or goes_on or authenticated
        return answer

    def wake(twin: Twin) -> bytes:
        twin.memory["open"] = False
        return twin.start()

    return mutant(bend, wake)


def keeps_power(after: str) -> Mutant:
    """A reset, and the SELECT after it, do not end what a command of this kind began."""

    def bend(twin: Twin, command: bytes) -> bytes:
        deaf = twin.memory.get("deaf", False)
        if deaf and matches("00A4", command):
            return twin.clone().process(command)
        twin.memory["deaf"] = False
        answer = twin.obey(command)
        goes_on = command[:2] == b"\x80\xdc" and bool(twin.memory.get("begun"))
        twin.memory["begun"] = answer[-2:] == b"\x90\x00" and (matches(after, command) or goes_on)
        return answer

    def wake(twin: Twin) -> bytes:
        if twin.memory.get("begun"):
            twin.memory["deaf"] = True
            return b"\x3b\x80\x80\x01\x01"
        return twin.start()

    return mutant(bend, wake)


def keeps_first(pattern: str) -> Mutant:
    """INITIALIZE while a transaction is open is answered, and the first one stays open."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if twin.pending and matches(pattern, command):
            return twin.clone().process(command)
        return twin.obey(command)

    return mutant(bend)


# MACs


def right_closing(twin: Twin, command: bytes, tamper: str = "", which: int = -1) -> bytes:
    """The DEBIT or CREDIT that this one claims to be, with the MAC that the kit would make."""
    signed = twin.openings[which]
    if signed.txn == Txn.OVERDRAFT:
        limit_fen, moment = int.from_bytes(command[5:8], "big"), command[8:15]
        mac2 = proofs.limit_mac2(twin.keys, signed, limit_fen, moment, tamper)
        return proofs.limit_command(limit_fen, moment, mac2)
    if signed.txn == Txn.UNLOAD:
        moment = command[5:12]
        return proofs.unload_command(moment, proofs.credit_mac2(twin.keys, signed, moment, tamper))
    if command[1] == 0x54:
        number, moment = int.from_bytes(command[5:9], "big"), command[9:16]
        mac1 = proofs.debit_mac1(twin.keys, signed, number, moment, tamper)
        return proofs.debit_command(signed, number, moment, mac1)
    moment = command[5:12]
    return proofs.credit_command(moment, proofs.credit_mac2(twin.keys, signed, moment, tamper))


def lenient(tamper: str) -> Mutant:
    """Takes the one kind of wrong MAC1 or MAC2 that the kit makes under this name."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if CLOSING.match(command.hex()) and twin.pending:
            right = right_closing(twin, command)
            tries = (
                [right_closing(twin, command, tamper)]
                if tamper != "stale"
                else [right_closing(twin, command, "", which) for which in range(-len(twin.openings), -1)]
            )
            command = right if command in tries else command
        return twin.obey(command)

    return mutant(bend)


def forgiving() -> Mutant:
    """A wrong MAC is told and does not end the transaction."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if CLOSING.match(command.hex()) and twin.pending and command != right_closing(twin, command):
            return b"\x93\x02"
        return twin.obey(command)

    return mutant(bend)


def repeats(effect: Effect) -> Mutant:
    """DEBIT or CREDIT sent again is carried out again."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if command == twin.memory.get("last"):
            effect(twin)
            return bytes(twin.memory["answer"])
        answer = twin.obey(command)
        if CLOSING.match(command.hex()) and answer[-2:] == b"\x90\x00":
            twin.memory |= {"last": command, "answer": answer}
        return answer

    return mutant(bend)


def careless(pattern: str, wrong: Callable[[bytes], bytes], signs: Callable[[bytes], bytes]) -> Mutant:
    """Takes one kind of wrong secure-messaging MAC: `wrong` of the MAC over `signs` of the command."""

    def bend(twin: Twin, command: bytes) -> bytes:
        if matches(pattern, command) and twin.challenges:
            message, challenge = command[:-4], twin.challenges[-1]
            given = wrong(twin.keys.message_mac(signs(message), challenge))
            if command[-4:] == given:
                command = message + twin.keys.message_mac(message, challenge)
        return twin.obey(command)

    return mutant(bend)


def tries_with_power(pattern: str) -> Mutant:
    """The first failed proof after a power on always leaves two tries."""

    def bend(twin: Twin, command: bytes) -> bytes:
        answer = twin.obey(command)
        if matches(pattern, command) and answer[-2] == 0x63 and not twin.memory.pop("failed", False):
            twin.memory["failed"] = True
            return b"\x63\xc2"
        return answer

    def wake(twin: Twin) -> bytes:
        twin.memory.pop("failed", None)
        return twin.start()

    return mutant(bend, wake)
