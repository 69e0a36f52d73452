# SPDX-License-Identifier: Apache-2.0
"""The words for a PBOC card beyond its purse: PINs, messages under a named key, limits, proofs.

A command under a MAC is one `Message`: what is sent, under which key, and what is wrong with it. A tampered
one is right for something else than is sent: another `data`, another `header`, a `mac` that is right for
nothing; `stale` carries a MAC over the challenge before, `none` no challenge at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from citycard.conform import proofs
from citycard.conform.bench import Bench
from citycard.conform.catalogue.security import challenge
from citycard.conform.model import Failed, NotRun, Step, Text
from citycard.conform.steps_purse import OVERDRAFT, UNLOAD, closing_command, opening, transact
from citycard.core.apdu import Command, Response
from citycard.core.crypto import MAC_SIZE, pad80_if_ragged, xor
from citycard.core.purse import Txn

ONE_WRONG: Final = b"\x01\x00\x00\x00"
ABSENT: Final = frozenset({0x6A82, 0x6A88, 0x9403})
Allowed = int | tuple[int, ...]


def told(answer: Response, allowed: Allowed, what: str, bench: Bench) -> None:
    """The status word is one of these; `63C0` stands for any number of tries left."""
    words = allowed if isinstance(allowed, tuple) else (allowed,)
    bench.note(f"{what}: {answer.sw:04X}", f"{what}：{answer.sw:04X}")
    tries = 0x63C0 in words and answer.sw & 0xFFF0 == 0x63C0
    if answer.sw not in words and not tries:
        names = _names(words)
        raise Failed(
            f"{what} answers {answer.sw:04X}, expected {names}", f"{what} 应答 {answer.sw:04X}，应为 {names}"
        )


def _names(words: tuple[int, ...]) -> str:
    return " / ".join("63Cx" if word == 0x63C0 else f"{word:04X}" for word in words)


def says(what: str, allowed: Allowed, command: Callable[[Bench], bytes], keep: str = "") -> Step:
    """A command made on the bench answers a status word; `keep` keeps its data."""
    words = _names(allowed if isinstance(allowed, tuple) else (allowed,))

    def run(bench: Bench) -> None:
        answer = bench.send(command(bench))
        told(answer, allowed, what, bench)
        if keep:
            bench.values[keep] = answer.data

    return Step(run, Text(f"{what} answers {words}", f"{what} 应答 {words}"))


def keeps(name: str, value: bytes) -> Step:
    """Prepare: a value under a name."""

    def run(bench: Bench) -> None:
        bench.values[name] = value

    return Step(run)


def there(command: str, what: str) -> Step:
    """Not every card has it: without it the case is not run. For files and keys of the laboratory's card."""

    def run(bench: Bench) -> None:
        if bench.send(command).sw in ABSENT:
            raise NotRun(f"the card has no {what}", f"卡片没有 {what}")

    return Step(run)


# Messages


@dataclass(frozen=True, slots=True)
class Message:
    """A command under a MAC: header (hex), plain data (hex template), key, and what is wrong with it."""

    head: str
    data: str = ""
    key: str = "maintenance"
    enciphered: bool = False
    tamper: str = ""
    size: int = 4  # of the challenge
    le: int | None = None

    def made(self, bench: Bench) -> bytes:
        """The command, over a fresh challenge."""
        keys, data = bench.lab(), bench.filled(self.data)
        if self.tamper == "padding":
            data = keys.encrypt(self.key, pad80_if_ragged(b"\xf0" + data, keys.suite.block))
        elif self.enciphered:
            data = keys.enciphered(self.key, data)
        given = bytes(4) if self.tamper == "none" else challenge(bench, self.size)
        if self.tamper == "stale":
            challenge(bench, self.size)
        bench.values["challenge"] = given
        start = bytes.fromhex(self.head) + bytes((len(data) + MAC_SIZE,))
        signed = start + data
        if self.tamper == "header":
            signed = xor(start, bytes(3) + b"\x01\x00") + data
        elif self.tamper == "data":
            signed = start + xor(data, bytes(len(data) - 1) + b"\x01")
        mac = keys.mac_under(self.key, signed, given)
        tail = b"" if self.le is None else bytes((self.le & 0xFF,))
        return start + data + (xor(mac, ONE_WRONG) if self.tamper == "mac" else mac) + tail


def message(what: str, allowed: Allowed, one: Message, keep: str = "") -> Step:
    """A command under a MAC answers a status word."""
    how = f"{what}, tampered: {one.tamper}" if one.tamper else what
    return says(how, allowed, one.made, keep)


def read_secured(source: str, plain: str, key: str = "maintenance", enciphered: bool = False) -> Step:
    """A kept answer is the data (or their cipher) and a MAC over them with the command's challenge."""

    def run(bench: Bench) -> None:
        keys, answer = bench.lab(), bench.values[source]
        wanted = bench.filled(plain)
        wanted = keys.enciphered(key, wanted) if enciphered else wanted
        if answer != wanted + keys.mac_under(key, wanted, bench.values["challenge"]):
            raise Failed(f"the answer {answer.hex().upper()} is not so", f"应答 {answer.hex().upper()} 不符")

    how = ("enciphered data", "密文数据") if enciphered else ("the data", "数据")
    return Step(run, Text(f"{how[0]} and a MAC over them", f"{how[1]}及其 MAC"))


# PINs


