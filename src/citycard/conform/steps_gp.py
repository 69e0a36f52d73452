# SPDX-License-Identifier: Apache-2.0
"""The words for a security domain: open a channel, send through it, tamper with either.

The channel lies among the kept values as `channel`. A tampered EXTERNAL AUTHENTICATE has a wrong `cryptogram`
or a wrong `mac`; a tampered command a wrong `mac`, `none` at all, or is one that was sent before (`replay`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.conform.bench import Bench
from citycard.conform.model import Failed, Step, Text
from citycard.conform.steps_card import Allowed, told
from citycard.core.apdu import Command, Response
from citycard.core.crypto import xor
from citycard.core.gp import scp02, scp03
from citycard.core.gp.channel import Channel, Told, authentication
from citycard.core.gp.client import Subset, with_keys
from citycard.core.gp.keys import AES, KeySet, check_value
from citycard.core.tlv import parse

HOST: Final = bytes.fromhex("C17ECA4DC0FFEE01")
FIRST_WRONG: Final = b"\x01" + bytes(7)
OVER: Final = (0x6982, 0x6985)  # what is secured is refused when there is no session


def updated(bench: Bench, version: int) -> tuple[Told, Channel]:
    """INITIALIZE UPDATE, and the channel that follows; `Failed` when the card's cryptogram is wrong."""
    answer = bench.ok(Command(0x80, 0x50, version, 0x00, HOST, 256).encode())
    found = scp03.parse(answer) or scp02.parse(answer)
    channel = None if found is None else with_keys(bench.lab().set_of(version))(found, HOST)
    if found is None or channel is None:
        raise Failed(
            "INITIALIZE UPDATE does not answer as its keys' protocol does", "初始化更新应答与密钥协议不符"
        )
    if channel.card_cryptogram() != found.cryptogram:
        raise Failed("the card's cryptogram is wrong", "卡片密文错误")
    return found, channel


def opened(bench: Bench, version: int, level: int, tamper: str = "") -> Response:
    """Open a channel and keep it; the answer to EXTERNAL AUTHENTICATE."""
    _, channel = updated(bench, version)
    command = authentication(channel, level)
    if tamper == "cryptogram":
        command = replace(command, data=xor(command.data, FIRST_WRONG + bytes(8)))
    elif tamper == "mac":
        command = replace(command, data=xor(command.data, bytes(8) + FIRST_WRONG))
    answer = bench.send(command.encode())
    channel.level = level
    bench.values["channel"] = channel
    return answer


def opens_channel(version: int, level: int, allowed: Allowed = 0x9000, tamper: str = "") -> Step:
    """A channel of a level is opened, or refused because of what was tampered with."""

    def run(bench: Bench) -> None:
        told(opened(bench, version, level, tamper), allowed, "EXTERNAL AUTHENTICATE", bench)

    word = f"{allowed:04X}" if isinstance(allowed, int) else " / ".join(f"{one:04X}" for one in allowed)
    how = f", wrong {tamper}," if tamper else ""
    return Step(
        run,
        Text(
            f"key set {version:02X}, level {level:02X}{how} answers {word}",
            f"密钥组 {version:02X}、级别 {level:02X}{how} 应答 {word}",
        ),
    )


def through(bench: Bench, command: Command, tamper: str = "") -> Response:
    """A command through the channel; `Failed` when the answer is not secured as the level asks."""
    channel: Channel = bench.values["channel"]
    if tamper == "none":
        return bench.send(command.encode())
    secured = channel.wrap(command)
    if tamper == "mac":
        secured = replace(secured, data=xor(secured.data, bytes(len(secured.data) - 1) + b"\x01"))
    answer = bench.send(secured.encode())
    if tamper == "replay":
        return bench.send(secured.encode())
    data = channel.open_answer(answer.data, answer.sw)
    if data is None:
        raise Failed("the answer's MAC or padding is wrong", "应答的 MAC 或填充错误")
    return Response(data, answer.sw)


def sends(what: str, command: Command, allowed: Allowed = 0x9000, tamper: str = "", keep: str = "") -> Step:
    """A command through the channel answers a status word; its plain data are kept."""

    def run(bench: Bench) -> None:
        answer = through(bench, command, tamper)
        told(answer, allowed, what, bench)
        if keep:
            bench.values[keep] = answer.data

    words = f"{allowed:04X}" if isinstance(allowed, int) else " / ".join(f"{one:04X}" for one in allowed)
    how = f" ({tamper})" if tamper else ""
    return Step(run, Text(f"{what}{how} answers {words}", f"{what}{how} 应答 {words}"))


def status(subset: Subset, name: bytes = b"", p2: int = 0x02) -> Command:
    """GET STATUS."""
    return Command(0x80, 0xF2, subset, p2, bytes((0x4F, len(name))) + name, 256)


def entries(raw: bytes) -> list[dict[int, bytes]]:
    """The entries in an answer of GET STATUS, their fields by tag."""
    return [dict(parse(value)) for tag, value in parse(raw) if tag == 0xE3]


def put(keys: KeySet, version: int, replaces: int = 0, *, lies: bool = False) -> Step:
    """PUT KEY of three keys, which answers their check values; `lies`: with a wrong one, refused."""

    def run(bench: Bench) -> None:
        channel: Channel = bench.values["channel"]
        data, values = bytes((version,)), b""
        for key in keys.keys:
            cipher, value = channel.encrypt_key(key), check_value(keys.kind, key)
            block = bytes((len(key),)) + cipher if keys.kind == AES else cipher
            sent = xor(value, b"\x00\x00\x01") if lies else value
            data += bytes((keys.kind, len(block))) + block + bytes((len(value),)) + sent
            values += value
        answer = through(bench, Command(0x80, 0xD8, replaces, 0x81, data, 256))
        if lies or replaces:
            told(answer, (0x9484, 0x9485, 0x6A80, 0x6A88) if lies else 0x6A88, "PUT KEY", bench)
            return
        told(answer, 0x9000, "PUT KEY", bench)
        if answer.data != bytes((version,)) + values:
            raise Failed(f"it answers {answer.data.hex().upper()}", f"应答 {answer.data.hex().upper()}")
        bench.values[f"set {version:02X}"] = keys

    if lies:
        return Step(run, Text("PUT KEY with a wrong check value is refused", "校验值错误的写密钥被拒绝"))
    if replaces:
        return Step(run, Text("PUT KEY for no version answers 6A88", "替换不存在的密钥版本应答 6A88"))
    return Step(run, Text("PUT KEY answers version and check values", "写密钥应答版本与校验值"))
