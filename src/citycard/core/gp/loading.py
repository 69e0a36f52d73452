# SPDX-License-Identifier: Apache-2.0
"""What comes into a security domain: PUT KEY and STORE DATA.

PUT KEY adds or replaces keys, enciphered for the session, each proven by its check value. STORE DATA goes to
the application that INSTALL [for personalization] named, else to the domain itself, whose blocks are gathered
and taken together with the last one. Card Specification 2.3, 11.8 and 11.11; AES keys: Amendment D 7.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from citycard.core.apdu import SW, Command
from citycard.core.crypto import same
from citycard.core.gp.channel import Channel
from citycard.core.gp.desk import Answer, Desk
from citycard.core.gp.keys import AES, DES, check_value, fits
from citycard.core.gp.state import INITIAL_VERSION, Key, Kind, Life, State
from citycard.core.gp.told import TAG_PERSONALISED, TAG_PRE_PERSONALISED
from citycard.core.tlv import TlvError, parse

ALGORITHM_UNKNOWN, CHECK_VALUE_WRONG = 0x9484, 0x9485
VERSIONS: Final = range(0x01, 0x80)
MULTIPLE: Final = 0x80
BLOCKS: Final = {DES: 8, AES: 16}
LAST_BLOCK, ENCRYPTED, STRUCTURE, AS_DGI = 0x80, 0x60, 0x18, 0x08
STORED_MAX: Final = 1024  # bytes gathered over all blocks of one STORE DATA
DGI_TLV: Final = 0x0070
OBJECT_SIZES: Final = {  # data objects a domain keeps, and how long each may be
    0x42: range(1, 17),  # issuer identification number
    0x45: range(1, 17),  # card image number
    0x5F50: range(1, 129),  # URL of the domain's manager
    TAG_PERSONALISED: range(8, 9),
    TAG_PRE_PERSONALISED: range(8, 9),
}
TAG_ISD_AID: Final = 0x4F


def put_key(desk: Desk, command: Command) -> Answer:
    """PUT KEY: 9484 unknown kind, 9485 wrong check value, 6A88 the version to replace is not there."""
    old, first = command.p1 & 0x7F, command.p2 & 0x7F
    if not first:
        return SW.WRONG_P1P2
    channel, domain = desk.session.channel, desk.session.domain
    assert channel is not None, "the command table asks for a session"
    found = _keys(command.data, first, domain, channel)
    if isinstance(found, int):
        return found
    version, keys, answer = found
    if len(keys) > 1 and not command.p2 & MULTIPLE:
        return SW.WRONG_DATA
    state = desk.state
    known = {(key.version, key.id) for key in state.keys if key.domain == domain}
    replaced = {(old, key.id) for key in keys} if old else set()
    if not replaced <= known:
        return SW.KEY_NOT_FOUND
    if {(version, key.id) for key in keys} & (known - replaced):
        return SW.WRONG_DATA
    gone = replaced | {(v, id) for v, id in known if v == INITIAL_VERSION}
    after = state.with_keys(domain, gone, keys)
    if desk.issuing and not after.versions(domain):
        return SW.CONDITIONS_OF_USE  # the card would be out of reach
    word = desk.keep(_personalised(after, domain))
    return answer if word == SW.OK else word


def _keys(
    data: bytes, first: int, domain: bytes, channel: Channel
) -> tuple[int, tuple[Key, ...], bytes] | int:
    """The new version, its keys, and the answer (version and check values), or the status word."""
    if not data or data[0] not in VERSIONS:
        return SW.WRONG_DATA
    keys: list[Key] = []
    version, at, answer = data[0], 1, data[:1]
    while at < len(data):
        fields = _fields(data, at)
        if fields is None:
            return SW.WRONG_DATA
        kind, block, check, at = fields
        value = _opened(kind, block, channel)
        if isinstance(value, int):
            return value
        told = check_value(kind, value)
        if check and not same(check, told[: len(check)].ljust(len(check), b"\x00")):
            return CHECK_VALUE_WRONG
        keys.append(Key(domain, version, first + len(keys), kind, value))
        answer += told if check else b""
    if not keys or first + len(keys) - 1 > 0x7F or len({(key.kind, len(key.value)) for key in keys}) > 1:
        return SW.WRONG_DATA
    return version, tuple(keys), answer


def _fields(data: bytes, at: int) -> tuple[int, bytes, bytes, int] | None:
    """Kind, key block and check value of one key, and where the next one begins."""
    try:
        kind, size = data[at], data[at + 1]
        block = data[at + 2 : at + 2 + size]
        at += 2 + size
        check = data[at + 1 : at + 1 + data[at]]
        at += 1 + data[at]
    except IndexError:
        return None
    return (kind, block, check, at) if len(block) == size and at <= len(data) else None


def _opened(kind: int, block: bytes, channel: Channel) -> bytes | int:
    """The key in the clear; a block that is not whole begins with the length of the key (11.8.2.3)."""
    if kind not in BLOCKS:
        return ALGORITHM_UNKNOWN
    sized = len(block) % 8 == 1
    cipher, size = (block[1:], block[0]) if sized else (block, len(block))
    if not cipher or len(cipher) % channel.key_block or size > len(cipher):
        return SW.WRONG_DATA
    value = channel.decrypt_key(cipher)[:size]
    return value if fits(kind, value) else SW.WRONG_DATA


def _personalised(state: State, domain: bytes) -> State:
    """A supplementary domain that has keys of its own is personalised (5.3.2)."""
    row = state.row(domain)
    if row is None or row.kind == Kind.ISSUER or row.life != Life.SELECTABLE or not state.versions(domain):
        return state
    return state.with_row(replace(row, life=Life.PERSONALIZED))


# STORE DATA


def store_data(desk: Desk, command: Command) -> Answer:
    """STORE DATA: blocks in order from 00; a block out of turn answers 6A86 and begins anew."""
    session = desk.session
    if command.p2 != session.block:
        session.stored, session.block = b"", 0
        return SW.WRONG_P1P2
    last = bool(command.p1 & LAST_BLOCK)
    if session.target is not None:
        return _forward(desk, session.target, command, last=last)
    gathered = session.stored + command.data
    session.stored, session.block = b"", 0
    if len(gathered) > STORED_MAX:
        return SW.NO_SPACE
    if not last:
        session.stored, session.block = gathered, command.p2 + 1 & 0xFF
        return SW.OK
    if command.p1 & ENCRYPTED == ENCRYPTED:
        return SW.WRONG_P1P2  # none of the domain's own objects is secret
    return _take(desk, gathered, as_dgi=command.p1 & STRUCTURE == AS_DGI)


def _forward(desk: Desk, target: bytes, command: Command, *, last: bool) -> Answer:
    """To the application, as it came; the session goes on until the last block or a refusal."""
    session, channel = desk.session, desk.session.channel
    assert channel is not None, "the command table asks for a session"
    word = desk.applications.personalise(target, command, channel.decrypt_key)
    if last or word != SW.OK:
        session.block = 0
        session.target = None if last else target
    else:
        session.block = command.p2 + 1 & 0xFF
    return word


def _take(desk: Desk, data: bytes, *, as_dgi: bool) -> Answer:
    """All objects of the gathered data, or none."""
    objects = groups(data) if as_dgi else _objects(data)
    if not objects:
        return SW.WRONG_DATA
    state = desk.state
    for tag, value in objects:
        if tag == TAG_ISD_AID and desk.issuing:
            if not 5 <= len(value) <= 16 or state.row(value) not in (None, state.issuer):
                return SW.WRONG_DATA
            state = state.renamed(value)
        elif tag in OBJECT_SIZES and len(value) in OBJECT_SIZES[tag]:
            domain = state.issuer.aid if desk.issuing else desk.session.domain
            state = state.with_object(domain, tag, value)
        else:
            return SW.KEY_NOT_FOUND if tag not in OBJECT_SIZES else SW.WRONG_DATA
    selected = state.issuer.aid if desk.issuing else desk.session.domain
    word = desk.keep(state)
    if word == SW.OK:
        desk.session.domain = selected
    return word


def _objects(data: bytes) -> list[tuple[int, bytes]]:
    """TLVs side by side; none when they are malformed."""
    try:
        return list(parse(data))
    except TlvError:
        return []


def groups(data: bytes) -> list[tuple[int, bytes]]:
    """Data grouping identifiers: 0070 holds TLVs, any other is the tag of what it holds."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + 3 <= len(data):
        dgi, size, start = int.from_bytes(data[at : at + 2], "big"), data[at + 2], at + 3
        if size == 0xFF:
            size, start = int.from_bytes(data[at + 3 : at + 5], "big"), at + 5
        value, at = data[start : start + size], start + size
        if at > len(data):
            return []
        found += _objects(value) if dgi == DGI_TLV else [(dgi, value)]
    return found if at == len(data) else []