def verify(pin: str, allowed: Allowed = 0x9000, what: str = "VERIFY PIN") -> Step:
    """VERIFY PIN; `pin` is a hex template."""

    def command(bench: Bench) -> bytes:
        return Command(0x00, 0x20, 0x00, 0x00, bench.filled(pin)).encode()

    return says(what, allowed, command)


def change(old: str, new: str, allowed: Allowed = 0x9000) -> Step:
    """CHANGE PIN."""

    def command(bench: Bench) -> bytes:
        return Command(0x80, 0x5E, 0x01, 0x00, bench.filled(old) + b"\xff" + bench.filled(new)).encode()

    return says("CHANGE PIN", allowed, command)


def reload(new: str, allowed: Allowed = 0x9000, *, wrong: bool = False) -> Step:
    """RELOAD PIN."""

    def command(bench: Bench) -> bytes:
        pin = bench.filled(new)
        mac = bench.lab().pin_mac(pin)
        return Command(0x80, 0x5E, 0x00, 0x00, pin + (xor(mac, ONE_WRONG) if wrong else mac)).encode()

    return says("RELOAD PIN" + (", wrong MAC" if wrong else ""), allowed, command)


def with_pin() -> Step:
    """Prepare: the specimen's PIN as `pin`, another as `other`, and the PIN shown."""

    def run(bench: Bench) -> None:
        name_pins(bench)
        bench.ok(Command(0x00, 0x20, 0x00, 0x00, bench.values["pin"]).encode())

    return Step(run)


def pins() -> Step:
    """Prepare: the specimen's PIN as `pin` and another as `other`."""
    return Step(name_pins)


def name_pins(bench: Bench) -> None:
    """Keep the specimen's PIN as `pin` and another as `other`."""
    pin = bench.lab().value("pin")
    bench.values |= {"pin": pin, "other": xor(pin, bytes(len(pin) - 1) + b"\x01")}


# Deposit


def limit(fen: int) -> Step:
    """Prepare: the overdraft limit that the next change is for."""

    def run(bench: Bench) -> None:
        bench.values["limit_fen"] = fen

    return Step(run)


def sets_limit(fen: int) -> Step:
    """The overdraft limit is changed, which must succeed."""

    def run(bench: Bench) -> None:
        bench.values["limit_fen"] = fen
        bench.values["closing"] = transact(bench, OVERDRAFT, 0)

    return Step(run, Text(f"the overdraft limit becomes {fen} fen", f"透支限额改为 {fen} 分"))


def proves_mac1() -> Step:
    """MAC1 of the last INITIALIZE is the one the key gives."""

    def run(bench: Bench) -> None:
        opened = bench.opened[-1]
        if opened.mac1 != proofs.load_mac1(bench.lent(), opened):
            raise Failed("MAC1 is another than recomputed", "MAC1 与复算值不符")

    return Step(run, Text("MAC1 as recomputed", "MAC1 与复算值一致"))


def proves_mac3() -> Step:
    """MAC3 of the last DEBIT FOR UNLOAD is the one the key gives."""

    def run(bench: Bench) -> None:
        if bench.values["closing"] != proofs.unload_mac3(bench.lent(), bench.opened[-1], bench.moment):
            raise Failed("MAC3 is another than recomputed", "MAC3 与复算值不符")

    return Step(run, Text("MAC3 as recomputed", "MAC3 与复算值一致"))


def proof_wanted(bench: Bench) -> bytes:
    """What GET TRANSACTION PROVE must answer after the last transaction: MAC and TAC, 00 for none."""
    opened, keys = bench.opened[-1], bench.lent()
    if opened.txn == UNLOAD:
        return proofs.unload_mac3(keys, opened, bench.moment) + bytes(MAC_SIZE)
    if opened.txn == OVERDRAFT:
        return bytes(MAC_SIZE) + proofs.limit_tac(keys, opened, bench.values["limit_fen"], bench.moment)
    if opened.txn in proofs.ONLINE:
        return bytes(MAC_SIZE) + proofs.credit_tac(keys, opened, bench.moment)
    tac, mac2 = proofs.debit_receipt(keys, opened, bench.number - 1, bench.moment)
    return mac2 + tac


def proven(type_: Txn | None = None, ahead: int = 1, sw: int = 0x9000) -> Step:
    """GET TRANSACTION PROVE for the last transaction, for another type, or another serial."""
    words = Text("the proof of it as recomputed", "交易认证与复算值一致")

    def run(bench: Bench) -> None:
        opened = bench.opened[-1]
        txn = opened.txn if type_ is None else type_
        answer = bench.send(f"805A00{txn:02X}02{opened.counter + ahead:04X}08")
        told(answer, sw, "GET TRANSACTION PROVE", bench)
        if answer.ok and answer.data != proof_wanted(bench):
            raise Failed("the proof is another than recomputed", "交易认证与复算值不符")

    return Step(
        run,
        words
        if sw == 0x9000
        else Text(f"GET TRANSACTION PROVE answers {sw:04X}", f"取交易认证应答 {sw:04X}"),
    )


def refused_closing(txn: Txn, amount_fen: int, tamper: str, sw: int = 0x9302) -> Step:
    """A transaction whose MAC was tampered with is refused."""

    def run(bench: Bench) -> None:
        opened = opening(bench, txn, amount_fen)
        told(bench.send(closing_command(bench, opened, tamper)), sw, "the closing command", bench)

    return Step(
        run, Text(f"a MAC made for another {tamper} answers {sw:04X}", f"MAC 不符（{tamper}）应答 {sw:04X}")
    )
