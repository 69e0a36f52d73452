# SPDX-License-Identifier: Apache-2.0
"""What a security domain tells anybody: SELECT's answer, GET DATA, and GET STATUS of its registry.

Card Specification 2.3: SELECT 11.9, GET DATA 11.3, GET STATUS 11.4, card recognition data Appendix H.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from citycard.core.apdu import SHORT_MAX, SW, Command, Response
from citycard.core.gp.desk import Answer, Desk
from citycard.core.gp.keys import AES, AES_KIND_SIZES
from citycard.core.gp.scp03 import SEQUENCE_SIZE
from citycard.core.gp.state import CPLC_SIZE, Key, Kind, Row, State
from citycard.core.tlv import TlvError, parse, tlv

OID: Final = bytes.fromhex("2A864886FC6B")  # GlobalPlatform
SPECIFICATION: Final = b"\x02\x02\x03\x01"  # {card 2, version 2.3.1}
IDENTIFICATION: Final = b"\x03"
DATA_LENGTH_MAX: Final = b"\x00\xff"
CHUNK: Final = 224  # bytes of entries in one answer: room for a response MAC and its padding
MORE_DATA: Final = 0x6310
TAG_CPLC, TAG_PRE_PERSONALISED, TAG_PERSONALISED = 0x9F7F, 0x9F67, 0x9F66
CPLC_DATED: Final = {TAG_PRE_PERSONALISED: 26, TAG_PERSONALISED: 34}  # where these eight bytes lie in it


def fci(state: State, row: Row) -> bytes:
    """File control information of a domain."""
    proprietary = tlv(0x73, _recognition(state)) + tlv(0x9F65, DATA_LENGTH_MAX)
    return tlv(0x6F, tlv(0x84, row.aid) + tlv(0xA5, proprietary))


def _recognition(state: State) -> bytes:
    """Card recognition data: what the card is, and which secure channel protocols it speaks."""
    kinds = list(dict.fromkeys(key.kind for key in state.keys if key.domain == state.issuer.aid))
    protocols = [(3, state.scp03_i) if kind == AES else (2, state.scp02_i) for kind in kinds]
    channels = b"".join(tlv(0x64, tlv(0x06, OID + bytes((4, scp, i)))) for scp, i in protocols)
    return (
        tlv(0x06, OID + b"\x01")
        + tlv(0x60, tlv(0x06, OID + SPECIFICATION))
        + tlv(0x63, tlv(0x06, OID + IDENTIFICATION))
        + channels
    )


def _card_data(desk: Desk) -> bytes:
    return tlv(0x66, tlv(0x73, _recognition(desk.state)))


def _capabilities(desk: Desk) -> bytes:
    """Card capability information: protocols with variants and key sizes, privileges (2.3, H.4)."""
    state, kinds = desk.state, {key.kind for key in desk.state.keys}
    scp02 = tlv(0xA0, tlv(0x80, b"\x02") + tlv(0x81, bytes((state.scp02_i,))))
    scp03 = tlv(
        0xA0, tlv(0x80, b"\x03") + tlv(0x81, bytes((state.scp03_i,))) + tlv(0x82, bytes((AES_KIND_SIZES,)))
    )
    channels = (b"" if kinds == {AES} else scp02) + (scp03 if AES in kinds else b"")
    return tlv(0x67, channels + tlv(0x81, bytes.fromhex("800000")) + tlv(0x82, bytes.fromhex("040000")))


def key_owner(state: State, domain: bytes) -> bytes:
    """The domain whose keys serve a domain: its own, else those of the one it belongs to (7.3.2)."""
    row = state.row(domain)
    if row is None or row.kind == Kind.ISSUER or state.versions(domain):
        return domain
    return key_owner(state, state.owner(row))


def _key_template(desk: Desk) -> bytes:
    owner = key_owner(desk.state, desk.session.domain)
    keys = [key for key in desk.state.keys if key.domain == owner]
    return tlv(0xE0, b"".join(tlv(0xC0, _key_row(key)) for key in keys))


def _key_row(key: Key) -> bytes:
    return bytes((key.id, key.version, key.kind, len(key.value)))


def cplc(state: State) -> bytes:
    """Card production life cycle data, with what personalisation has added."""
    raw = bytearray(state.cplc)
    for tag, at in CPLC_DATED.items():
        added = state.object(state.issuer.aid, tag)
        if added:
            raw[at : at + len(added)] = added
    assert len(raw) == CPLC_SIZE
    return bytes(raw)


def _sequence(desk: Desk) -> bytes | None:
    """The counter of the default key version: two bytes with SCP02, three with SCP03."""
    owner = key_owner(desk.state, desk.session.domain)
    versions = desk.state.versions(owner)
    keys = desk.state.key_set(owner, versions[0]) if versions else None
    if keys is None:
        return None
    sequence = desk.state.use(owner, versions[0]).sequence
    return tlv(0xC1, sequence.to_bytes(SEQUENCE_SIZE if keys.kind == AES else 2, "big"))


def _resources(desk: Desk) -> bytes:
    """Extended card resources: how many applications, how much memory is left."""
    count = sum(row.kind == Kind.APPLICATION for row in desk.state.rows)
    left = desk.store.limit - len(desk.state.encode())
    return tlv(0xFF21, tlv(0x81, bytes((count,))) + tlv(0x82, left.to_bytes(4, "big")) + tlv(0x83, bytes(4)))


_TOLD: Final[dict[int, Callable[[Desk], bytes | None]]] = {
    0x0066: _card_data,
    0x0067: _capabilities,
    0x00E0: _key_template,
    0x00C1: _sequence,
    0x00CF: lambda desk: tlv(0xCF, desk.state.told),
    TAG_CPLC: lambda desk: tlv(TAG_CPLC, cplc(desk.state)),
    0xFF21: _resources,
}


def get_data(desk: Desk, command: Command) -> Answer:
    """GET DATA: 6A88 for what there is not."""
    tag = command.p1 << 8 | command.p2
    if tag in _TOLD:
        found = _TOLD[tag](desk)
    else:
        value = desk.state.object(desk.session.domain, tag)
        found = None if value is None else tlv(tag, value)
    if found is None:
        return SW.KEY_NOT_FOUND
    if command.le is not None and command.le < min(len(found), SHORT_MAX):
        return 0x6C00 | len(found)
    return found


# GET STATUS

FORMS: Final = (0x00, 0x01, 0x02, 0x03)
WITH_MODULES: Final = 0x10
SUBSETS: Final = (Kind.ISSUER, Kind.APPLICATION, Kind.LOAD_FILE, WITH_MODULES)
TLV_FORM, NEXT = 0x02, 0x01
TAG_AID, TAG_LIST, TAG_LIFE, TAG_PRIVILEGES, TAG_LOAD_FILE = 0x4F, 0x5C, 0x9F70, 0xC5, 0xC4
TAG_VERSION, TAG_DOMAIN, TAG_MODULE = 0xCE, 0xCC, 0x84
LOAD_FILE_VERSION: Final = b"\x01\x00"


def get_status(desk: Desk, command: Command) -> Answer:
    """GET STATUS: entries of one subset whose AID begins as asked; 6310 when more follow, 6A88 for none."""
    p1, p2, session = command.p1, command.p2, desk.session
    if p1 not in SUBSETS or p2 not in FORMS:
        return SW.WRONG_P1P2
    search = _search(command.data)
    if search is None:
        return SW.WRONG_DATA
    asked = (p1, p2 & TLV_FORM, command.data)
    given = 0
    if p2 & NEXT:
        if session.listing is None or session.listing[:3] != asked:
            return SW.CONDITIONS_OF_USE
        given = session.listing[3]
    session.listing = None
    rows = _matching(desk, p1, search[0])
    if not rows:
        return SW.KEY_NOT_FOUND
    written = [_entry(desk.state, row, p1, bool(p2 & TLV_FORM), search[1]) for row in rows]
    answer = b""
    while given < len(written) and (not answer or len(answer) + len(written[given]) <= CHUNK):
        answer += written[given]
        given += 1
    if given == len(written):
        return answer
    session.listing = (*asked, given)
    return Response(answer, MORE_DATA)


def _search(data: bytes) -> tuple[bytes, frozenset[int]] | None:
    """The AID asked for (or how it begins) and the wished tags, None when the data is malformed."""
    try:
        found = dict(parse(data))
        wished = frozenset(_tags(found.get(TAG_LIST, b"")))
    except TlvError:
        return None
    if TAG_AID not in found or len(found[TAG_AID]) > 16 or not found.keys() <= {TAG_AID, TAG_LIST}:
        return None
    return found[TAG_AID], wished


def _tags(raw: bytes) -> list[int]:
    tags, at = [], 0
    while at < len(raw):
        size = 2 if raw[at] & 0x1F == 0x1F else 1
        if at + size > len(raw):
            raise TlvError("tag list cut short")
        tags.append(int.from_bytes(raw[at : at + size], "big"))
        at += size
    return tags


def _matching(desk: Desk, subset: int, aid: bytes) -> list[Row]:
    kind = Kind.LOAD_FILE if subset == WITH_MODULES else subset
    mine = [row for row in desk.state.rows if row.kind == kind and desk.owns(row)]
    return [row for row in mine if row.aid.startswith(aid)]


def _entry(state: State, row: Row, subset: int, as_tlv: bool, wished: frozenset[int]) -> bytes:
    life = state.life if row.kind == Kind.ISSUER else row.life
    modules = row.modules if subset == WITH_MODULES else ()
    if not as_tlv:
        privileges = 0 if row.kind == Kind.LOAD_FILE else row.privileges[0]
        head = bytes((len(row.aid),)) + row.aid + bytes((life, privileges))
        if subset != WITH_MODULES:
            return head
        listed = b"".join(bytes((len(module),)) + module for module in modules)
        return head + bytes((len(modules),)) + listed
    fields = [(TAG_AID, row.aid), (TAG_LIFE, bytes((life,)))]
    if row.kind == Kind.LOAD_FILE:
        fields.append((TAG_VERSION, LOAD_FILE_VERSION))
        fields += [(TAG_MODULE, module) for module in modules]
    else:
        fields.append((TAG_PRIVILEGES, row.privileges))
        fields += [(TAG_LOAD_FILE, row.load_file)] if row.load_file else []
    if row.kind != Kind.ISSUER:
        fields.append((TAG_DOMAIN, state.owner(row)))
    return tlv(0xE3, b"".join(tlv(tag, value) for tag, value in fields if not wished or tag in wished))
