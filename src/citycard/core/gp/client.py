# SPDX-License-Identifier: Apache-2.0
"""Our own client of a security domain, as dialogues: open a secure channel, look, install, store, put keys.

    session = yield from open_channel(with_keys(keys), level=0x03, host=random(8))
    rows = yield from get_status(session, Subset.APPLICATIONS)

Every step gives its result or a `Refused` that names the command and the status word. The keys stay behind
`make`, a function from the card's answer to a channel, so that they may live elsewhere. Commands: Card
Specification 2.3, chapter 11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from citycard.core.apdu import SHORT_MAX, Command
from citycard.core.crypto import same
from citycard.core.dialogue.exchange import CARD, Answer, Dialogue, DialogueError, Refused, ask
from citycard.core.gp import scp02, scp03
from citycard.core.gp.channel import C_MAC, Channel, Told, authentication
from citycard.core.gp.keys import AES, Diversification, KeySet, check_value, diversified
from citycard.core.gp.scp02 import Scp02
from citycard.core.gp.scp03 import Scp03
from citycard.core.refusal import Refusal
from citycard.core.tlv import TlvError, find, parse

MORE_DATA: Final = 0x6310
BLOCK_MAX: Final = 200  # bytes of STORE DATA in one command: room for MAC and padding at every level
STATUS_ROUNDS_MAX: Final = 64  # answers of one GET STATUS: more is no registry

Make = Callable[[Told, bytes], Channel | None]  # None: these keys do not speak the card's protocol


class Subset(IntEnum):
    """What GET STATUS lists."""

    ISSUER = 0x80
    APPLICATIONS = 0x40
    LOAD_FILES = 0x20
    LOAD_FILES_AND_MODULES = 0x10


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a card's registry; `privileges` and `modules` are empty where there are none."""

    aid: bytes
    life: int
    privileges: bytes = b""
    load_file: bytes = b""
    domain: bytes = b""
    modules: tuple[bytes, ...] = ()


@dataclass(slots=True)
class GpSession:
    """An open secure channel, seen from the host."""

    channel: Channel
    told: Told


def with_keys(keys: KeySet, scheme: Diversification = Diversification.NONE) -> Make:
    """A `Make` from master keys and the scheme by which the card's own follow."""

    def make(told: Told, host: bytes) -> Channel | None:
        own = diversified(keys, told.diversification, scheme)
        if (told.protocol == scp03.PROTOCOL) != (own.kind == AES):
            return None
        if told.protocol == scp03.PROTOCOL:
            return Scp03(own, host, told.challenge)
        return Scp02(own, told.sequence, host, told.challenge)

    return make


def select_domain(aid: bytes = b"") -> Dialogue[bytes | Refused]:
    """SELECT a security domain (the issuer's when no AID is given) and tell its AID, of a locked card too."""
    response = yield from ask(CARD, "SELECT", Command(0x00, 0xA4, 0x04, 0x00, aid, SHORT_MAX).encode())
    if not response.ok and response.sw != 0x6283:
        return Refused(Refusal.UNKNOWN_CARD, CARD, "SELECT", response.sw)
    try:
        found = find(response.data, 0x6F, 0x84)
    except TlvError:
        found = None
    if found is None:
        raise DialogueError(CARD, "SELECT", response.encode(), "file control information of a domain")
    return found


def open_channel(
    make: Make, *, host: bytes, level: int = C_MAC, version: int = 0
) -> Dialogue[GpSession | Refused]:
    """INITIALIZE UPDATE and EXTERNAL AUTHENTICATE; `host` is 8 fresh random bytes.

    Refused NOT_PROVEN: the card does not know these keys; nothing was sent that would cost it a try.
    CARD_FAULT: it refused.
    """
    command = Command(0x80, 0x50, version, 0x00, host, SHORT_MAX).encode()
    response = yield from ask(CARD, "INITIALIZE UPDATE", command)
    if not response.ok:
        return Refused(Refusal.CARD_FAULT, CARD, "INITIALIZE UPDATE", response.sw)
    told = scp03.parse(response.data) or scp02.parse(response.data)
    if told is None:
        raise DialogueError(CARD, "INITIALIZE UPDATE", response.encode(), "an answer of SCP02 or SCP03")
    channel = make(told, host)
    if channel is None or not same(channel.card_cryptogram(), told.cryptogram):
        return Refused(Refusal.NOT_PROVEN, CARD, "INITIALIZE UPDATE", response.sw)
    response = yield from ask(CARD, "EXTERNAL AUTHENTICATE", authentication(channel, level).encode())
    if not response.ok:
        return Refused(Refusal.CARD_FAULT, CARD, "EXTERNAL AUTHENTICATE", response.sw)
    channel.level = level
    return GpSession(channel, told)


def send(session: GpSession, name: str, command: Command) -> Dialogue[Answer]:
    """One command through the channel; `DialogueError` when the answer's MAC is wrong."""
    raw = session.channel.wrap(command).encode()
    response = yield from ask(CARD, name, raw)
    data = session.channel.open_answer(response.data, response.sw)
    if data is None:
        raise DialogueError(CARD, name, response.encode(), "an answer secured by this channel")
    return Answer(data, response.sw)


def _done(session: GpSession, name: str, command: Command) -> Dialogue[bytes | Refused]:
    response = yield from send(session, name, command)
    return response.data if response.ok else Refused(Refusal.CARD_FAULT, CARD, name, response.sw)


def get_status(session: GpSession, subset: Subset, aid: bytes = b"") -> Dialogue[list[Entry] | Refused]:
    """Entries of the registry whose AID begins so; an empty list when there are none (6A88)."""
    entries: list[Entry] = []
    data = bytes((0x4F, len(aid))) + aid
    for rounds in range(STATUS_ROUNDS_MAX):
        command = Command(0x80, 0xF2, subset, 0x03 if rounds else 0x02, data, SHORT_MAX)
        response = yield from send(session, "GET STATUS", command)
        if response.sw == 0x6A88 and not rounds:
            return []
        if not response.ok and response.sw != MORE_DATA:
            return Refused(Refusal.CARD_FAULT, CARD, "GET STATUS", response.sw)
        try:
            entries += [_entry(value) for tag, value in parse(response.data) if tag == 0xE3]
        except (TlvError, KeyError, IndexError):
            raise DialogueError(CARD, "GET STATUS", response.encode(), "entries of a registry") from None
        if response.ok:
            return entries
    raise DialogueError(CARD, "GET STATUS", response.encode(), f"an end after {STATUS_ROUNDS_MAX} answers")


def _entry(raw: bytes) -> Entry:
    fields: dict[int, Any] = dict(parse(raw))
    modules = tuple(value for tag, value in parse(raw) if tag == 0x84)
    return Entry(
        fields[0x4F],
        fields[0x9F70][0],
        fields.get(0xC5, b""),
        fields.get(0xC4, b""),
        fields.get(0xCC, b""),
        modules,
    )


def set_status(session: GpSession, kind: int, life: int, aid: bytes = b"") -> Dialogue[Refused | None]:
    """SET STATUS of the card (80), an application (40) or a domain with its own (60)."""
    answer = yield from _done(session, "SET STATUS", Command(0x80, 0xF0, kind, life, aid))
    return answer if isinstance(answer, Refused) else None


def install(
    session: GpSession, load_file: bytes, module: bytes, aid: bytes, privileges: bytes = b"\x00"
) -> Dialogue[Refused | None]:
    """INSTALL [for install and make selectable] without parameters of the application's own."""
    data = _counted(load_file, module, aid, privileges, b"\xc9\x00", b"")
    answer = yield from _done(session, "INSTALL", Command(0x80, 0xE6, 0x0C, 0x00, data, SHORT_MAX))
    return answer if isinstance(answer, Refused) else None


def extradite(session: GpSession, aid: bytes, domain: bytes) -> Dialogue[Refused | None]:
    """INSTALL [for extradition]: an application belongs to another domain from now on."""
    data = _counted(domain, b"", aid, b"", b"", b"")
    answer = yield from _done(session, "INSTALL", Command(0x80, 0xE6, 0x10, 0x00, data, SHORT_MAX))
    return answer if isinstance(answer, Refused) else None


def personalise_application(session: GpSession, aid: bytes, data: bytes) -> Dialogue[Refused | None]:
    """INSTALL [for personalization], then STORE DATA (DGI format) to the application."""
    command = Command(0x80, 0xE6, 0x20, 0x00, _counted(b"", b"", aid, b"", b"", b""), SHORT_MAX)
    answer = yield from _done(session, "INSTALL", command)
    if isinstance(answer, Refused):
        return answer
    return (yield from store_data(session, data, structure=0x08))


def store_data(session: GpSession, data: bytes, structure: int = 0x10) -> Dialogue[Refused | None]:
    """STORE DATA in as many blocks as it takes; structure 10 TLV, 08 DGI, 00 none."""
    blocks = [data[at : at + BLOCK_MAX] for at in range(0, len(data), BLOCK_MAX)] or [b""]
    assert len(blocks) <= 256, "block numbers are one byte"
    for number, block in enumerate(blocks):
        last = 0x80 if number == len(blocks) - 1 else 0x00
        answer = yield from _done(session, "STORE DATA", Command(0x80, 0xE2, last | structure, number, block))
        if isinstance(answer, Refused):
            return answer
    return None


def put_keys(session: GpSession, keys: KeySet, version: int, replaces: int = 0) -> Dialogue[Refused | None]:
    """PUT KEY: three channel keys as a version, in the place of another one or (0) beside it.

    Refused NOT_PROVEN: the card's check values are not those of the keys.
    """
    data, values = bytes((version,)), b""
    for key in keys.keys:
        cipher = session.channel.encrypt_key(key)
        block = bytes((len(key),)) + cipher if keys.kind == AES else cipher
        value = check_value(keys.kind, key)
        data += bytes((keys.kind, len(block))) + block + bytes((len(value),)) + value
        values += value
    command = Command(0x80, 0xD8, replaces, 0x81, data, SHORT_MAX)
    answer = yield from _done(session, "PUT KEY", command)
    if isinstance(answer, Refused):
        return answer
    proven = same(answer, bytes((version,)) + values)
    return None if proven else Refused(Refusal.NOT_PROVEN, CARD, "PUT KEY")


def delete_application(session: GpSession, aid: bytes, *, related: bool = False) -> Dialogue[Refused | None]:
    """DELETE an entry, with what depends on it when `related`."""
    data = bytes((0x4F, len(aid))) + aid
    command = Command(0x80, 0xE4, 0x00, 0x80 if related else 0x00, data, SHORT_MAX)
    answer = yield from _done(session, "DELETE", command)
    return answer if isinstance(answer, Refused) else None


def delete_keys(session: GpSession, version: int) -> Dialogue[Refused | None]:
    """DELETE all keys of a version."""
    command = Command(0x80, 0xE4, 0x00, 0x00, bytes((0xD2, 1, version)), SHORT_MAX)
    answer = yield from _done(session, "DELETE", command)
    return answer if isinstance(answer, Refused) else None


def _counted(*parts: bytes) -> bytes:
    assert all(len(part) < 0x80 for part in parts), "a field of INSTALL has a one-byte length"
    return b"".join(bytes((len(part),)) + part for part in parts)
